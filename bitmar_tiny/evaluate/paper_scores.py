# SPDX-License-Identifier: Apache-2.0
"""The scores that the paper gives and a model of ours can have, beside what anybody reaches without training:
by guessing, by the most frequent answer, by word frequencies, and by the same network untrained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.collect.build import HELD_OUT, TRAIN, complete
from ..data.openmoji import load_openmoji
from ..data.shards import build_tokens
from ..errors import DataError
from .ablate import ablate_tasks
from .choice import credit
from .formats import evenly
from .model_record import short
from .retrieval import likelihood_matrix
from .scoring import Progress, Scorer
from .suite import PERPLEXITY, Subject, TextTask, open_scorer, text_task
from .unigram import UnigramScorer

SCHEMA, VERSION = "bitmar-tiny/paper-scores", 1
#: What comes along, and needs no file of the user's.
ALONG = ("boolq", "piqa", "commonsenseqa")
#: Pictures among which captions are looked for, and the name of that task.
RETRIEVED, CAPTIONS = 50, "captions"
#: Tasks that are also scored with the memory off and shuffled.
ABLATED = (PERPLEXITY, "blimp", CAPTIONS)
Bar = Callable[[str], Progress]


def score_paper(
    subject: Subject,
    corpus: Path,
    blimp: Path | None,
    limit: int | None,
    bar: Bar,
    ablate: bool = False,
    keep: Path | None = None,
) -> dict[str, Any]:
    """One row a task: what the model reaches, and ``chance``, ``majority``, ``unigram`` (frequencies in the
    training text), ``untrained`` (the same shapes with random weights).

    corpus: a folder that ``bitmar-tiny corpus`` wrote; blimp: BLiMP's folder or archive; limit: so many items
    of each task; ablate: the tasks of ``ABLATED`` also with the memory off and shuffled (a frozen model),
    under ``ablation``; keep: a folder in which scores are kept, and looked up. ``DataError`` where the corpus
    is not whole.
    """
    if complete(corpus) is None:
        raise DataError(
            f"{corpus}: holds no corpus, or one that is not whole.", f"Run: bitmar-tiny corpus -o {corpus}"
        )
    specs = [*([f"blimp={blimp}"] if blimp else []), *ALONG, f"{PERPLEXITY}={corpus / HELD_OUT}"]
    tasks = [text_task(spec, subject, limit) for spec in specs]
    pictures = corpus / f"pictures-{subject.config.image_inputs}"
    tasks += [_captions(subject, pictures)] if pictures.is_dir() else []
    texts = build_tokens(subject.tokenizer, [corpus / TRAIN], corpus / "tokens")
    unigram = UnigramScorer(texts, subject.tokenizer.vocab_size)
    random = untrained(subject)
    with open_scorer(subject, keep=keep) as ours, open_scorer(random, keep=keep) as none:
        found = {
            task.name: {
                who: task.run(scorer, bar(f"{task.name}, {who}"))
                for who, scorer in (("ours", ours), ("untrained", none), ("unigram", unigram))
                if not (who == "unigram" and task.name == CAPTIONS)  # it sees no picture
            }
            for task in tasks
        }
    report = {
        "schema": SCHEMA,
        "schema_version": VERSION,
        "model": subject.name,
        "model_sha256": subject.frozen.digest if subject.frozen else None,
        "limit": limit,
        "rows": [_row(task, found[task.name]) for task in tasks],
    }
    if ablate:
        known = {name: by["ours"] for name, by in found.items()}
        some = [task for task in tasks if task.name in ABLATED]
        by_task = ablate_tasks(subject, some, "torch", bar, known=known, keep=keep)
        report["ablation"] = {"tasks": short(by_task)}
    return report


def untrained(subject: Subject) -> Subject:
    """The same shapes with random weights: what training begins with."""
    import torch

    from ..model.bitmar import BitMar

    torch.manual_seed(0)
    return replace(subject, name="untrained", frozen=None, network=BitMar(subject.config).eval())


def _row(task: TextTask, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    first = found["ours"]
    if task.kind == PERPLEXITY:
        return {"task": "bits/byte", "items": first["tokens"], "per": "tokens"} | {
            who: r["bits_per_byte"] for who, r in found.items()
        }
    told = len(set(first.get("gold", ()))) > 1  # else the place says nothing
    return {
        "task": task.name,
        "items": first["items"],
        "error": first["error"],
        "ties": first["ties"],
        "chance": first["chance"],
        "majority": first["majority"] if told else None,
        "groups": first.get("groups", {}),
    } | {who: r["accuracy"] for who, r in found.items()}


def _captions(subject: Subject, pictures: Path) -> TextTask:
    """Which of some held-out captions is the picture's, by likelihood: how often the right one is first."""
    captions, splits = load_openmoji(pictures)
    held = dict.fromkeys(captions.captions[i] for i in splits["holdout"])  # a name is there in every style
    first = {captions.captions[i]: i for i in reversed(splits["holdout"])}
    chosen = np.array([first[name] for name in evenly(list(held), RETRIEVED)])
    names, images = [captions.captions[i] for i in chosen], captions.images(chosen)

    def run(scorer: Scorer, progress: Progress | None) -> dict[str, Any]:
        table = likelihood_matrix(scorer, names, images, subject.tokenizer, progress)
        right = np.array([credit(row, i) for i, row in enumerate(table)])
        return {
            "items": len(names),
            "accuracy": float(right.mean()),
            "error": float(right.std() / np.sqrt(len(names))),
            "ties": int(sum((row == row.max()).sum() > 1 for row in table)),
            "chance": 1 / len(names),
            "credits": right.tolist(),
        }

    return TextTask(CAPTIONS, "choice", run)
