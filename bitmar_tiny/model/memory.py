# SPDX-License-Identifier: Apache-2.0
"""Episodic memory in PyTorch: the streamed read of golden, and a differentiable write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..golden import numerics as nm
from .arithmetic import PROB_ONE, FloatTwin, Quantised, round_ste


def read(math: Quantised, query: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """M_r = softmax(M q / sqrt(C))^T M (paper eq. 2) for pooled queries [B, n, C]. Returns float32 [B, n, C].

    codes [K, C] and scales [K]: one memory that all streams read; [B, K, C] and [B, K]: one for each. In eval
    mode the running maximum goes block by block as in ``numerics.memory_read``; training takes one block.
    """
    q, q_scale = math.norm(query)
    per_unit = q_scale * float(nm.inv_sqrt(query.shape[-1]))
    if math.maps is not None:
        math.maps.append(torch.softmax((q @ codes.mT) * (scales[..., None, :] * per_unit), -1))
    if isinstance(math, FloatTwin):
        rows = codes * scales[..., None]
        return torch.softmax((q @ rows.mT) * per_unit, -1) @ rows
    slots = codes.shape[-2]
    block = nm.READ_BLOCK if math.exact else slots
    top, total, out = None, q.new_zeros(()), q.new_zeros(())
    for start in range(0, slots, block):
        rows, s = codes[..., start : start + block, :], scales[..., None, start : start + block]
        scores = (q @ rows.mT) * (s * per_unit)
        peak = scores.detach().amax(-1, keepdim=True)
        if top is not None:
            peak = torch.maximum(top, peak)
            keep = math.exp(top - peak)  # exactly 1 where the maximum stays
            total, out = total * keep, out * keep
        top = peak
        e = math.exp(scores - top)
        total = total + round_ste(e * PROB_ONE).sum(-1, keepdim=True)
        v_max, fold = math.fold(s, s.detach().amax(-1, keepdim=True))
        out = out + math.weighted(round_ste(e * fold), rows) * v_max
    return out * torch.reciprocal(total)


def write(m: Tensor, queries: Tensor, weights: Tensor, rate: float, bounded: bool) -> Tensor:
    """Write normalised queries [..., E, C] one after the other with address weights [..., E, K] into m [...,
    K, C].

    Bounded: M_k += rate W_k (q - M_k); else the paper's outer product (eq. 1).
    """
    for q, w in zip(queries.unbind(-2), weights.unbind(-2), strict=False):
        q, w = q[..., None, :], w[..., None]
        m = m + rate * w * (q - m if bounded else q)
    return m


@dataclass
class Slots:
    """A keyed memory. keys: codes [..., K, C]; scales [..., K] of them; values: codes [..., K, C]; there:
    bool [..., K], False for an empty slot. Without ``...`` all streams read one.
    """

    keys: Tensor
    scales: Tensor
    values: Tensor
    there: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> Slots:
        """Every tensor changed."""
        return Slots(*map(change, (self.keys, self.scales, self.values, self.there)))

    def of(self, which: Tensor) -> Slots:
        """The memories ``which`` (int64 [B]) of several."""
        return self.each(lambda x: x[which])


def key_scores(query: tuple[Tensor, Tensor], m: Slots, sharpness: Tensor) -> Tensor:
    """Scores [B, n, K] of queries (codes [B, n, C], scale [B, n, 1]), ``NEVER`` for an empty slot."""
    q, q_scale = query
    per_unit = q_scale * sharpness * float(nm.inv_sqrt(q.shape[-1]))
    scores = (q @ m.keys.mT) * (m.scales[..., None, :] * per_unit)
    return scores.masked_fill(~m.there[..., None, :], float(nm.NEVER))


def ask(math: Quantised, query: tuple[Tensor, Tensor], m: Slots, sharpness: Tensor) -> Tensor:
    """What lies under the keys that are like the queries (codes [B, n, C], scale [B, n, 1]): float32 [B, n,
    C], zeros where no slot is in use. In eval mode block by block, as in ``numerics.keyed_read``.
    """
    scores, there = key_scores(query, m, sharpness), m.there[..., None, :]
    if math.maps is not None:
        math.maps.append(torch.softmax(scores, -1))
    slots = scores.shape[-1]
    top, total, out = None, scores.new_zeros(()), torch.zeros_like(query[0])
    block = nm.READ_BLOCK if math.exact else max(slots, 1)
    for start in range(0, slots, block):
        some = slice(start, start + block)
        peak = scores[..., some].detach().amax(-1, keepdim=True)
        if top is not None:
            peak = torch.maximum(top, peak)
            keep = math.exp(top - peak)  # exactly 1 where the maximum stays
            total, out = total * keep, out * keep
        top = peak
        e = math.exp(scores[..., some] - top) * there[..., some]
        w = e * PROB_ONE if isinstance(math, FloatTwin) else round_ste(e * PROB_ONE)
        total = total + w.sum(-1, keepdim=True)
        out = out + math.weighted(w, m.values[..., some, :])
    return out * torch.reciprocal(total.clamp_min(1.0))  # a peak alone weighs PROB_ONE


@torch.no_grad()
def kept(cosines: Tensor, there: Tensor, match: float, room: int) -> Tensor:
    """Which of a stream's episodes its memory still holds when all are written: bool [B, E].

    cosines: of their keys, [B, E, E]; there: bool [B, E]; room: slots that can be written. A later episode
    replaces the one whose key is most like its own, if the cosine is ``match`` at least; else, where no slot
    is left, the one written longest ago.
    """
    held = torch.zeros_like(there)
    order = torch.arange(there.shape[1], device=there.device)
    for i in range(there.shape[1]):
        best, which = cosines[:, i].masked_fill(~held, -2.0).max(-1)
        oldest = held.int().argmax(-1)
        full = held.sum(-1) >= room
        out = torch.where(best >= match, which, torch.where(full, oldest, i))
        held = held & ~((order == out[:, None]) & there[:, i, None])
        held = held | ((order == i) & there[:, i, None])
    return held
