# SPDX-License-Identifier: Apache-2.0
"""Multiple choice by log-likelihood: which option would the model rather have written?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..data.tokenizer import Tokenizer
from ..errors import DataError
from .formats import Item
from .scoring import Progress, Query, Scorer


@dataclass(frozen=True)
class ChoiceResult:
    """Scores of one task, as fractions. accuracy: by the sum of an option's log-probabilities; accuracy_norm:
    by that sum per byte of the option's text; chance: of guessing; majority: of always giving the most
    frequent answer; error: standard error of accuracy. Where several options have the largest score, an item
    counts as right in equal parts: ``ties`` items.

    For WUG, ``correlation`` is Spearman's rank correlation with what people prefer. picks: the option chosen
    by the sum, per item; gold: the right one; credits: 1 for a right pick, 0 for a wrong one, part of 1 for a
    tie.
    """

    items: int
    accuracy: float
    accuracy_norm: float
    chance: float
    majority: float
    error: float
    groups: dict[str, float]
    cut: int
    ties: int = 0
    correlation: float | None = None
    picks: list[int] = field(default_factory=list)
    gold: list[int] = field(default_factory=list)
    credits: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def queries(
    items: Sequence[Item], tokenizer: Tokenizer, longest: int, images: np.ndarray | None = None
) -> tuple[list[Query], int]:
    """One query for every option of every item, and how many items had their context cut.

    Contexts begin with EOS and lose their first tokens where context and longest option would have the model
    read more than ``longest`` tokens: all options of an item see equally much. A space between context and
    option belongs to the option. images: float32 [N, n, 768], by ``Item.image``; None leaves images out.
    """
    found, cut = [], 0
    texts = list(tokenizer.encode_batch(text for item in items for pair in _pairs(item) for text in pair))
    at = iter(ids.tolist() for ids in texts)
    for item in items:
        pairs = [(next(at), next(at)) for _ in item.options]
        if not all(option for _, option in pairs):
            raise DataError(
                f"An option of the item '{item.contexts[0][:40]}...' is empty.",
                "Use a complete copy of the file.",
            )
        room = max(longest - max(len(option) for _, option in pairs), 0)
        cut += any(len(context) > room for context, _ in pairs)
        image = None if images is None or item.image is None else _image(images, item.image)
        for context, option in pairs:
            found.append(
                Query((tokenizer.eos, *context[max(len(context) - room, 0) :]), tuple(option), image)
            )
    return found, cut


def _pairs(item: Item) -> list[tuple[str, str]]:
    """(context, option) texts, spaces at the end of the context moved to the option."""
    pairs = []
    for i, option in enumerate(item.options):
        context = item.context(i)
        bare = context.rstrip()
        pairs.append((bare, context[len(bare) :] + option))
    return pairs


def _image(images: np.ndarray, row: int) -> np.ndarray:
    if not 0 <= row < len(images):
        raise DataError(
            f"An item names image {row}, the features are of {len(images)} images.",
            "Give the features that belong to this file.",
        )
    return images[row]


def evaluate_choice(
    scorer: Scorer,
    items: Sequence[Item],
    tokenizer: Tokenizer,
    longest: int,
    images: np.ndarray | None = None,
    progress: Progress | None = None,
) -> ChoiceResult:
    """Score every option of every item. ``DataError`` if there is no item or an option is empty."""
    if not items:
        raise DataError("There is no item to score.", "Give a file that holds some.")
    asked, cut = queries(items, tokenizer, longest, images)
    totals = iter(likelihood.total for likelihood in scorer.score(asked, progress))
    sums = [np.array([next(totals) for _ in item.options]) for item in items]
    sizes = [np.array([len(option.strip().encode()) for option in item.options]) for item in items]
    gold = np.array([item.gold for item in items])
    picks = np.array([int(s.argmax()) for s in sums])
    right = np.array([credit(s, g) for s, g in zip(sums, gold, strict=True)])
    right_norm = np.array(
        [credit(s / np.maximum(n, 1), g) for s, n, g in zip(sums, sizes, gold, strict=True)]
    )
    groups: dict[str, list[float]] = {}
    for item, hit in zip(items, right, strict=True):
        groups.setdefault(item.group, []).append(float(hit))
    accuracy = float(right.mean())
    return ChoiceResult(
        items=len(items),
        accuracy=accuracy,
        accuracy_norm=float(right_norm.mean()),
        chance=float(np.mean([1 / len(item.options) for item in items])),
        majority=max(Counter(gold.tolist()).values()) / len(items),
        error=float(right.std() / np.sqrt(len(items))),
        groups={name: float(np.mean(hits)) for name, hits in sorted(groups.items())}
        if len(groups) > 1
        else {},
        cut=cut,
        ties=int(sum((s == s.max()).sum() > 1 for s in sums)),
        correlation=_correlation(items, sums),
        picks=picks.tolist(),
        gold=gold.tolist(),
        credits=right.tolist(),
    )


def credit(scores: np.ndarray, gold: int) -> float:
    """1 where the right option alone has the largest score, 1/k where k options share it, else 0."""
    best = scores == scores.max()
    return float(best[gold]) / int(best.sum())


def _correlation(items: Sequence[Item], sums: Sequence[np.ndarray]) -> float | None:
    """Spearman's correlation of the model's preference for the first option (softmax of the sums) with
    people's; None without theirs.
    """
    if any(item.human is None for item in items) or len(items) < 2:
        return None
    mine = [1 / np.exp(s - s[0]).sum() for s in sums]
    return spearman(np.array(mine), np.array([item.human for item in items], float))


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation of two float [n], ties at their mean rank; 0 where one is constant."""
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / scale) if scale > 0 else 0.0


def _ranks(a: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(a, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]
