# SPDX-License-Identifier: Apache-2.0
"""Episodic memory in PyTorch: the streamed read of golden, and a differentiable write."""

from __future__ import annotations

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
