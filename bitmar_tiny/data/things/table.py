# SPDX-License-Identifier: Apache-2.0
"""A table of pictures of things, prepared once in a folder:

    pictures.npy    uint8 [M, n, 768]: patches of each picture (see ``data.pixels``); or in its place
    features.npy    float16 [M, n, 768]: what a backbone makes of each
    things.json     what each picture shows and in which view, which things are trained on, which views may be
                    asked where another was shown; written last, so it marks completeness

A **view** is what a thing is shown in: a drawer, a side, a file. A **trial** is a question: some things are
shown, then one of them in another view.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError, DataError
from ...files import parse_json
from ..backbone_record import KEY, UNKNOWN, BackboneRecord, record_of
from ..files import read_json, read_npy, write_json, write_npy

TABLE, RECORD, FORMAT = "pictures.npy", "things.json", 1
#: The vectors of a table that ``bitmar-tiny features`` made of another.
VECTORS = "features.npy"
#: What a thing is for: training, choosing settings, or the test.
SIDES = ("train", "dev", "test")
TRAIN, DEV, TEST = range(3)
#: Parts of the things that are kept for choosing settings and for the test.
KEPT = (0.1, 0.2)
#: Authors and licences of sets of pictures (DATA_LICENSES.md), by the name of the view, or of the source.
CREDITS = {
    "noto": "Noto Emoji, Google, Apache-2.0",
    "noto-v1": "Noto Emoji (first version), Google, Apache-2.0",
    "twemoji": "Twemoji, Twitter and contributors, CC BY 4.0",
    "openmoji": "OpenMoji, the open-source emoji and icon project, CC BY-SA 4.0",
    "fluent-emoji-flat": "Fluent Emoji, Microsoft Corporation, MIT",
    "emojione": "Emoji One, CC BY 4.0",
    "emojione-v1": "Emoji One (first version), CC BY-SA 4.0",
    "fxemoji": "FxEmojis, Mozilla, Apache-2.0",
    "furniture": "Sweet Home 3D furniture: Scopia, Kator Legaz, Reallusion, contributors of Blend Swap, "
    "CC BY 3.0 and CC0",
    "omniglot": "Omniglot, Lake, Salakhutdinov and Tenenbaum, MIT",
}
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Trial:
    """Rows of a table: shown: int64 [N, k], N things, each in k views; asked: thing ``target`` in a view in
    which it was not shown; stranger: a thing that was not shown, as it would be asked, or -1; others: int64
    [N], all the things as they would be asked, or () where that is not known.
    """

    shown: np.ndarray
    asked: int
    target: int
    stranger: int = -1
    others: Sequence[int] | np.ndarray = ()


@dataclass(frozen=True)
class Things:
    """source: what set it is; pictures: [M, n, 768], uint8 patches or float16 features; thing, view: int64
    [M], what each shows; names, views: of things and views; side: int64 [T], of ``SIDES``; group: int64 [T],
    things of one session are of one group; pairs: question -> int64 [P, 2], the views (shown, asked) that it
    is made of; training: the question that is trained on; asked: those that are scored; fixed: trials that
    take the place of drawn ones in the test; backbone: what made the features.
    """

    source: str
    pictures: np.ndarray
    thing: np.ndarray
    view: np.ndarray
    names: list[str]
    views: list[str]
    side: np.ndarray
    group: np.ndarray
    pairs: dict[str, np.ndarray]
    training: str
    asked: list[str]
    fixed: list[Trial] = field(default_factory=list)
    backbone: BackboneRecord | None = None

    @property
    def pixels(self) -> bool:
        """Whether the pictures are patches of pixels, not features."""
        return self.pictures.dtype == np.uint8

    @cached_property
    def row(self) -> np.ndarray:
        """int64 [T, V]: the picture of a thing in a view, -1 where there is none."""
        found = np.full((len(self.names), len(self.views)), -1, np.int64)
        found[self.thing[::-1], self.view[::-1]] = np.arange(len(self.thing))[::-1]
        return found

    def credit(self, row: int) -> str:
        """Whose picture it is, where the set is known."""
        return CREDITS.get(self.views[self.view[row]]) or CREDITS.get(self.source, self.source)

    def trial(
        self, rng: np.random.Generator, side: int, question: str, n: int, k: int = 1, most: bool = False
    ) -> Trial:
        """A trial with ``n`` things of a side, each shown in ``k`` views, and a stranger where one is left.

        One view is for all of them where k is 1. most: fewer things where there are not so many.
        ``DataError`` where there are too few.
        """
        pools = self._pools(side, question, k, n)
        if not pools and most:
            n = max((len(pool) for *_, pool in self._pools(side, question, k, 1)), default=0)
            pools = self._pools(side, question, k, n) if n > 1 else []
        if not pools:
            raise DataError(
                f"{self.source}: too few things to show {n:,} of them and ask for one as '{question}' "
                f"({SIDES[side]}).",
                "Show fewer things, or give more.",
            )
        shown, asked, pool = pools[rng.integers(len(pools))]
        drawn = rng.permutation(pool)[: n + 1]
        rows = np.array([self._some(rng, t, shown, k) for t in drawn[:n]])
        target = int(rng.integers(n))
        stranger = int(self.row[drawn[n], asked]) if len(drawn) > n else -1
        others = self.row[drawn[:n], asked]
        return Trial(rows, int(others[target]), target, stranger, others)

    def _some(self, rng: np.random.Generator, thing: int, views: np.ndarray, k: int) -> np.ndarray:
        rows = self.row[thing, views]
        rows = rows[rows >= 0]
        return rows if len(rows) == k else rng.permutation(rows)[:k]

    def trials(self, side: int, question: str, n: int, count: int, seed: int, k: int = 1) -> list[Trial]:
        """The same ``count`` trials for the same seed; the fixed ones where there are some."""
        if self.fixed and side == TEST:
            return self.fixed
        salt = int.from_bytes(hashlib.sha256(question.encode()).digest()[:4], "little")
        rng = np.random.default_rng([seed, salt, n, k])
        return [self.trial(rng, side, question, n, k) for _ in range(count)]

    @cached_property
    def _known_pools(self) -> dict[tuple[int, str, int], list[tuple[np.ndarray, int, np.ndarray]]]:
        return {}

    def _pools(
        self, side: int, question: str, k: int, least: int
    ) -> list[tuple[np.ndarray, int, np.ndarray]]:
        """(views to show, view to ask, things that have them), those of at least ``least`` things."""
        key = (side, question, k)
        if key not in self._known_pools:
            pairs, found = self.pairs[question], []
            if k > 1:  # any k of the views that go with the one that is asked
                ways = [(pairs[pairs[:, 1] == c, 0], int(c)) for c in np.unique(pairs[:, 1])]
            else:
                ways = [(np.array([a]), int(c)) for a, c in pairs]
            for shown, asked in ways:
                has = (
                    ((self.row[:, shown] >= 0).sum(1) >= k) & (self.row[:, asked] >= 0) & (self.side == side)
                )
                found += [
                    (shown, asked, np.flatnonzero(has & (self.group == g)))
                    for g in np.unique(self.group[has])
                ]
            self._known_pools[key] = found
        return [pool for pool in self._known_pools[key] if len(pool[2]) >= least]


def split_things(names: Sequence[str]) -> np.ndarray:
    """int64 [T]: the side of each thing, by its name alone where none is added. ``DataError`` for too few."""
    counts = [max(1, round(part * len(names))) for part in KEPT]
    if len(names) < 2 + sum(counts):
        raise DataError(
            f"{len(names)} things are too few: some are kept out of training.",
            "Give pictures of more things.",
        )
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(names[i].encode()).digest())
    side = np.zeros(len(names), np.int64)
    side[order[: counts[1]]] = TEST
    side[order[counts[1] : sum(counts)]] = DEV
    return side


def pairs_of(views: int, apart: Callable[[int, int], bool]) -> np.ndarray:
    """int64 [P, 2]: all ordered pairs of views that are ``apart``."""
    found = [(a, c) for a in range(views) for c in range(views) if apart(a, c)]
    return np.array(found, np.int64).reshape(-1, 2)


def save_things(folder: Path, things: Things, made_with: dict[str, Any]) -> None:
    """Write the two files of a table. made_with: all that it depends on."""
    (folder / RECORD).unlink(missing_ok=True)
    write_npy(folder / TABLE, things.pictures)
    save_record(folder, things, made_with)


def save_record(folder: Path, things: Things, made_with: dict[str, Any]) -> None:
    """Write what completes a table whose pictures are there."""
    record = {"format": FORMAT, "made_with": made_with} | {
        k: v.tolist() if isinstance(v, np.ndarray) else v
        for k, v in vars(things).items()
        if k in Things.__dataclass_fields__ and k not in ("pictures", "pairs", "fixed", "backbone")
    }
    record["pairs"] = {k: v.tolist() for k, v in things.pairs.items()}
    if things.backbone:
        record[KEY] = things.backbone.model_dump(mode="json")
    record["fixed"] = [[t.shown.tolist(), t.asked, t.target, t.stranger] for t in things.fixed]
    write_json(folder / RECORD, record)


def same_things(folder: Path, made_with: dict[str, Any]) -> bool:
    """Whether the folder holds a whole table that was made with this."""
    try:
        record = read_json(folder / RECORD)
        whole = (folder / TABLE).is_file() and record["format"] == FORMAT
        return whole and record["made_with"] == parse_json(json.dumps(made_with))
    except (DataError, KeyError, TypeError):
        return False


def load_things(folder: Path) -> Things:
    """Open a table, memory-mapped. ``DataError`` for anything else."""
    record = read_json(folder / RECORD)
    pictures = read_npy(folder / (TABLE if (folder / TABLE).is_file() else VECTORS), mapped=True)
    try:
        backbone = record_of(record, str(folder / RECORD))
        if pictures.dtype == np.float16:
            backbone = backbone or UNKNOWN
        arrays = {k: np.array(record[k], np.int64) for k in ("thing", "view", "side", "group")}
        things = Things(
            record["source"],
            pictures,
            **arrays,
            names=record["names"],
            views=record["views"],
            pairs={k: np.array(v, np.int64).reshape(-1, 2) for k, v in record["pairs"].items()},
            training=record["training"],
            asked=record["asked"],
            fixed=[Trial(np.array(shown, np.int64), *rest) for shown, *rest in record["fixed"]],
            backbone=backbone,
        )
        fits = record["format"] == FORMAT and pictures.dtype == (np.float16 if backbone else np.uint8)
        fits = fits and _fits(things)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, ConfigError):
        fits = False
    if not fits:
        raise DataError(
            f"{folder / RECORD}: not a table of things.", "Delete the folder and prepare it again."
        )
    return things


def _fits(t: Things) -> bool:
    """Whether every number points at something."""

    def inside(values: np.ndarray, end: int) -> bool:
        return not values.size or bool(values.min() >= 0 and values.max() < end)

    rows = len(t.pictures)
    return (
        t.pictures.ndim == 3
        and len(t.thing) == len(t.view) == rows
        and len(t.side) == len(t.group) == len(t.names)
        and inside(t.thing, len(t.names))
        and inside(t.view, len(t.views))
        and inside(t.side, len(SIDES))
        and all(inside(p, len(t.views)) for p in t.pairs.values())
        and {t.training, *t.asked} <= set(t.pairs)
        and all(inside(np.append(f.shown, f.asked), rows) and f.target < len(f.shown) for f in t.fixed)
    )
