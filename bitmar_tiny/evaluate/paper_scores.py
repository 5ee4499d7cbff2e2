# SPDX-License-Identifier: Apache-2.0
"""The scores that the paper gives and a model of ours can have, beside what anybody reaches without training:
by guessing, by the most frequent answer, by word frequencies, and by the same network untrained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.collect.build import HELD_OUT, TRAIN, complete
from ..data.openmoji import load_openmoji
from ..data.shards import build_tokens
from ..errors import DataError
from .formats import evenly
from .retrieval import evaluate_retrieval
from .scoring import Progress, Scorer
from .suite import Subject, TextTask, open_scorer, text_task
from .unigram import UnigramScorer

if TYPE_CHECKING:
    from .scoring import TorchScorer

SCHEMA, VERSION = "bitmar-tiny/paper-scores", 1
#: What comes along, and needs no file of the user's.
ALONG = ("boolq", "piqa", "commonsenseqa")
#: Pictures among which captions are looked for.
RETRIEVED = 50
Bar = Callable[[str], Progress]


def score_paper(
    subject: Subject, corpus: Path, blimp: Path | None, limit: int | None, bar: Bar
) -> dict[str, Any]:
    """One row a task: what the model reaches, and ``chance``, ``majority``, ``unigram`` (frequencies in the
    training text), ``untrained`` (the same shapes with random weights).

    corpus: a folder that ``bitmar-tiny corpus`` wrote; blimp: BLiMP's folder or archive; limit: so many items
    of each task. ``DataError`` where the corpus is not whole.
    """
    if complete(corpus) is None:
        raise DataError(
            f"{corpus}: holds no corpus, or one that is not whole.", f"Run: bitmar-tiny corpus -o {corpus}"
        )
    specs = [*([f"blimp={blimp}"] if blimp else []), *ALONG, f"perplexity={corpus / HELD_OUT}"]
    tasks = [text_task(spec, subject, limit) for spec in specs]
    texts = build_tokens(subject.tokenizer, [corpus / TRAIN], corpus / "tokens")
    unigram = UnigramScorer(texts, subject.tokenizer.vocab_size)
    with open_scorer(subject) as ours, open_scorer(untrained(subject)) as none:
        rows = [_row(task, ours, none, unigram, bar) for task in tasks]
        pictures = corpus / f"pictures-{subject.config.image_inputs}"
        if pictures.is_dir():
            rows.append(_retrieval(subject, pictures, ours, none, bar))
    return {
        "schema": SCHEMA,
        "schema_version": VERSION,
        "model": subject.name,
        "model_sha256": subject.frozen.digest if subject.frozen else None,
        "limit": limit,
        "rows": rows,
    }


def untrained(subject: Subject) -> Subject:
    """The same shapes with random weights: what training begins with."""
    import torch

    from ..model.bitmar import BitMar

    torch.manual_seed(0)
    return replace(subject, name="untrained", frozen=None, network=BitMar(subject.config).eval())


def _row(task: TextTask, ours: Scorer, none: Scorer, unigram: Scorer, bar: Bar) -> dict[str, Any]:
    found = {
        who: task.run(scorer, bar(f"{task.name}, {who}"))
        for who, scorer in (("ours", ours), ("untrained", none), ("unigram", unigram))
    }
    first = found["ours"]
    if task.kind == "perplexity":
        return {"task": "bits/byte", "items": first["tokens"], "per": "tokens"} | {
            who: r["bits_per_byte"] for who, r in found.items()
        }
    return {
        "task": task.name,
        "items": first["items"],
        "error": first["error"],
        "ties": first["ties"],
        "chance": first["chance"],
        "majority": first["majority"] if len(set(first["gold"])) > 1 else None,  # the place says nothing
        "groups": first["groups"],
    } | {who: r["accuracy"] for who, r in found.items()}


def _retrieval(
    subject: Subject, pictures: Path, ours: TorchScorer, none: TorchScorer, bar: Bar
) -> dict[str, Any]:
    """Which of some held-out captions is the picture's, by likelihood: how often the right one is first."""
    captions, splits = load_openmoji(pictures)
    held = dict.fromkeys(captions.captions[i] for i in splits["holdout"])  # a name is there in every style
    first = {captions.captions[i]: i for i in reversed(splits["holdout"])}
    chosen = np.array([first[name] for name in evenly(list(held), RETRIEVED)])
    names, images = [captions.captions[i] for i in chosen], captions.images(chosen)
    found = {
        who: evaluate_retrieval(scorer, names, images, subject.tokenizer, bar(f"retrieval, {who}"))
        for who, scorer in (("ours", ours), ("untrained", none))
    }
    right = {who: r["likelihood"]["image_to_text"]["recall_at_1"] for who, r in found.items()}
    share, n = right["ours"], len(names)
    error = float(np.sqrt(share * (1 - share) / n))
    return {"task": "captions", "items": n, "error": error, "chance": 1 / n} | right
