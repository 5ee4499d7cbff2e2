"""From batches of numbers to what a step takes: prepared ahead in threads, pinned, copied while the device computes."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..data.mixture import Batch
from .augment import shift_patches
from .config import TrainConfig
from .distributed import World

#: Threads and batches ahead. A batch is a pure function of its number, so that order and timing cannot matter.
THREADS, AHEAD = 2, 4


class Batches(Protocol):
    """Training data: a pure function of the batch's number (``data.mixture.Mixture``). ``rows`` is given to some rows alone."""

    def batch(self, step: int, rows: slice = ...) -> Batch: ...


@dataclass(frozen=True)
class Feed:
    """One process's rows of a batch, ready for the model.

    tokens: int64 [B, T]; at: int64 [n], positions that count, of the flattened [B*T]; labels: int64 [n]; lengths: int64 [B];
    images: float32 [B, image_inputs, 768] or None; has_image: bool [B], None where all have one;
    share: what a mean over these labels weighs in the mean over all processes; size: lengths as NumPy sees them; total:
    labels of the whole batch.
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

    def to(self, device: torch.device) -> "Feed":
        """The same on ``device``, copied without waiting."""
        if device.type == "cpu":
            return self
        return replace(self, **{k: v.to(device, non_blocking=True) for k, v in vars(self).items() if isinstance(v, Tensor)})

    def pinned(self) -> "Feed":
        return replace(self, **{k: v.pin_memory() for k, v in vars(self).items() if isinstance(v, Tensor)})


def prepare(batch: Batch, world_size: int = 1) -> Feed:
    """Arrays of a batch, or of this process's rows of it, as tensors."""
    inside = np.arange(batch.tokens.shape[1]) < batch.lengths[:, None]
    at = np.flatnonzero(inside)
    return Feed(torch.from_numpy(batch.tokens), torch.from_numpy(at), torch.from_numpy(batch.labels.reshape(-1)[at]),
                torch.from_numpy(batch.lengths), None if batch.images is None else torch.from_numpy(batch.images),
                None if batch.has_image.all() else torch.from_numpy(batch.has_image),
                len(at) * world_size / batch.total if world_size > 1 else 1.0, batch.lengths, batch.total or len(at))


class Feeder:
    """Feeds in order, from ``first`` on. A context manager: its threads end with it."""

    def __init__(self, data: Batches, cfg: TrainConfig, world: World = World(), first: int = 0) -> None:
        self.data, self.cfg, self.world, self.number = data, cfg, world, first
        self.rows = world.rows(cfg.batch_size)
        self.pool = ThreadPoolExecutor(THREADS, "feed")
        self.ahead: deque[Future[Feed]] = deque()

    def __enter__(self) -> "Feeder":
        return self

    def __exit__(self, *error: Any) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def make(self, number: int) -> Feed:
        """The feed of one batch, on the host. Pure."""
        some = () if self.world.size == 1 else (self.rows,)
        batch = self.data.batch(number, *some)
        if batch.images is not None and self.cfg.augment_shift:
            images = shift_patches(batch.images, self.cfg.augment_shift, (self.cfg.seed, number), *some,
                                   total=self.cfg.batch_size if some else 0)
            batch = replace(batch, images=images)
        feed = prepare(batch, self.world.size)
        return feed.pinned() if self.world.device.type == "cuda" else feed

    def next(self) -> Feed:
        """The next feed, on the device."""
        while len(self.ahead) < AHEAD:
            self.ahead.append(self.pool.submit(self.make, self.number))
            self.number += 1
        return self.ahead.popleft().result().to(self.world.device)
