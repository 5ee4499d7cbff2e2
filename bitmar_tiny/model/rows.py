# SPDX-License-Identifier: Apache-2.0
"""Batches as flat rows, so that positions which do not count cost nothing."""

from __future__ import annotations

import torch
from torch import Tensor


class Rows:
    """The positions of a batch [B, T] that are computed, as n flat rows: those that ``at`` (mask or index)
    selects, or all.

    stream, time: int64 [n], where each row stands.
    """

    def __init__(self, tokens: Tensor, at: Tensor | None) -> None:
        self.shape = tokens.shape
        if at is None:
            flat = torch.arange(tokens.numel(), device=tokens.device)
        else:
            flat = at.flatten().nonzero()[:, 0] if at.dtype == torch.bool else at
        self.at = None if at is None else flat
        self.stream, self.time = flat // self.shape[1], flat % self.shape[1]

    def take(self, x: Tensor) -> Tensor:
        """[B, T, ...] -> [n, ...]"""
        x = x.flatten(0, 1)
        return x if self.at is None else x[self.at]

    def pad(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """[n, m] each -> [B, T, m] each, 0 at the positions left out."""
        if self.at is not None:
            parts = tuple(
                x.new_zeros(self.shape.numel(), x.shape[1]).index_copy(0, self.at, x) for x in parts
            )
        return tuple(x.unflatten(0, self.shape) for x in parts)
