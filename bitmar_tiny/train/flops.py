# SPDX-License-Identifier: Apache-2.0
"""Floating-point operations of a training step, from the shapes: what the streams need; padding and episodes
for the memory are not counted.
"""

from __future__ import annotations

import numpy as np

from ..arch.config import ModelConfig
from ..arch.tables import blocks, matrix_table


def forward_macs(cfg: ModelConfig, lengths: np.ndarray, pictures: bool) -> float:
    """Multiply-accumulates of one forward pass. lengths: int [B], tokens of each stream; pictures: every
    stream has one.
    """
    d, n = cfg.d_model, lengths.astype(np.float64)

    def products(read: str, fusion: bool = False) -> int:
        found = [m for m in matrix_table(cfg) if m.section.read == read]
        return sum(
            m.rows * m.width * m.section.times
            for m in found
            if m.section.layer.startswith("fusion.") == fusion
        )

    total = n.sum() * products("token")
    total += (n * (n + 1) / 2).sum() * len(blocks(cfg)) * 2 * d  # attention: scores, values
    total += np.ceil(n / cfg.read_every).sum() * (2 * cfg.memory_slots * d + products("read"))
    if pictures:
        total += n.sum() * (products("token", fusion=True) + cfg.n_fusion_layers * 2 * d * cfg.image_tokens)
        total += len(n) * cfg.image_tokens * (products("image") + products("image", fusion=True))
        total += len(n) * products("picture")
    return float(total)


def training_flops(macs: float, recompute: bool) -> float:
    """Forward once, backward twice as much, and the forward pass once more under gradient checkpointing."""
    return 2 * macs * (4 if recompute else 3)
