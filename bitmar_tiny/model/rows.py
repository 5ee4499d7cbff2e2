# SPDX-License-Identifier: Apache-2.0
"""Batches as flat rows, so that positions which do not count cost nothing."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor


class Rows:
    """The positions of a batch [B, T] that are computed, as n flat rows: those that ``at`` (mask or index)
    selects, or all.

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
