# SPDX-License-Identifier: Apache-2.0
"""Attention in parallel form: sinks + window mask, and golden's integer softmax for every query at once."""

from __future__ import annotations

import torch
from torch import Tensor

from ..arch.config import ModelConfig
from ..golden import numerics as nm
from .arithmetic import PROB_ONE, FloatTwin, Quantised

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
    queries = _heads(qc, n_heads, n_heads)
    per_unit = ks.transpose(1, 2) * (qs * float(nm.inv_sqrt(qc.shape[-1] // n_heads)))  # [B, T, N]
    if isinstance(math, FloatTwin):
        e = _exponentials(math, queries, keys, per_unit, mask)
        return _merge(math.matmul(e / e.sum(-1, keepdim=True), values))
    return _merge(_Attend.apply(math, queries, keys, values, per_unit, vs.transpose(1, 2), mask))


def _exponentials(math: Quantised, q: Tensor, k: Tensor, per_unit: Tensor, mask: Tensor | None) -> Tensor:
    """exp of the scores less each query's largest [B, h, T, N], 0 where it does not see."""
    scores = math.matmul(q, k.transpose(-1, -2)).mul_(per_unit[:, None])
    if mask is not None:
        scores = scores.masked_fill_(~mask, float("-inf"))
    scores = scores.sub_(scores.detach().amax(-1, keepdim=True))
    e = math.exp(scores) if math.exact else scores.exp_()
    if math.exact and mask is not None:
        e = e * mask  # exp clamps there: hidden slots weigh nothing, not 1e-35
    if math.maps is not None:
        math.maps.append(e / e.sum(-1, keepdim=True))
    return e


class _Attend(torch.autograd.Function):
    """Codes q [B, h, T, dh], k, v [B, h, N, dh], factors of the scores [B, T, N], scales of the values
    [B, 1, N], mask -> [B, h, T, dh]. Roundings pass gradients straight through; factors and scales have none.

    With w = rne(e * fold), D = sum rne(e * PROB_ONE) and n = w v the result is n * (top / D).
    """

    @staticmethod
    def forward(
        ctx,
        math: Quantised,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        per_unit: Tensor,
        v_scale: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        e = _exponentials(math, q, k, per_unit, mask)
        seen = v_scale if mask is None else v_scale.masked_fill(~mask, 0.0)
        top, fold = math.fold(v_scale, seen.amax(-1, keepdim=True))  # [B, T, 1], [B, T, N]
        w, fold = (e * fold[:, None]).round_(), fold[:, None]
        total = (e * PROB_ONE).round_().sum(-1, keepdim=True)
        n, factor = math.weighted(w, v), top[:, None] / total
        ctx.math = math
        ctx.save_for_backward(q, k, v, per_unit, e, w, fold, n, total, factor)
        return n * factor

    @staticmethod
    def backward(ctx, grad: Tensor):
        q, k, v, per_unit, e, w, fold, n, total, factor = ctx.saved_tensors
        grad = grad * factor
        of_total = (grad * n).sum(-1, keepdim=True).div_(total).mul_(-PROB_ONE)
        of_scores = (grad @ v.transpose(-1, -2)).mul_(fold).add_(of_total).mul_(e).mul_(per_unit[:, None])
        return (
            None,
            of_scores @ k,
            of_scores.transpose(-1, -2) @ q,
            w.transpose(-1, -2) @ grad,
            None,
            None,
            None,
        )


def _heads(x: Tensor, own: int, n_heads: int) -> Tensor:
    """[B, N, w] of ``own`` heads -> [B, n_heads, N, w / own]."""
    b, n, width = x.shape
    x = x.view(b, n, own, width // own).transpose(1, 2)
    return x if own == n_heads else x.repeat_interleave(n_heads // own, 1)


def _merge(x: Tensor) -> Tensor:
    b, h, t, dh = x.shape
    return x.transpose(1, 2).reshape(b, t, h * dh)
