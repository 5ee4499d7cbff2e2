# SPDX-License-Identifier: Apache-2.0
"""Quantised arithmetic with straight-through gradients, and its float twin.

"Codes" are integer-valued float32 tensors: ``F.linear`` and ``@`` then add integers, exactly below 2**24, so
that in eval mode :class:`Quantised` gives the same bits as ``golden/numerics.py``. Two traps of PyTorch are
avoided on the way: ``scalar / tensor`` is computed as ``scalar * reciprocal(tensor)``, two roundings, and
float32 ``sqrt`` is not correctly rounded on every CPU.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..golden import numerics as nm

TINY = float(nm.TINY)
PROB_ONE = float(nm.PROB_ONE)
CODE16_MAX = float(nm.CODE16_MAX)


class _Ternary(torch.autograd.Function):
    """W [m, N, K] -> (trits [m, N, K], gamma = mean |W| of each [m]). The gradient is that of
    ``gamma * trits`` passed straight through to W.
    """

    @staticmethod
    def forward(ctx, w: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        size = w.abs()
        gamma = torch.stack([one.mean() for one in size]).clamp_min_(1e-6)
        ctx.save_for_backward(gamma)
        ctx.mark_non_differentiable(gamma)
        above = size.sub_((threshold * gamma)[:, None, None]).sign_().clamp_min_(0.0)
        return above.copysign_(w), gamma

    @staticmethod
    def backward(ctx, grad: Tensor, _: Tensor):
        (gamma,) = ctx.saved_tensors
        return grad / gamma[:, None, None], None


class _Codes(torch.autograd.Function):
    """v [..., n] -> (codes [..., n] = rne(v / step), scale [..., 1]), with the gradient of v / step, none
    through the step.
    """

    @staticmethod
    def forward(ctx, v: Tensor) -> tuple[Tensor, Tensor]:
        codes, inverse, top = _quantize(v)
        scale = (top / 127.0).masked_fill_(top < TINY, 0.0)
        ctx.save_for_backward(inverse)
        ctx.mark_non_differentiable(scale)
        return codes, scale

    @staticmethod
    def backward(ctx, grad: Tensor, _: Tensor):
        (inverse,) = ctx.saved_tensors
        return grad * inverse


class _Norm(torch.autograd.Function):
    """v [..., n], gain [n] or None -> (codes [..., n], 1 / rms of them [..., 1], 0 for a zero vector).
    ``exact``: golden's bits, else the nearest quick ones.
    """

    @staticmethod
    def forward(ctx, v: Tensor, gain: Tensor | None, exact: bool) -> tuple[Tensor, Tensor]:
        codes, inverse, _ = _quantize(v if gain is None else v * gain)
        n = codes.shape[-1]
        wide = torch.float64 if exact and n * 127 * 127 >= 1 << 24 else None
        total = (codes * codes).sum(-1, keepdim=True, dtype=wide).float()
        mean_square = total.clamp_min(1.0).div_(n)
        root = torch.sqrt(mean_square.double()).float() if exact else torch.sqrt(mean_square)
        scale = torch.reciprocal(root).masked_fill_(total == 0, 0.0)
        ctx.save_for_backward(v, gain, codes, inverse, scale)
        return codes, scale

    @staticmethod
    def backward(ctx, grad: Tensor, grad_scale: Tensor):
        v, gain, codes, inverse, scale = ctx.saved_tensors
        grad = torch.addcmul(grad, codes, grad_scale * scale**3 / -codes.shape[-1]).mul_(inverse)
        if gain is None:
            return grad, None, None
        return grad * gain, (grad * v).flatten(0, -2).sum(0), None


def _quantize(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(codes [..., n], 1 / step [..., 1], largest magnitude [..., 1]); all 0 where that is below ``TINY``."""
    top = v.abs().amax(-1, keepdim=True)
    inverse = divide(127.0, top.clamp_min(TINY)).masked_fill_(top < TINY, 0.0)
    return (v * inverse).round_(), inverse, top


def round_ste(x: Tensor) -> Tensor:
    """Round to nearest even with gradient 1. ``x + (round(x) - x)`` is exact for |x| < 2**23."""
    return x + (torch.round(x) - x).detach()


@cache
def _constant(value: float) -> Tensor:
    return torch.tensor(value)


def divide(numerator: float, x: Tensor) -> Tensor:
    """numerator / x with one rounding."""
    return torch.div(_constant(numerator), x)


def exp_neg(x: Tensor) -> Tensor:
    """``numerics.exp_neg`` in PyTorch operations: the same bits."""
    x = x.clamp_min(float(nm._EXP_MIN))
    n = torch.round(x * float(nm._LOG2E))
    r = x - n * float(nm._LN2_HI)
    r = r - n * float(nm._LN2_LO)
    p = torch.full_like(x, float(nm._EXP_POLY[0]))
    for c in nm._EXP_POLY[1:]:
        p = p * r + float(c)
    p = (p * (r * r) + r) + 1.0
    return p * ((n.to(torch.int32) + 127) << 23).view(torch.float32)


class Quantised:
    """What the board computes. ``exact`` selects golden's exp and wide sums (eval); training uses the fast
    ones.

    low: bfloat16 or float16 for the operands of training's products (mixed precision), None for float32.
    Codes and trits are exact in both; codes enter as multiples of ``unit``, so that a sum of 127 * 127 * 512
    stays far below float16's
    65504. Everything else (norms, softmax, residual stream, master weights) stays float32.
    maps: a list to which every attention and memory read appends its weights, None for none.
    """

    unit = 1 / 128

    def __init__(self, threshold: float, low: torch.dtype | None = None) -> None:
        self.threshold, self.low, self.exact = threshold, low, False
        self.maps: list[Tensor] | None = None

    def linear(self, codes: Tensor, trits: Tensor) -> Tensor:
        """codes [..., K], trits [N, K] -> codes @ trits^T, float32 [..., N]."""
        if self.low is None or self.exact:
            return F.linear(codes, trits)
        return F.linear((codes * self.unit).to(self.low), trits.to(self.low)).float() / self.unit

    def matmul(self, a: Tensor, b: Tensor, top: float | None = None) -> Tensor:
        """a @ b in float32; ``top``: largest value of ``a`` where it is not codes."""
        if self.low is None or self.exact:
            return a @ b
        unit = self.unit if top is None else 1 / top
        return ((a * unit).to(self.low) @ (b * self.unit).to(self.low)).float() / (unit * self.unit)

    def ternary(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Latent [m, N, K] -> (trits [m, N, K], gamma = mean |W| of each matrix [m])."""
        return _Ternary.apply(w, self.threshold)

    def quantize(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Per-token symmetric max-abs int8: [..., n] -> (codes [..., n], scale [..., 1])."""
        return _Codes.apply(v)

    def norm(self, v: Tensor, gain: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """RMSNorm of the codes: (codes [..., n], 1 / rms [..., 1])."""
        return _Norm.apply(v, gain, self.exact)

    def table(self, w: Tensor) -> Tensor:
        """Int8 rows with one scale each, dequantised: [N, d] -> [N, d]."""
        codes, scale = self.quantize(w)
        return codes * scale

    def hidden(self, acc: Tensor, scale: Tensor) -> Tensor:
        """Pre-activation of the feed-forward layer: the accumulator itself (its scale cancels in the next
        norm).
        """
        return acc

    def exp(self, x: Tensor) -> Tensor:
        return exp_neg(x) if self.exact else torch.exp(x.clamp_min(-80.0))

    def weighted(self, w: Tensor, v: Tensor) -> Tensor:
        """Integer-weighted sum of codes, ``w @ v``; up to 2**31, so exact only in float64."""
        return (w.double() @ v.double()).float() if self.exact else self.matmul(w, v, PROB_ONE)

    def fold(self, v_scale: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
        """(top or 0, value scales as multiples of PROB_ONE / top): ``numerics._value_weights``."""
        full = top >= TINY
        return (
            torch.where(full, top, 0.0),
            torch.where(full, v_scale * divide(PROB_ONE, top.clamp_min(TINY)), 0.0),
        )

    def memory(self, m: Tensor) -> tuple[Tensor, Tensor]:
        """Latent memory [..., K, C] -> (int8 codes as reads see them [..., K, C], their scale [..., K])."""
        top = m.detach().abs().amax(-1, keepdim=True).clamp_min(TINY)
        codes16 = round_ste(m * divide(CODE16_MAX, top))
        high = torch.floor((codes16.detach() + 128) / 256)
        return high + (codes16 - codes16.detach()) / 256, (top / CODE16_MAX * 256.0)[..., 0]


class FloatTwin(Quantised):
    """The same architecture in float32, nothing rounded: what quantisation costs is measured against it."""

    unit = 1.0

    def ternary(self, w: Tensor) -> tuple[Tensor, Tensor]:
        gamma = w.detach().abs().mean((1, 2)).clamp_min(1e-6)
        return w / gamma[:, None, None], gamma

    def quantize(self, v: Tensor) -> tuple[Tensor, Tensor]:
        return v, torch.ones_like(v[..., :1])

    def norm(self, v: Tensor, gain: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = v if gain is None else v * gain
        scale = torch.rsqrt(v.square().mean(-1, keepdim=True) + 1e-6)
        return v * scale, torch.ones_like(scale)

    def hidden(self, acc: Tensor, scale: Tensor) -> Tensor:
        return acc * scale

    def table(self, w: Tensor) -> Tensor:
        return w

    def memory(self, m: Tensor) -> tuple[Tensor, Tensor]:
        return m, torch.ones_like(m[..., 0])


class FloatActivations(FloatTwin):
    """The quantised model's own weights, tables and memory with float activations: what int8 activations cost
    alone.
    """

    def ternary(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return Quantised.ternary(self, w)

    def table(self, w: Tensor) -> Tensor:
        codes, scale = Quantised.quantize(self, w)
        return codes * scale

    def memory(self, m: Tensor) -> tuple[Tensor, Tensor]:
        return Quantised.memory(self, m)
