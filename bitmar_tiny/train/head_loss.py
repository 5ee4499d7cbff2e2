# SPDX-License-Identifier: Apache-2.0
"""The head and its loss in one. The logits are the largest tensor of a step by far: only a few rows of them
exist at a time, and all that needs them reads them while they are in the cache.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.arithmetic import Quantised

#: Logits that exist at a time, by the kind of device: what a cache holds, what keeps a GPU busy.
BLOCK = {"cpu": 1 << 22, "cuda": 1 << 27}
#: Logits up to so far from 0 need no largest one taken off before exp: their sum stays finite.
SAFE = 40.0
#: What probabilities are multiplied by as 16-bit operands: small ones count, and no sum overflows.
UNIT = 16.0


def summed_cross_entropy(
    math: Quantised, codes: Tensor, scale: Tensor, trits: Tensor, labels: Tensor
) -> Tensor:
    """Sum of the cross-entropies of the logits ``(codes @ trits^T) * scale``, differentiable in all three.

    codes: float32 [n, d]; scale: float32 [n, 1]; trits: float32 [V, d]; labels: int64 [n].
    """
    return _HeadLoss.apply(math, torch.is_grad_enabled(), codes, scale, trits, labels)


class _HeadLoss(torch.autograd.Function):
    """The gradients are made on the way there, while the exponentials of a block are at hand: logits are
    neither kept nor computed twice.
    """

    @staticmethod
    def forward(
        ctx, math: Quantised, learns: bool, codes: Tensor, scale: Tensor, trits: Tensor, labels: Tensor
    ) -> Tensor:
        rows = max(1, BLOCK[codes.device.type] // len(trits))
        buffer = codes.new_empty(min(rows, len(codes)), len(trits))
        safe = codes.is_cpu and float(_longest(codes * scale) * _longest(trits)) < SAFE
        of_x, of_trits, loss = torch.empty_like(codes), torch.zeros_like(trits), []
        for start in range(0, len(codes), rows):
            some = slice(start, start + rows)
            label, x = labels[some, None], codes[some] * scale[some]
            e = _logits(math, codes[some], scale[some], x, trits, buffer[: len(x)])
            if not safe:
                e -= e.amax(-1, keepdim=True)
            right = e.gather(1, label)
            total = e.exp_().sum(-1, keepdim=True)
            loss.append((total.log() - right).sum())
            if learns:  # the gradient of the logits is e / total, less 1 at the label
                e.scatter_add_(1, label, -total)
                _gradients(math, e, total, x, trits, of_x[some], of_trits)
        if learns:
            ctx.save_for_backward(of_x * scale, torch.linalg.vecdot(of_x, codes)[:, None], of_trits)
        return torch.stack(loss).sum()

    @staticmethod
    def backward(ctx, grad: Tensor):
        of_codes, of_scale, of_trits = ctx.saved_tensors
        return None, None, of_codes * grad, of_scale * grad, of_trits * grad, None


def _longest(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows, dim=-1).max()


def _logits(math: Quantised, codes: Tensor, scale: Tensor, x: Tensor, trits: Tensor, out: Tensor) -> Tensor:
    """``x @ trits^T`` in ``out``; with 16-bit operands of the codes, which are exact in them."""
    if math.low is None or math.exact:
        return torch.mm(x, trits.T, out=out)
    return torch.mul(math.linear(codes, trits), scale, out=out)


def _gradients(
    math: Quantised, e: Tensor, total: Tensor, x: Tensor, trits: Tensor, of_x: Tensor, of_trits: Tensor
) -> None:
    """Of the logits ``e / total``: those of x into ``of_x``, those of the trits added to ``of_trits``."""
    if math.low is None:
        torch.mm(e, trits, out=of_x).div_(total)
        of_trits.addmm_(e.T, x / total)
    else:
        p = (e * (UNIT / total)).to(math.low)
        of_x.copy_(p @ trits.to(math.low)).div_(UNIT)
        of_trits.add_((p.T @ x.to(math.low)).float(), alpha=1 / UNIT)
