# SPDX-License-Identifier: Apache-2.0
"""The order of the head's columns and rows for picks that leave out what cannot win, and how much they leave
out.

A head of ``2-skip`` is packed in tiles of 16 rows, cut into steps of 16 columns. After each step the runtime
knows what the other columns can still add, R, the sum of their |x|. Where no row of the tile can reach the
worst candidate so far, the rest of the tile is not read (bm_gemv_skip.c holds the proof). R falls quickest
where the columns with the largest |x| come first. A tile is left the sooner, the more its rows are alike, so
those of a window of 64 ids lie in the order of their mean logits. Both orders are seen while the model
writes: ``skip_order`` lets it write for ``STEPS`` steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.golden.sampler import Sampler

from .pack import SKIP_ROWS, SKIP_STEP, SKIP_WINDOW, skip_ids

#: Steps that the model writes, in episodes of at most ``EPISODE``.
STEPS, EPISODE = 256, 32
#: Candidates of a draw: the more, the less the model repeats itself.
_TOP_K = 256
_KEPT = 8


@dataclass(frozen=True)
class SkipOrder:
    """``columns``: uint16 [d], the column that is multiplied first, second, ... ``places``: uint8 [V], of the
    rows as they lie, each one's place in its window of ids. ``read``: the share of the head that greedy picks
    read, measured on the same steps.
    """

    columns: np.ndarray
    places: np.ndarray
    read: float


_known: dict[str, SkipOrder] = {}


def skip_order(model: FrozenModel) -> SkipOrder:
    """The order for a model; the same on every machine, as golden computes it."""
    if model.digest not in _known:
        inputs, trits = _written(model), model.arrays["head.w.trits"]
        columns = np.argsort(-np.abs(inputs.astype(np.int64)).sum(0), kind="stable").astype(np.uint16)
        sums = -(trits @ inputs.astype(np.int64).sum(0))
        windows = [sums[i : i + SKIP_WINDOW] for i in range(0, len(sums), SKIP_WINDOW)]
        places = np.concatenate([np.argsort(w, kind="stable") for w in windows]).astype(np.uint8)
        while len(_known) >= _KEPT:
            _known.pop(next(iter(_known)))
        _known[model.digest] = SkipOrder(columns, places, read_share(trits, columns, places, inputs))
    return _known[model.digest]


def read_share(trits: np.ndarray, columns: np.ndarray, places: np.ndarray, inputs: np.ndarray) -> float:
    """Share of the head's bytes that greedy picks read. trits: int8 [V, d]; inputs: int8 [steps, d]."""
    rows, width = (-(-n // to) * to for n, to in zip(trits.shape, (SKIP_ROWS, SKIP_STEP), strict=True))
    head = np.zeros((rows, width), np.float32)
    head[: len(trits), : len(columns)] = trits[skip_ids(places)][:, columns]
    x = np.zeros((len(inputs), width), np.float32)
    x[:, : len(columns)] = inputs[:, columns]
    read = 0
    for step in x:
        read += _steps_read(head, step, len(trits)).sum()
    return float(read) / (len(x) * rows // SKIP_ROWS * width // SKIP_STEP)


def _steps_read(head: np.ndarray, x: np.ndarray, vocab: int) -> np.ndarray:
    """Steps of each tile that a greedy pick reads. int64 [tiles]."""
    steps = x.size // SKIP_STEP
    parts = (head.reshape(-1, steps, SKIP_STEP) * x.reshape(steps, SKIP_STEP)).sum(2)  # below 2^24: exact
    sums = parts.cumsum(1)
    tops = sums.reshape(-1, SKIP_ROWS, steps).max(1)  # with the rows that only fill the last tile, all 0
    sums[vocab:] = -np.inf
    whole = sums[:, -1].reshape(-1, SKIP_ROWS).max(1)
    best = np.maximum.accumulate(np.concatenate([[-np.inf], whole[:-1]]))
    rest = np.abs(x).sum() - np.abs(x).reshape(steps, SKIP_STEP).sum(1).cumsum()
    goes_on = (tops + rest >= best[:, None])[:, :-1]
    return 1 + np.logical_and.accumulate(goes_on, axis=1).sum(1)


def _written(model: FrozenModel) -> np.ndarray:
    """int8 inputs of the head [STEPS, d] while the model writes what it draws, without an image."""
    codes: list[np.ndarray] = []
    golden = GoldenModel(
        model.config,
        model.arrays,
        lambda name, a: codes.append(a) if name == "head.codes" else None,
        read_only=True,
    )
    sampler, eos = Sampler(1.0, min(_TOP_K, model.config.vocab_size), 0), model.config.vocab_size - 1
    while len(codes) < STEPS:
        golden.begin_episode()
        token = eos
        for _ in range(EPISODE):
            acc = golden.step(token)
            token = sampler.pick(acc, golden.head_scale * model.arrays["head.w.scale"])
            if token == eos or len(codes) == STEPS:
                break
    return np.stack(codes)
