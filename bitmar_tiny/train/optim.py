# SPDX-License-Identifier: Apache-2.0
"""The optimiser: AdamW, with 8-bit moments where asked for and a library offers them (paper 4.2)."""

from __future__ import annotations

from typing import Any

import torch

from ..arch.tables import tensor_table
from ..model.bitmar import BitMar
from .config import TrainConfig

BETAS = (0.9, 0.98)
Optimizer = torch.optim.Optimizer


def parameter_groups(model: BitMar, cfg: TrainConfig) -> list[dict[str, Any]]:
    """Only ternary latents decay (not gains, tables or the memory)."""
    ternary = {s.name.replace(".", "/") for s in tensor_table(model.cfg) if s.kind == "ternary"}
    return [
        {
            "params": [p for n, p in model.latent.items() if (n in ternary) == decays],
            "weight_decay": cfg.weight_decay if decays else 0.0,
        }
        for decays in (True, False)
    ]


def make_optimiser(model: BitMar, cfg: TrainConfig) -> tuple[Optimizer, str]:
    """The optimiser and what it is, for the log: "adamw", "adamw8bit (bitsandbytes)", or why it is another
    than asked for.
    """
    groups = parameter_groups(model, cfg)
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
            groups, lr=cfg.lr, betas=BETAS
        ), "adamw (adamw8bit was asked for: neither bitsandbytes nor torchao works here)"
    return torch.optim.AdamW(groups, lr=cfg.lr, betas=BETAS, fused=True), "adamw"


def _bitsandbytes() -> type[Optimizer]:
    from bitsandbytes.optim import AdamW8bit

    return AdamW8bit


def _torchao() -> type[Optimizer]:
    from torchao.optim import AdamW8bit

    return AdamW8bit
