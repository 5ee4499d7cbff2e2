# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny eval"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..arch.config import MAX_CONTEXT
from ..errors import ConfigError
from ..frozen.shipped import SHIPPED, default_model
from ..report.evaluation import render
from ..run.session import is_local, open_session
from .app import notes, print_json, results
from .common import hidden, json_option, model_argument, on_option, say_shipped

CAPTIONS, RETRIEVAL, SESSIONS, ENTITY = "captions", "retrieval", "sessions", "entity-memory"
RETRIEVED = 100


@click.command()
@model_argument
@click.argument("tasks", nargs=-1, metavar="[TASK[=PATH]]...")
@on_option(
    "Who computes (default: torch); given several times, the others are compared with the first, item by "
    "item",
    multiple=True,
)
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Only N items of each task, evenly spread."
)
@click.option(
    "--context",
    type=click.IntRange(2, MAX_CONTEXT),
    metavar="N",
    help="Most tokens that the model reads; longer contexts lose their beginning (default: its trained "
    "positions).",
)
@click.option(
    "--features",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Image features (.npy) of vqa and winoground.",
)
@click.option(
    "--ablate",
    type=click.Choice(["memory"]),
    help="Run every task with the memory on, off and shuffled, and measure what it costs.",
)
@click.option(
    "--watts",
    type=click.FloatRange(0, min_open=True),
    help="Power while computing, to estimate energy with --ablate.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("demo/data"),
    show_default=True,
    help="Prepared pictures (captions.json, features.npy, split.json) of captions and retrieval.",
)
@click.option(
    "--style",
    "styles",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="With captions: also the pictures of an Iconify emoji set that training never saw; repeatable.",
)
@click.option(
    "--baseline",
    type=click.FloatRange(0.01),
    metavar="MINUTES",
    help="Also train the plain float captioner for so long, on the same pictures.",
)
@hidden("--via", type=click.Choice(["torch", "golden", "c"]), multiple=True)
@hidden("--board")
@json_option
def command(
    model: Path,
    tasks: tuple[str, ...],
    on: tuple[str, ...],
    limit: int | None,
    context: int | None,
    features: Path | None,
    ablate: str | None,
    watts: float | None,
    data: Path,
    styles: tuple[Path, ...],
    baseline: float | None,
    via: tuple[str, ...],
    board: str | None,
    as_json: bool,
) -> None:
    """Score MODEL, a frozen model or the folder of a training run (a float twin, say). Chance and majority
    stand beside every score.

    \b
    TASK  captions         names held-out pictures (without any TASK: this),
                           --on host or a board: by its program, too
          retrieval        picture to caption and back
          boolq, piqa, commonsenseqa    from an installed package, or =FILE
          arc-easy=FILE, hellaswag=FILE, winogrande=FILE, mmlu=FOLDER,
          blimp=FOLDER, ewok=FOLDER, entity-tracking=FOLDER,
          wug-adjective=FILE, wug-past=FILE, vqa=FILE, winoground=FILE
                           as published: .jsonl, .json, .csv or .parquet
          perplexity=FILE  of text, one sample a line
          sessions[=FILE]  told in earlier episodes, answered out of the memory
          entity-memory    trains a tiny model: can the memory carry a fact?
    \b
    Examples: bitmar-tiny eval boolq piqa
              bitmar-tiny eval model.bitmar --data demo/data
              bitmar-tiny eval model.bitmar boolq piqa --on host --on golden --limit 200
              bitmar-tiny eval model.bitmar hellaswag=hellaswag_val.jsonl perplexity=demo/data/wiki.dev
              bitmar-tiny eval model.bitmar boolq commonsenseqa --ablate memory
              bitmar-tiny eval recall sessions
    """
    from ..evaluate.suite import is_task, open_subject, text_task

    named = (
        click.get_current_context().get_parameter_source("model") == click.core.ParameterSource.COMMANDLINE
    )
    if model != SHIPPED and not model.exists() and is_task(str(model)):  # the first word is a task already
        model, tasks, named = default_model(), (str(model), *tasks), False
    if model == SHIPPED and not named:
        say_shipped()
    on = (*on, *(board or "host" if way == "c" else way for way in via)) or ("torch",)
    firmware = next((t for t in on if not is_local(t)), None)
    subject = open_subject(model)
    if ablate and subject.frozen is None:
        raise ConfigError(
            f"{model}: a training run cannot be ablated.",
            "Freeze it first: bitmar-tiny freeze RUN -o model.bitmar",
        )
    names = [spec.partition("=")[0] for spec in tasks]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"The task {max(names, key=names.count)} was named twice.", "Run it once more for other files."
        )
    wanted = tasks or ((CAPTIONS,) if not ablate else ())
    text = [
        text_task(spec, subject, limit, context, features)
        for spec in wanted
        if spec.partition("=")[0] not in (CAPTIONS, RETRIEVAL, SESSIONS, ENTITY)
    ]
    report: dict[str, Any] = {
        "schema": "bitmar-tiny/eval",
        "schema_version": 1,
        "model": str(model),
        "on": list(on),
        "model_sha256": subject.frozen.digest if subject.frozen else None,
        "limit": limit,
    }
    if ablate:
        report["ablation"] = _ablate(subject, text, on[0], board or firmware or "host", watts)
    elif text:
        report["tasks"], report["agreement_of_picks"] = _score(subject, text, on)
    if CAPTIONS in wanted:
        report |= _captions(subject, data, styles, baseline, firmware)
    if RETRIEVAL in wanted:
        report["retrieval"] = _retrieval(subject, data, limit or RETRIEVED, on[0])
    for spec in wanted:
        if spec.partition("=")[0] == SESSIONS:
            report["sessions"] = _sessions(subject, spec.partition("=")[2], limit)
    if ENTITY in wanted:
        from ..evaluate.entity import entity_memory

        report["entity_memory"] = entity_memory(lambda line: notes.print(line))
    if as_json:
        print_json(report)
        return
    for part in render(report):
        results.print(part)


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """A function from a label to a progress callback, while the bars are shown."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes, transient=True) as bars:

        def bar(label: str) -> Callable[[int, int], None]:
            task = bars.add_task(label, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield bar


def _score(subject, text: list, on: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """Figures of every task on the first target, and the share of items for which each other one picks the
    same.
    """
    from ..evaluate.suite import open_scorer

    found: dict[str, Any] = {}
    agreement: dict[str, dict[str, float]] = {}
    with _bars() as bar:
        for n, target in enumerate(dict.fromkeys(on)):
            with open_scorer(subject, target) as scorer:
                for task in text:
                    r = task.run(scorer, bar(f"{task.name} on {scorer.name}"))
                    first = found.setdefault(task.name, r | {"kind": task.kind})
                    if n and "picks" in r:
                        agreement.setdefault(task.name, {})[scorer.name] = float(
                            np.mean(np.array(r["picks"]) == first["picks"])
                        )
    return found, agreement


def _ablate(subject, text: list, on: str, board: str, watts: float | None) -> dict[str, Any]:
    from ..evaluate.ablate import ablate_tasks, measure_cost

    with _bars() as bar:
        return {"tasks": ablate_tasks(subject, text, on, bar), "cost": measure_cost(subject, board, watts)}


def _retrieval(subject, data: Path, count: int, on: str) -> dict[str, Any]:
    from ..data.openmoji import load_openmoji
    from ..evaluate.formats import evenly
    from ..evaluate.retrieval import evaluate_retrieval
    from ..evaluate.suite import open_scorer

    captions, splits = load_openmoji(data)
    chosen = np.array(evenly(splits["holdout"], count))
    with _bars() as bar, open_scorer(subject, on) as scorer:
        return evaluate_retrieval(
            scorer,
            [captions.captions[i] for i in chosen],
            captions.images(chosen),
            subject.tokenizer,
            bar("retrieval"),
        )


def _by_firmware(subject, names: list[str], images: np.ndarray, target: str) -> dict[str, float]:
    """Score of what firmware writes."""
    from ..evaluate.captions import score, session_captions

    if subject.frozen is None:
        raise ConfigError(
            f"{subject.name}: there is no C program for a training run.",
            "Freeze it first: bitmar-tiny freeze RUN -o model.bitmar",
        )
    with open_session(target, subject.frozen) as session:
        return score(session_captions(session, images), names)


def _sessions(subject, file: str, limit: int | None) -> dict[str, Any]:
    from ..data.sessions import read_sessions
    from ..evaluate.formats import evenly
    from ..evaluate.sessions import evaluate_sessions, held_out_places

    if subject.frozen is None:
        raise ConfigError(
            "Sessions are asked of a frozen model, as it runs on a board.",
            "Freeze it first: bitmar-tiny freeze RUN -o model.bitmar",
        )
    sessions = read_sessions(file) if file else held_out_places()
    with _bars() as bar:
        return evaluate_sessions(subject.frozen, evenly(sessions, limit), bar("sessions"))


def _captions(
    subject, data: Path, styles: tuple[Path, ...], baseline: float | None, firmware: str | None
) -> dict[str, Any]:
    """Scores of the held-out pictures; styles: of further styles; firmware: a target, and what it writes."""
    from ..data.openmoji import load_openmoji
    from ..evaluate.agreement import caption_agreement
    from ..evaluate.baseline import baseline_scores
    from ..evaluate.captions import evaluate_captions
    from ..evaluate.styles import score_styles

    captions, splits = load_openmoji(data)
    chosen = np.array(splits["holdout"])
    names = [captions.captions[i] for i in chosen]
    report: dict[str, Any] = {
        "captions": evaluate_captions(subject.torch(), names, captions.images(chosen), subject.tokenizer)
    }
    if firmware:
        found = _by_firmware(subject, names, captions.images(chosen), firmware)
        report["captions"] |= {"c_program": found}
    if styles or "styles" in splits:
        report["styles"] = score_styles(subject.torch(), captions, splits, subject.tokenizer, styles)
    if subject.frozen:
        report["agreement"] = caption_agreement(subject.frozen, captions, list(chosen), subject.tokenizer)
    if baseline:
        notes.print(f"Training the plain float captioner for {baseline:g} minutes ...")
        report["baseline"] = baseline_scores(captions, set(chosen.tolist()), baseline)
    return report
