# SPDX-License-Identifier: Apache-2.0
"""A model and data small enough for hundreds of training steps a second or so."""

from __future__ import annotations

import numpy as np

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.data.batch import Batch
from bitmar_tiny.train.config import TrainConfig

MICRO = ModelConfig(
    name="micro",
    vocab_size=257,
    d_model=16,
    n_heads=2,
    n_encoder_layers=1,
    n_decoder_layers=1,
    d_ffn=16,
    n_sinks=2,
    window=9,
    n_positions=7,
    vision_hidden=8,
    image_tokens=2,
    memory_slots=12,
    read_every=5,
)
SETTINGS = TrainConfig(
    steps=6,
    batch_size=4,
    accumulation=1,
    lr=3e-3,
    warmup=2,
    restart_steps=6,
    checkpoint_every=1,
    log_every=2,
    dropout=0.1,
)


class Toy:
    """Batches that are a pure function of the step: captions on even steps, text on odd ones."""

    def __init__(self, cfg: ModelConfig, batch_size: int = 4, repeat: int = 0) -> None:
        self.cfg, self.n, self.repeat = cfg, batch_size, repeat

    def batch(self, step: int, rows: slice = slice(None)) -> Batch:
        step = step % self.repeat if self.repeat else step
        rng, n = np.random.default_rng(step), self.n
        lengths = rng.integers(3, 9, n)
        tokens = rng.integers(0, self.cfg.vocab_size, (n, 8))
        labels = np.where(np.arange(8) < lengths[:, None], np.roll(tokens, -1, 1), -100)
        pictures = step % 2 == 0
        images = rng.normal(size=(n, self.cfg.image_inputs, 768)).astype(np.float32) if pictures else None
        return Batch(
            tokens[rows],
            labels[rows],
            lengths[rows],
            images[rows] if pictures else None,
            np.full(n, pictures)[rows],
            np.arange(n)[rows],
            int(lengths.sum()),
        )
