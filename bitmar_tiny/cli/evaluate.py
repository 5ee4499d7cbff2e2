# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny eval"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import click

from ..api.model import MAX_CONTEXT, SHIPPED, FrozenModel, find_model
from ..api.run import Session, is_local, session
from ..errors import ConfigError
from ..report.evaluation import render
from .app import notes, print_json, results
from .common import (
    Real,
    hidden,
    json_option,
    keep_option,
    keeping,
    leave_out_port_options,
    line_options,
    model_argument,
    on_option,
    open_target,
    progress_bars,
    say_shipped,
    was_given,
)

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
    "--watts", type=Real(0, min_open=True), help="Power while computing, to estimate energy with --ablate."
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
    type=Real(0.01),
    metavar="MINUTES",
    help="Also train the plain float captioner for so long, on the same pictures.",
)
@click.option(
    "--finetune",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="With boolq alone: train MODEL on its training questions first, in FOLDER; goes on where it was.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Training steps of --finetune, of 16 questions each.",
)
@keep_option
@line_options
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
    finetune: Path | None,
    steps: int,
    keep: Path | None,
    line: dict[str, Any],
    via: tuple[str, ...],
    board: str | None,
    as_json: bool,
) -> None:
    """Score MODEL, a frozen model or the folder of a training run (a float twin, say). Chance and majority
    stand beside every score.

    Exit code 1: another of several --on picks another option for some item.

    Of several exchanges with boards, --record numbers the files: FILE, FILE-2, ...

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
              bitmar-tiny eval model.bitmar blimp=BLiMP.zip --on golden --on torch --on host --keep picks
              bitmar-tiny eval model.bitmar hellaswag=hellaswag_val.jsonl perplexity=demo/data/wiki.dev
              bitmar-tiny eval model.bitmar boolq commonsenseqa --ablate memory
              bitmar-tiny eval recall sessions
              bitmar-tiny eval run boolq --finetune run-boolq
    """
    from ..evaluate import report as parts
    from ..evaluate.suite import is_task, open_subject, text_task

    named = was_given("model")
    if model != SHIPPED and not model.exists() and is_task(str(model)):  # the first word is a task already
        model, tasks, named = find_model(), (str(model), *tasks), False
    if model == SHIPPED and not named:
        say_shipped()
    on = (*on, *(board or "host" if way == "c" else way for way in via))
    teller = on[0] if on else "golden"  # of sessions
    on = on or ("torch",)
    firmware = next((t for t in on if not is_local(t)), None)
    if not firmware:
        leave_out_port_options()

    exchanges = itertools.count(1)

    def opened(target: str, frozen: FrozenModel) -> Session:
        if is_local(target):
            return session(frozen, target)
        n, file = next(exchanges), line["record"]
        own = {"record": file.with_stem(f"{file.stem}-{n}")} if file and n > 1 else {}
        return open_target(target, frozen, line | own)

    subject = open_subject(model)
    if finetune and (tasks != ("boolq",) or set(on) != {"torch"} or ablate):
        raise ConfigError("--finetune trains and scores boolq, with PyTorch.", "Leave out what is more.")
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
    if finetune:
        from ..evaluate.finetune import finetune as train
        from ..evaluate.labelled import boolq_training_items

        with progress_bars() as bar:
            subject = train(subject, boolq_training_items(), finetune, steps, bar("fine-tuning"))
    wanted = tasks or ((CAPTIONS,) if not ablate else ())
    text = [
        text_task(spec, subject, limit, context, features)
        for spec in wanted
        if spec.partition("=")[0] not in (CAPTIONS, RETRIEVAL, SESSIONS, ENTITY)
    ]
    report: dict[str, Any] = {
        "schema": parts.SCHEMA,
        "schema_version": parts.VERSION,
        "model": str(model),
        "on": list(on),
        "model_sha256": subject.frozen.digest if subject.frozen else None,
        "limit": limit,
        "finetuned": {"folder": str(finetune), "steps": steps} if finetune else None,
    }
    with keeping(keep), progress_bars() as bar:
        if ablate:
            from ..evaluate.ablate import ablate_tasks, measure_cost

            cost = measure_cost(subject, board or firmware or "host", watts)
            ablated = ablate_tasks(subject, text, on[0], bar, opened, keep=keep)
            report["ablation"] = {"tasks": ablated, "cost": cost}
        elif text:
            found = parts.score_tasks(subject, text, on, opened, bar, keep)
            report["tasks"], report["agreement_of_picks"], report["different_picks"] = found
        if CAPTIONS in wanted:
            if baseline:
                notes.print(f"Training the plain float captioner for {baseline:g} minutes ...")
            report |= parts.score_captions(subject, data, styles, baseline, firmware, opened)
        if RETRIEVAL in wanted:
            count = limit or RETRIEVED
            report["retrieval"] = parts.score_retrieval(subject, data, count, on[0], opened, bar)
        for name, _, file in (spec.partition("=") for spec in wanted):
            if name == SESSIONS:
                report["sessions"] = parts.score_sessions(subject, file, limit, teller, opened, bar)
    if ENTITY in wanted:
        from ..evaluate.entity import entity_memory

        report["entity_memory"] = entity_memory(lambda line: notes.print(line))
    if as_json:
        print_json(report)
    else:
        for shown in render(report):
            results.print(shown)
    if any(places for others in report.get("different_picks", {}).values() for places in others.values()):
        sys.exit(1)
