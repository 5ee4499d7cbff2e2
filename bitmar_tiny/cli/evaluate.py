"""bitmar-tiny evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from ..data.corpus import CaptionSet
from ..data.tokenizer import Tokenizer
from ..frozen import FrozenModel
from .app import notes, print_json, results
from .common import json_option, model_argument

AGREEMENT_STREAMS = 40


@click.command()
@model_argument
@click.option("--data", type=click.Path(path_type=Path), default=Path("demo/data"), show_default=True,
              help="Prepared pictures (captions.json, features.npy, split.json).")
@click.option("--baseline", type=click.FloatRange(0.01), metavar="MINUTES",
              help="Also train the plain float captioner for so long, on the same pictures.")
@json_option
def command(model: Path, data: Path, baseline: float | None, as_json: bool) -> None:
    """Caption the pictures that training held out: exact names and word overlap, with and without picture and memory.

    MODEL is a frozen model, or the folder of a training run (a float twin, say). For a frozen model the agreement of
    PyTorch with golden is measured too.

    \b
    Examples: bitmar-tiny evaluate model.bitmar --data demo/data
              bitmar-tiny evaluate twin --data demo/data --baseline 4
    """
    from ..data.openmoji import load_openmoji
    from ..evaluate.captions import evaluate_captions
    from ..model.export import load_frozen
    from ..train.run import load_run

    frozen = None
    if model.is_dir():
        network, tokenizer, _ = load_run(model)
    else:
        frozen = FrozenModel.load(model)
        network, tokenizer = load_frozen(frozen), Tokenizer.from_bytes(frozen.tokenizer)
    captions, splits = load_openmoji(data)
    chosen = np.array(splits["holdout"])
    names = [captions.captions[i] for i in chosen]
    scores = evaluate_captions(network, names, captions.images(chosen), tokenizer)
    report: dict[str, Any] = {"captions": scores}
    if frozen:
        report["agreement"] = caption_agreement(frozen, captions, list(chosen), tokenizer)
    if baseline:
        report["baseline"] = baseline_scores(captions, set(chosen.tolist()), baseline)
    if as_json:
        print_json(report)
        return
    results.print(caption_table(scores | ({"plain float captioner": report["baseline"]} if baseline else {}),
                                f"{len(names)} held-out pictures \\[measured]"))
    if frozen:
        results.print(agreement_sentence(report["agreement"]))


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
