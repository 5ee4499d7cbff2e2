"""Training settings: strict, with the paper's values as defaults (sections 3.4.2, 4.2, 4.3)."""

from __future__ import annotations

from pydantic import Field

from ..config import StrictModel


class TrainConfig(StrictModel):
    """Everything that decides the numbers of a run, besides the model's shapes and the data."""

    seed: int = Field(0, ge=0)
    steps: int = Field(50_000, ge=1, description="optimiser steps")
    batch_size: int = Field(64, ge=2, description="streams per batch")
    accumulation: int = Field(2, ge=1, description="batches per optimiser step")
    lr: float = Field(2e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0, description="of ternary latents only")
    warmup: int = Field(100, ge=0, description="steps")
    restart_steps: int = Field(1000, ge=1, description="T0 of the cosine restarts")
    restart_mult: int = Field(2, ge=1, description="T_mult")
    min_lr: float = Field(0.1, ge=0, le=1, description="eta_min as a fraction of lr")
    clip: float = Field(1.0, gt=0, description="gradient norm")
    dropout: float = Field(0.0, ge=0, lt=1)
    contrastive_weight: float = Field(1.5, ge=0, description="lambda of InfoNCE")
    contrastive_temperature: float = Field(0.07, gt=0)
    memory_weight: float = Field(0.1, ge=0, description="lambda of memory consistency")
    writes_per_batch: int = Field(2, ge=0, description="episodes of a batch that are written to the memory")
    text_every: int = Field(2, ge=0, description="2: every second batch is text (50:50); 0: captions only")
    max_len: int = Field(256, ge=2, description="most tokens per training stream")
    augment_shift: int = Field(0, ge=0, le=15, description="shift raw pictures by up to so many pixels")
    checkpoint_every: int = Field(500, ge=1, description="steps")
    float_twin: bool = False

    @classmethod
    def for_preset(cls, name: str) -> "TrainConfig":
        """Settings that suit a model preset; the paper's for any other model."""
        return cls(**PRESETS.get(name, {}))


#: The demo learns in minutes on two cores: one cosine cycle at a higher rate, captions mostly.
PRESETS: dict[str, dict] = {
    "demo": {"steps": 3600, "restart_steps": 3600, "accumulation": 1, "lr": 3e-3, "min_lr": 0.02, "warmup": 50,
             "weight_decay": 0.02, "text_every": 16, "max_len": 24, "augment_shift": 2,
             "contrastive_weight": 0.2, "checkpoint_every": 200},
    "pocket": {"lr": 1e-3},
}
