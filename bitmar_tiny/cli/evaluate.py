"""bitmar-tiny eval"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Callable, Iterator

import click
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..config import MAX_CONTEXT
from ..data.corpus import CaptionSet
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError
from ..frozen import FrozenModel
from .app import notes, print_json, results
from .common import json_option, model_argument

AGREEMENT_STREAMS = 40
CAPTIONS, RETRIEVAL, ENTITY = "captions", "retrieval", "entity-memory"
RETRIEVED = 100


@click.command()
@model_argument
@click.argument("tasks", nargs=-1, metavar="[TASK[=PATH]]...")
@click.option("--via", type=click.Choice(["torch", "golden", "c"]), multiple=True, default=("torch",), show_default=True,
              help="Who computes; given several times, the others are compared with the first, item by item.")
@click.option("--board", default="host", show_default=True, metavar="NAME", help="Linux board of --via c and of --ablate.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only N items of each task, evenly spread.")
@click.option("--context", type=click.IntRange(2, MAX_CONTEXT), metavar="N",
              help="Most tokens that the model reads; longer contexts lose their beginning (default: its trained positions).")
@click.option("--features", type=click.Path(path_type=Path), metavar="FILE", help="Image features (.npy) of vqa and winoground.")
@click.option("--ablate", type=click.Choice(["memory"]), help="Run every task with the memory on, off and shuffled, and measure what it costs.")
@click.option("--watts", type=click.FloatRange(0, min_open=True), help="Power while computing, to estimate energy with --ablate.")
@click.option("--data", type=click.Path(path_type=Path), default=Path("demo/data"), show_default=True,
              help="Prepared pictures (captions.json, features.npy, split.json) of captions and retrieval.")
@click.option("--baseline", type=click.FloatRange(0.01), metavar="MINUTES",
              help="Also train the plain float captioner for so long, on the same pictures.")
@json_option
def command(model: Path, tasks: tuple[str, ...], via: tuple[str, ...], board: str, limit: int | None, context: int | None,
            features: Path | None, ablate: str | None, watts: float | None, data: Path, baseline: float | None, as_json: bool) -> None:
    """Score MODEL, a frozen model or the folder of a training run (a float twin, say). Chance and majority stand beside every score.

    \b
    TASK  captions         names held-out pictures (without any TASK: this)
          retrieval        picture to caption and back
          boolq, piqa, commonsenseqa    from an installed package, or =FILE
          arc-easy=FILE, hellaswag=FILE, winogrande=FILE, mmlu=FOLDER,
          blimp=FOLDER, ewok=FOLDER, entity-tracking=FOLDER,
          wug-adjective=FILE, wug-past=FILE, vqa=FILE, winoground=FILE     as published: .jsonl, .json, .csv, .parquet
          perplexity=FILE  of text, one sample a line
          entity-memory    trains a tiny model: can the memory carry a fact?
    \b
    Examples: bitmar-tiny eval model.bitmar --data demo/data
              bitmar-tiny eval model.bitmar boolq piqa --via c --via golden --limit 200
              bitmar-tiny eval model.bitmar hellaswag=hellaswag_val.jsonl perplexity=demo/data/wiki.dev
              bitmar-tiny eval model.bitmar boolq commonsenseqa --ablate memory
    """
    from ..evaluate.suite import open_subject, text_task

    subject = open_subject(model)
    if ablate and subject.frozen is None:
        raise ConfigError(f"{model}: a training run cannot be ablated.", "Freeze it first: bitmar-tiny freeze RUN -o model.bitmar")
    names = [spec.partition("=")[0] for spec in tasks]
    if len(set(names)) < len(names):
        raise ConfigError(f"The task {max(names, key=names.count)} was named twice.", "Run it once more for other files.")
    wanted = tasks or ((CAPTIONS,) if not ablate else ())
    text = [text_task(spec, subject, limit, context, features) for spec in wanted if spec not in (CAPTIONS, RETRIEVAL, ENTITY)]
    report: dict[str, Any] = {"schema": "bitmar-tiny/eval", "schema_version": 1, "model": str(model), "via": list(via),
                              "model_sha256": subject.frozen.digest if subject.frozen else None, "limit": limit}
    if ablate:
        report["ablation"] = _ablate(subject, text, via[0], board, watts)
    elif text:
        report["tasks"], report["agreement_of_picks"] = _score(subject, text, via, board)
    if CAPTIONS in wanted:
        report |= _captions(subject, data, baseline)
    if RETRIEVAL in wanted:
        report["retrieval"] = _retrieval(subject, data, limit or RETRIEVED, via[0], board)
    if ENTITY in wanted:
        from ..evaluate.entity import entity_memory
        report["entity_memory"] = entity_memory(lambda line: notes.print(line))
    if as_json:
        print_json(report)
    else:
        _print(report)


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """A function from a label to a progress callback, while the bars are shown."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes, transient=True) as bars:
        def bar(label: str) -> Callable[[int, int], None]:
            task = bars.add_task(label, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)
        yield bar


def _score(subject, text: list, via: tuple[str, ...], board: str) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """Figures of every task by the first way, and the share of items for which each other way picks the same."""
    from ..evaluate.suite import open_scorer

    found: dict[str, Any] = {}
    agreement: dict[str, dict[str, float]] = {}
    with _bars() as bar:
        for n, way in enumerate(dict.fromkeys(via)):
            with open_scorer(subject, way, "on", board) as scorer:
                for task in text:
                    r = task.run(scorer, bar(f"{task.name} via {scorer.name}"))
                    first = found.setdefault(task.name, r | {"kind": task.kind})
                    if n and "picks" in r:
                        agreement.setdefault(task.name, {})[scorer.name] = float(np.mean(np.array(r["picks"]) == first["picks"]))
    return found, agreement


def _ablate(subject, text: list, via: str, board: str, watts: float | None) -> dict[str, Any]:
    from ..evaluate.ablate import ablate_tasks, measure_cost

    with _bars() as bar:
        return {"tasks": ablate_tasks(subject, text, via, board, bar), "cost": measure_cost(subject, board, watts)}


def _retrieval(subject, data: Path, count: int, via: str, board: str) -> dict[str, Any]:
    from ..data.openmoji import load_openmoji
    from ..evaluate.formats import evenly
    from ..evaluate.retrieval import evaluate_retrieval
    from ..evaluate.suite import open_scorer

    captions, splits = load_openmoji(data)
    chosen = np.array(evenly(splits["holdout"], count))
    with _bars() as bar, open_scorer(subject, via, "on", board) as scorer:
        return evaluate_retrieval(scorer, [captions.captions[i] for i in chosen], captions.images(chosen), subject.tokenizer, bar("retrieval"))


def _captions(subject, data: Path, baseline: float | None) -> dict[str, Any]:
    from ..data.openmoji import load_openmoji
    from ..evaluate.captions import evaluate_captions

    captions, splits = load_openmoji(data)
    chosen = np.array(splits["holdout"])
    names = [captions.captions[i] for i in chosen]
    report: dict[str, Any] = {"captions": evaluate_captions(subject.torch(), names, captions.images(chosen), subject.tokenizer)}
    if subject.frozen:
        report["agreement"] = caption_agreement(subject.frozen, captions, list(chosen), subject.tokenizer)
    if baseline:
        report["baseline"] = baseline_scores(captions, set(chosen.tolist()), baseline)
    return report


def _print(report: dict[str, Any]) -> None:
    from ..report import evaluation as show

    tasks = report.get("tasks", {})
    choices = {name: r for name, r in tasks.items() if r["kind"] == "choice"}
    if choices:
        results.print(show.choice_table(choices, f"{report['model']} via {report['via'][0]} \\[measured]"))
    for name, r in tasks.items():
        if r["kind"] == "wug":
            results.print(show.wug_sentence(name, r))
        elif r["kind"] == "perplexity":
            results.print(show.perplexity_sentence(r))
    for name, others in report.get("agreement_of_picks", {}).items():
        for way, share in others.items():
            results.print(f"{name}: {way} picks the same option as {report['via'][0]} for {share:.2%} of the items \\[measured]")
    if "ablation" in report:
        if report["ablation"]["tasks"]:
            results.print(show.ablation_table(report["ablation"]["tasks"], f"The memory of {report['model']} \\[measured]"))
        results.print(show.cost_table(report["ablation"]["cost"]))
    if "captions" in report:
        scores = report["captions"] | ({"plain float captioner": report["baseline"]} if "baseline" in report else {})
        results.print(caption_table(scores, f"{len(scores['predictions'])} held-out pictures \\[measured]"))
    if "agreement" in report:
        results.print(agreement_sentence(report["agreement"]))
    if "retrieval" in report:
        results.print(show.retrieval_table(report["retrieval"]))
    if "entity_memory" in report:
        results.print(show.entity_table(report["entity_memory"]))


def caption_table(scores: dict[str, Any], title: str) -> Table:
    """Exact-name and word-overlap accuracy by condition."""
    table = Table("condition", "exact name", "word overlap (IoU)", title=title)
    for condition, score in scores.items():
        if isinstance(score, dict) and "exact" in score:
            table.add_row(condition.replace("_", " "), f"{score['exact']:.1%}", f"{score['iou']:.3f}")
    return table


def caption_agreement(frozen: FrozenModel, captions: CaptionSet, chosen: list[int], tokenizer: Tokenizer) -> dict[str, Any]:
    """PyTorch against golden on held-out captions with their pictures."""
    from ..evaluate.agreement import agreement

    some = chosen[:AGREEMENT_STREAMS]
    streams = [[tokenizer.eos, *tokenizer.encode(captions.captions[i]), tokenizer.eos] for i in some]
    return agreement(frozen, streams, [captions.image(i) for i in some])


def agreement_sentence(a: dict[str, Any]) -> str:
    return (f"PyTorch against golden over {a['tokens']:,} tokens: top-1 agreement {a['top1_agreement']:.1%}, "
            f"largest logit difference {a['max_logit_difference']:g}, perplexity {a['perplexity_torch']:.4f} and "
            f"{a['perplexity_golden']:.4f} \\[measured]")


def baseline_scores(captions: CaptionSet, held_out: set[int], minutes: float) -> dict[str, float]:
    """Train and score the plain float captioner of ``evaluate/baseline.py`` on the same split."""
    from ..data.pixels import PATCH, picture_side
    from ..evaluate.baseline import caption, train_baseline
    from ..evaluate.captions import score

    notes.print(f"Training the plain float captioner for {minutes:g} minutes ...")
    train = [i for i in range(len(captions)) if i not in held_out]
    finest = (picture_side(captions.n_vectors)[0] // PATCH) ** 2
    pixels, hold = np.asarray(captions.features)[:, :finest], sorted(held_out)
    model, vocabulary, steps = train_baseline([captions.captions[i] for i in train], pixels[train], minutes)
    return score(caption(model, vocabulary, pixels[hold]), [captions.captions[i] for i in hold]) | {"steps": steps}
