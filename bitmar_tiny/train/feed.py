# SPDX-License-Identifier: Apache-2.0
"""From batches of numbers to what a step takes: prepared ahead in threads, pinned, copied while the device
computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.batch import Batch
from ..data.sessions import LONGEST
from .augment import distort_patches, mirror_patches, shift_patches, tint_patches
from .config import TrainConfig
from .distributed import World

#: Threads and batches ahead. A batch is a pure function of its number, so that order and timing cannot
#: matter.
THREADS, AHEAD = 2, 4


class Batches(Protocol):
    """Training data: a pure function of the batch's number (``data.mixture.Mixture``). ``rows`` is given to
    some rows alone.
    """

    def batch(self, step: int, rows: slice = ...) -> Batch: ...


@dataclass(frozen=True)
class Feed:
    """One process's rows of a batch, ready for the model.

    tokens: int64 [B, T]; at: int64 [n], positions that count, of the flattened [B*T], the
    shortest stream's first, so that attention pays for little padding; labels: int64 [n];
    lengths: int64 [B]; images: float32 [B, image_inputs, 768] or None; has_image: bool [B], None where all
    have one; share: what a mean over these labels weighs in the mean over all processes; size: lengths as
    NumPy sees them; total: labels of the whole batch; episodes: what is written to the memory before this
    feed reads it, the last streams of the optimiser step before, the same in every process; None where its
    queries are kept instead; before: G blocks of E earlier episodes [G*E], each of which one memory holds, or
    None; blocks: G; memory: int64 [B], which memory each stream reads, given where before is; target: int64
    [B], which of its episodes holds the answer, as in ``data.sessions.Session``, or None;
    asked: int64 [B], last token before the answer, None: the last token; things: int64 [B], of earlier
    episodes, what each is about, -1 where nobody knows, or None.
    """

    tokens: Tensor
    at: Tensor
    labels: Tensor
    lengths: Tensor
    images: Tensor | None
    has_image: Tensor | None
    share: float
    size: np.ndarray
    total: int
    episodes: Feed | None = None
    before: Feed | None = None
    blocks: int = 0
    memory: Tensor | None = None
    target: Tensor | None = None
    asked: Tensor | None = None
    things: Tensor | None = None

    def to(self, device: torch.device) -> Feed:
        """The same on ``device``, copied without waiting."""
        return self if device.type == "cpu" else self._each(lambda x: x.to(device, non_blocking=True))

    def pinned(self) -> Feed:
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Feed:
        """Every tensor changed, those of the episodes, too."""
        return replace(
            self,
            **{
                k: change(v) if isinstance(v, Tensor) else v._each(change)
                for k, v in vars(self).items()
                if isinstance(v, (Tensor, Feed))
            },
        )


def prepare(batch: Batch, world_size: int = 1) -> Feed:
    """Arrays of a batch, or of this process's rows of it, as tensors."""
    length = batch.tokens.shape[1]
    order = np.argsort(batch.lengths, kind="stable")
    at = (order[:, None] * length + np.arange(length))[np.arange(length) < batch.lengths[order, None]]
    return Feed(
        torch.from_numpy(batch.tokens),
        torch.from_numpy(at),
        torch.from_numpy(batch.labels.reshape(-1)[at]),
        torch.from_numpy(batch.lengths),
        None if batch.images is None else torch.from_numpy(batch.images),
        None if batch.has_image.all() else torch.from_numpy(batch.has_image),
        len(at) * world_size / batch.total if world_size > 1 else 1.0,
        batch.lengths,
        batch.total or len(at),
        before=None if batch.before is None else prepare(batch.before),
        blocks=len(batch.tokens) if batch.block is None else len(batch.block),
        memory=torch.arange(len(batch.tokens)) if batch.memory is None else torch.from_numpy(batch.memory),
        target=None if batch.target is None else torch.from_numpy(batch.target),
        asked=None if batch.asked is None else torch.from_numpy(batch.asked),
        things=None if batch.things is None else torch.from_numpy(batch.things),
    )


def joined(a: Feed, b: Feed) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor]:
    """The streams of ``a``, then those of ``b``: tokens, images, has_image and at, as in a feed."""
    length = max(a.tokens.shape[1], b.tokens.shape[1])
    tokens = torch.cat([F.pad(f.tokens, (0, length - f.tokens.shape[1])) for f in (a, b)])
    at = torch.cat(
        [
            (f.at // f.tokens.shape[1] + first) * length + f.at % f.tokens.shape[1]
            for f, first in ((a, 0), (b, len(a.tokens)))
        ]
    )
    if a.images is None and b.images is None:
        return tokens, None, None, at
    shape = next(f.images.shape[1:] for f in (a, b) if f.images is not None)
    images = [
        f.tokens.new_zeros(len(f.tokens), *shape, dtype=torch.float32) if f.images is None else f.images
        for f in (a, b)
    ]
    if a.has_image is None and b.has_image is None and a.images is not None and b.images is not None:
        return tokens, torch.cat(images), None, at
    there = [
        f.has_image
        if f.has_image is not None
        else at.new_full((len(f.tokens),), f.images is not None, dtype=torch.bool)
        for f in (a, b)
    ]
    return tokens, torch.cat(images), torch.cat(there), at


class Feeder:
    """Feeds in order, from ``first`` on. A context manager: its threads end with it."""

    def __init__(self, data: Batches, cfg: TrainConfig, world: World = World(), first: int = 0) -> None:
        self.data, self.cfg, self.world, self.number = data, cfg, world, first
        self.rows = world.rows(cfg.batch_size)
        self.pool = ThreadPoolExecutor(THREADS, "feed")
        self.ahead: deque[Future[Feed]] = deque()

    def __enter__(self) -> Feeder:
        return self

    def __exit__(self, *error: Any) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def make(self, number: int) -> Feed:
        """The feed of one batch, on the host. Pure."""
        feed = prepare(self._batch(number, () if self.world.size == 1 else (self.rows,)), self.world.size)
        written, writes = (
            number - number % self.cfg.accumulation - 1,
            min(self.cfg.writes_per_batch, self.cfg.batch_size),
        )
        if self.cfg.write_gradient and writes and written >= 0:
            last = slice(self.cfg.batch_size - writes, self.cfg.batch_size)
            feed = replace(feed, episodes=prepare(self._batch(written, (last,))))
        return feed.pinned() if self.world.device.type == "cuda" else feed

    def _batch(self, number: int, some: tuple[slice, ...]) -> Batch:
        """One batch, or some rows of it, with all its pictures changed a little."""
        batch, before = self.data.batch(number, *some), None
        rows, total = np.arange(self.cfg.batch_size)[some[0] if some else slice(None)], self.cfg.batch_size
        if batch.before is not None:  # episode by episode of each block, however many there are here
            episodes = len(batch.before.tokens) // len(batch.block)
            each = (batch.block[:, None] * LONGEST + np.arange(episodes)).ravel()
            told = self._mirrored(batch.before, number, batch.block.repeat(episodes))
            batch = self._mirrored(batch, number, batch.block[batch.memory])
            before = self._changed(told, (self.cfg.seed, number, 1), each, total * LONGEST)
        return replace(self._changed(batch, (self.cfg.seed, number), rows, total), before=before)

    def _mirrored(self, batch: Batch, number: int, block: np.ndarray) -> Batch:
        """All pictures of one memory and its questions alike. block: int64 [B], which memory."""
        if batch.images is None or self.cfg.augment_symmetry == 1:
            return batch
        rng = np.random.default_rng((self.cfg.seed, number, 3))
        kinds = rng.integers(0, self.cfg.augment_symmetry, self.cfg.batch_size)
        return replace(batch, images=mirror_patches(batch.images, kinds[block]))

    def _changed(self, batch: Batch, seed: tuple[int, ...], rows: np.ndarray, total: int) -> Batch:
        """``rows``: which pictures of ``total`` the batch has."""
        if batch.images is None:
            return batch
        images = shift_patches(batch.images, self.cfg.augment_shift, seed, rows, total)
        images = distort_patches(images, self.cfg.augment_affine, (*seed, 2), rows, total)
        images = tint_patches(images, self.cfg.augment_colour, (*seed, 4), rows, total)
        return replace(batch, images=images)

    def next(self) -> Feed:
        """The next feed, on the device."""
        while len(self.ahead) < AHEAD:
            self.ahead.append(self.pool.submit(self.make, self.number))
            self.number += 1
        return self.ahead.popleft().result().to(self.world.device)
