# SPDX-License-Identifier: Apache-2.0
"""Greedy choice and temperature/top-k sampling in integers, so that golden and C pick the same token.

The generator is PCG-XSH-RR 64/32 (O'Neill 2014, pcg-random.org), one 32-bit draw per token.
"""

from __future__ import annotations

import numpy as np

from . import numerics as nm

F32 = np.float32
MAX_TOP_K = 256
_MASK = (1 << 64) - 1
_MUL, _INC = 6364136223846793005, 1442695040888963407


class Pcg32:
    """PCG-XSH-RR 64/32 with the default stream; ``seed`` is any integer below 2**64."""

    def __init__(self, seed: int) -> None:
        self.state = 0
        self.next()
        self.state = (self.state + seed) & _MASK
        self.next()

    def next(self) -> int:
        """Next 32-bit draw."""
        old = self.state
        self.state = (old * _MUL + _INC) & _MASK
        x = (((old >> 18) ^ old) >> 27) & 0xFFFFFFFF
        r = old >> 59
        return ((x >> r) | (x << (-r & 31))) & 0xFFFFFFFF


#: Below it a temperature is 0: its reciprocal could overflow.
COLDEST = F32(2.0**-20)


class Sampler:
    """``temperature`` below ``COLDEST`` is greedy (a tie: lowest id); else top-k sampling, 1 <= k <= 256."""

    def __init__(self, temperature: float = 0.0, top_k: int = 40, seed: int = 0) -> None:
        assert 1 <= top_k <= MAX_TOP_K and temperature >= 0
        self.temperature = F32(temperature) if temperature >= COLDEST else F32(0)
        self.top_k, self.rng = top_k, Pcg32(seed)

    def pick(self, acc: np.ndarray, scale: np.float32) -> int:
        """Choose from integer logits int32 [V]; ``scale`` = head_scale * weight scale."""
        if self.temperature == 0:
            return int(np.argmax(acc))
        order = np.argsort(-acc.astype(np.int64), kind="stable")[: self.top_k]  # ties: lowest id first
        z = (acc[order] - acc[order[0]]).astype(np.float32) * (scale / self.temperature)
        w = nm.rne(nm.exp_neg(z) * F32(65536)).astype(np.int64)
        r = (self.rng.next() * int(w.sum())) >> 32
        return int(order[np.searchsorted(np.cumsum(w), r, side="right")])
