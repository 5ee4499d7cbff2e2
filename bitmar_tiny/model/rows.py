# SPDX-License-Identifier: Apache-2.0
"""Batches as flat rows, so that positions which do not count cost nothing."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

#: Scores of one head that a group's attention may have at least, and at most, before it is parted: fewer are
#: not worth the calls, more do not stay in the cache.
WORTH, LARGE = 1 << 13, 1 << 18


class Rows:
    """The positions of a batch [B, T] that are computed, as n flat rows: those that ``at`` (mask or index)
    selects, stream after stream, or all.

    stream, time: int64 [n], where each row stands.
    """

    def __init__(self, tokens: Tensor, at: Tensor | None) -> None:
        if at is not None and at.dtype == torch.bool:
            at = at.flatten().nonzero()[:, 0]
        flat = torch.arange(tokens.numel(), device=tokens.device) if at is None else at
        self.shape, self.at = tokens.shape, at
        self.stream, self.time = flat // self.shape[1], flat % self.shape[1]

    def split(self, streams: int, rows: int) -> tuple[Rows, Rows]:
        """The first ``streams``, which are the first ``rows``, and the others."""
        parts = copy(self), copy(self)
        for part, some, first, count in (
            (parts[0], slice(rows), 0, streams),
            (parts[1], slice(rows, None), streams, self.shape[0] - streams),
        ):
            part.shape = torch.Size((count, self.shape[1]))
            part.stream, part.time = self.stream[some] - first, self.time[some]
            part.at = part.stream * self.shape[1] + part.time
        return parts

    def groups(self) -> list[tuple[int, Rows]]:
        """Groups of streams that stand one after the other, (how many rows, a batch of their own that is as
        long as the longest of them): what attention pays for. A GPU takes all at once.
        """
        if self.at is None or self.at.is_cuda:
            return [(len(self.time), self)]
        lengths = torch.unique_consecutive(self.stream, return_counts=True)[1].tolist()
        found, row, first = [], 0, 0
        for count in _parts(lengths):
            size = lengths[first : first + count]
            group, length, n = copy(self), max(size), sum(size)
            group.stream = torch.arange(count).repeat_interleave(torch.tensor(size))
            group.shape, group.time = torch.Size((count, length)), self.time[row : row + n]
            group.at = None if n == count * length else group.stream * length + group.time
            found.append((n, group))
            row, first = row + n, first + count
        return found

    def take(self, x: Tensor) -> Tensor:
        """[B, T, ...] -> [n, ...]"""
        x = x.flatten(0, 1)
        return x if self.at is None else x[self.at]

    def pad(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """[n, ...] each -> [B, T, ...] each, 0 at the positions left out."""
        if self.at is not None:
            parts = tuple(
                x.new_zeros(self.shape.numel(), *x.shape[1:]).index_copy(0, self.at, x) for x in parts
            )
        return tuple(x.unflatten(0, self.shape) for x in parts)


def _parts(lengths: list[int]) -> list[int]:
    """How many streams of these lengths each group has: halved as long as that pays."""
    half = len(lengths) // 2
    whole, *halves = (len(x) * max(x, default=0) ** 2 for x in (lengths, lengths[:half], lengths[half:]))
    if half and (whole > LARGE or sum(halves) + WORTH < whole):
        return _parts(lengths[:half]) + _parts(lengths[half:])
    return [len(lengths)] if lengths else []
