# SPDX-License-Identifier: Apache-2.0
"""Cosine warm restarts in closed form (Loshchilov & Hutter, 2017; paper 4.2), so that any step can be
resumed.
"""

from __future__ import annotations

import math

from .config import TrainConfig


def learning_rate(cfg: TrainConfig, step: int) -> float:
    """Learning rate of optimiser step ``step`` (0-based)."""
    position, period = step, cfg.restart_steps
    while position >= period:
        position, period = position - period, period * cfg.restart_mult
    cosine = (1 + math.cos(math.pi * position / period)) / 2
    warm = min(1.0, (step + 1) / cfg.warmup) if cfg.warmup else 1.0
    return cfg.lr * warm * (cfg.min_lr + (1 - cfg.min_lr) * cosine)
