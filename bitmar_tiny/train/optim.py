# SPDX-License-Identifier: Apache-2.0
"""The optimiser: AdamW, with 8-bit moments where asked for and a library offers them (paper 4.2), or Muon."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from ..arch.tables import tensor_table
from ..model.bitmar import BitMar
from .config import TrainConfig

BETAS = (0.9, 0.98)


def parameter_groups(model: BitMar, cfg: TrainConfig) -> list[dict[str, Any]]:
    """Only ternary latents decay (not gains, tables or the memory). ``muon`` marks those that Muon moves: all
    but the head, which learns sooner with AdamW.
    """
    kinds: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {
        (True, True): [],
        (True, False): [],
        (False, False): [],
    }
    for spec in tensor_table(model.cfg):
        ternary = spec.kind == "ternary"
        moved = cfg.optimizer == "muon" and ternary and spec.name != "head.w"
        kinds[ternary, moved].append(model.latent[spec.name.replace(".", "/")])
    return [
        {"params": found, "weight_decay": cfg.weight_decay if ternary else 0.0, "muon": moved}
        for (ternary, moved), found in kinds.items()
        if found
    ]


class Muon(torch.optim.AdamW):
    """Muon for the matrices [N, K] of groups marked ``muon`` (Jordan et al., 2024), AdamW for the others.

    A matrix moves by its momentum with all singular values set to about 1, so that a rare direction is
    learned as fast as a common one. The root mean square of the step is ``RMS`` learning rates, whatever the
    shape, so that one rate and one schedule serve both (Liu et al., 2025, section 2.2).
    """

    MOMENTUM, RMS = 0.95, 0.6

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        groups = self.param_groups
        self.param_groups = [g for g in groups if not g["muon"]]
        try:
            loss = super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if group["muon"]:
                self._orthogonal(group)
        return loss

    def _orthogonal(self, group: dict[str, Any]) -> None:
        shapes: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for p in group["params"]:
            if p.grad is not None:
                shapes[p.shape].append((p, p.grad))
        for shape, matrices in shapes.items():
            for p, _ in matrices:
                if p not in self.state:  # AdamW reads "step" of every state
                    self.state[p] = {"step": torch.zeros(()), "momentum": torch.zeros_like(p)}
            weights, grads = ([pair[i] for pair in matrices] for i in (0, 1))
            momenta = [self.state[p]["momentum"] for p in weights]
            torch._foreach_lerp_(momenta, grads, 1 - self.MOMENTUM)
            ahead = torch.stack(torch._foreach_lerp(grads, momenta, self.MOMENTUM))
            rate = group["lr"] * self.RMS * max(shape) ** 0.5
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_sub_(weights, list(orthogonal(ahead).unbind()), alpha=rate)


def orthogonal(g: Tensor) -> Tensor:
    """Matrices [m, N, K] with their singular values brought near 1, by four steps of the quintic
    Newton-Schulz iteration of Jordan et al. (2024).
    """
    x = g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = g.shape[-2] > g.shape[-1]
    x = x.mT if tall else x
    for _ in range(4):
        square = x @ x.mT
        square = torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, square, x, beta=3.4445)
    return x.mT if tall else x


def make_optimiser(model: BitMar, cfg: TrainConfig) -> tuple[torch.optim.Optimizer, str]:
    """The optimiser and what it is, for the log: "adamw", "adamw8bit (bitsandbytes)", or why it is another
    than asked for.
    """
    groups = parameter_groups(model, cfg)
    if cfg.optimizer == "muon":
        return Muon(groups, lr=cfg.lr, betas=BETAS, fused=True), "muon"
    if cfg.optimizer == "adamw8bit":
        for library, find in (("bitsandbytes", _bitsandbytes), ("torchao", _torchao)):
            try:
                return find()(groups, lr=cfg.lr, betas=BETAS), f"adamw8bit ({library})"
            except (
                ImportError,
                AttributeError,
                RuntimeError,
                OSError,
            ):  # absent, or without its compiled part
                continue
        return torch.optim.AdamW(
            groups, lr=cfg.lr, betas=BETAS, fused=True
        ), "adamw (adamw8bit was asked for: neither bitsandbytes nor torchao works here)"
    return torch.optim.AdamW(groups, lr=cfg.lr, betas=BETAS, fused=True), "adamw"


def _bitsandbytes() -> Any:
    from bitsandbytes.optim import AdamW8bit

    return AdamW8bit


def _torchao() -> Any:
    from torchao.optim import AdamW8bit

    return AdamW8bit
