"""Floating-point operations of a training step, from the shapes: what the streams need; padding and episodes for the memory are not counted."""

from __future__ import annotations

import numpy as np

from ..arch.config import VISION_DIM, ModelConfig


def forward_macs(cfg: ModelConfig, lengths: np.ndarray, pictures: bool) -> float:
    """Multiply-accumulates of one forward pass. lengths: int [B], tokens of each stream; pictures: every stream has one."""
    d, layers, n = cfg.d_model, cfg.n_encoder_layers + cfg.n_decoder_layers, lengths.astype(np.float64)
    reads = np.ceil(n / cfg.read_every).sum()
    total = n.sum() * (layers * (4 * d * d + 2 * d * cfg.d_ffn) + d * cfg.vocab_size)  # BitLinear, head
    total += (n * (n + 1) / 2).sum() * layers * 2 * d  # attention: scores, values
    total += reads * (2 * cfg.memory_slots * d + cfg.n_decoder_layers * d * d)
    if pictures:
        total += n.sum() * cfg.n_fusion_layers * 2 * d * (d + cfg.image_tokens)
        total += (
            len(n)
            * cfg.image_tokens
            * (VISION_DIM * cfg.vision_hidden + cfg.vision_hidden * d + cfg.n_fusion_layers * 2 * d * d)
        )
    return float(total)


def training_flops(macs: float, recompute: bool) -> float:
    """Forward once, backward twice as much, and the forward pass once more under gradient checkpointing."""
    return 2 * macs * (4 if recompute else 3)
