"""bitmar-tiny evaluate"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from rich.table import Table

from ..data.tokenizer import Tokenizer
from ..frozen import FrozenModel
from .app import print_json, results
from .common import json_option, model_argument


@click.command()
@model_argument
@click.option("--data", type=click.Path(path_type=Path), default=Path("demo/data"), show_default=True,
              help="Prepared pictures (captions.json, features.npy, split.json).")
@click.option("--split", default="holdout", show_default=True, help="Which held-out pictures of split.json.")
@json_option
def command(model: Path, data: Path, split: str, as_json: bool) -> None:
    """Caption held-out pictures: exact names and word overlap, with and without picture and memory.

    \b
    Example: bitmar-tiny evaluate model.bitmar --data demo/data
    """
    from ..data.openmoji import load_openmoji
    from ..evaluate.captions import evaluate_captions
    from ..model.export import load_frozen

    frozen = FrozenModel.load(model)
    captions, splits = load_openmoji(data)
    chosen = np.array(splits[split])
    names = [captions.captions[i] for i in chosen]
    scores = evaluate_captions(load_frozen(frozen), names, captions.images(chosen), Tokenizer.from_bytes(frozen.tokenizer))
    if as_json:
        print_json(scores)
        return
    results.print(caption_table(scores, f"{len(names)} held-out pictures ({split}) [measured]"))


def caption_table(scores: dict, title: str) -> Table:
    """Exact-name and word-overlap accuracy by condition."""
    table = Table("condition", "exact name", "word overlap (IoU)", title=title)
    for condition, score in scores.items():
        if isinstance(score, dict) and "exact" in score:
            table.add_row(condition.replace("_", " "), f"{score['exact']:.1%}", f"{score['iou']:.3f}")
    return table
