# SPDX-License-Identifier: Apache-2.0
"""Attention in parallel form: sinks + window mask, and golden's integer softmax for every query at once."""

from __future__ import annotations

import torch
from torch import Tensor

from ..arch.config import ModelConfig
from ..golden import numerics as nm
from .arithmetic import PROB_ONE, FloatTwin, Quantised, round_ste

#: (codes [B, N, d], scale [B, N, 1])
Codes = tuple[Tensor, Tensor]


def visible(cfg: ModelConfig, length: int, device: torch.device | None = None) -> Tensor:
    """Which token j query i sees: bool [T, T]. Sinks always, else the last W tokens, never the future (paper
    3.1).
    """
    i, j = torch.arange(length, device=device)[:, None], torch.arange(length, device=device)[None]
    return (j <= i) & ((j < cfg.n_sinks) | (i - j < cfg.window))


def attend(math: Quantised, q: Codes, k: Codes, v: Codes, n_heads: int, mask: Tensor | None) -> Tensor:
    """Softmax attention over int8 codes. mask bool [T, N] or None. Returns float32 [B, T, d].

    Mirrors ``numerics.attend``: integer weights ``rne(e * r)`` with the value scales folded in, integer
    denominator. Keys and values of fewer heads are shared by as many queries each.
    """
    (qc, qs), (kc, ks), (vc, vs) = q, k, v
    keys, values = (_heads(c, n_heads * c.shape[-1] // qc.shape[-1], n_heads) for c in (kc, vc))
    dots = math.matmul(_heads(qc, n_heads, n_heads), keys.transpose(-1, -2))  # [B, h, T, N]
    per_unit = ks.transpose(1, 2) * (qs * float(nm.inv_sqrt(qc.shape[-1] // n_heads)))  # [B, T, N]
    scores = dots * per_unit[:, None]
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    e = math.exp(scores - scores.detach().amax(-1, keepdim=True))
    if mask is not None:
        e = e * mask  # exp clamps at -80: hidden slots weigh nothing, not 1e-35
    if math.maps is not None:
        math.maps.append(e / e.sum(-1, keepdim=True))
    if isinstance(math, FloatTwin):
        return _merge(math.matmul(e / e.sum(-1, keepdim=True), values))
    v_scale = vs.transpose(1, 2)  # [B, 1, N]
    seen = v_scale if mask is None else v_scale.masked_fill(~mask, 0.0)
    top, fold = math.fold(v_scale, seen.detach().amax(-1, keepdim=True))  # [B, T, 1], [B, T, N]
    denominator = round_ste(e * PROB_ONE).sum(-1, keepdim=True)
    out = math.weighted(round_ste(e * fold[:, None]), values)
    return _merge(out * (top[:, None] / denominator))


def _heads(x: Tensor, own: int, n_heads: int) -> Tensor:
    """[B, N, w] of ``own`` heads -> [B, n_heads, N, w / own]."""
    b, n, width = x.shape
    x = x.view(b, n, own, width // own).transpose(1, 2)
    return x if own == n_heads else x.repeat_interleave(n_heads // own, 1)


def _merge(x: Tensor) -> Tensor:
    b, h, t, dh = x.shape
    return x.transpose(1, 2).reshape(b, t, h * dh)
