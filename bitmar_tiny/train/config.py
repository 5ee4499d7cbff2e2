# SPDX-License-Identifier: Apache-2.0
"""Training settings: strict, with the paper's values as defaults (sections 3.4.2, 4.1 to 4.3)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ..arch.config import StrictModel

Intervention = Literal["freeze_text", "freeze_vision", "freeze_memory", "boost_alignment"]


class TrainConfig(StrictModel):
    """Everything that decides the numbers of a run, besides the model's shapes and the data."""

    seed: int = Field(0, ge=0)
    steps: int = Field(50_000, ge=1, description="optimiser steps, where epochs is 0")
    epochs: float = Field(0, ge=0, description="passes over as many streams as there are; 0: steps decides")
    batch_size: int = Field(64, ge=2, description="streams per batch, of all processes together")
    accumulation: int = Field(2, ge=1, description="batches per optimiser step")
    optimizer: Literal["adamw", "adamw8bit", "muon"] = Field(
        "adamw",
        description="adamw8bit: 8-bit moments where a library has them; muon: fewer steps for what is "
        "learned, each a little dearer",
    )
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
    key_weight: float = Field(
        0,
        ge=0,
        description="weight of the loss by which a question learns to be like the key of the episode that "
        "holds its answer (write_rule keyed; sessions that say which)",
    )
    writes_per_batch: int = Field(2, ge=0, description="episodes of a batch that are written to the memory")
    write_gradient: bool = Field(
        True,
        description="encode written episodes again in the step that reads them, with the gradient, so "
        "that queries learn to hold what later episodes ask; False: keep their queries as they were",
    )
    text_every: int = Field(2, ge=0, description="2: every second batch is text (50:50); 0: captions only")
    session_every: int = Field(
        0,
        ge=0,
        description="every nth batch is of sessions: earlier episodes are in a memory of each "
        "stream's own (data/sessions.py); 1: sessions only",
    )
    session_things: tuple[int, int] = Field(
        (2, 20), description="fewest and most things that are shown in a session made of things"
    )
    session_views: int = Field(1, ge=1, description="pictures that each of them is shown in")
    session_unknown: float = Field(
        0.1, ge=0, le=1, description="part of such sessions that ask for a thing that was not shown"
    )
    session_renamed: float = Field(
        0.1, ge=0, le=1, description="part of them in which names change before one is asked"
    )
    session_texts: int = Field(0, ge=0, description="most episodes without a picture among theirs")
    session_questions: int = Field(
        1, ge=1, description="most questions about one memory, each of another thing"
    )
    session_recited: float = Field(
        0,
        ge=0,
        le=1,
        description="part of the questions that are asked without a picture, of a memory that holds the "
        "answer alone: so that a slot can be read out",
    )
    session_words: float = Field(
        0, ge=0, le=1, description="part of such sessions whose names are words as people use them"
    )
    session_spelled: float = Field(
        0, ge=0, le=1, description="part of them whose names are spelled of any tokens"
    )
    max_len: int = Field(256, ge=2, description="most tokens per training stream")
    augment_shift: int = Field(0, ge=0, le=15, description="shift raw pictures by up to so many pixels")
    augment_affine: float = Field(
        0, ge=0, lt=0.5, description="turn (radians), resize and shift raw pictures by about this part"
    )
    augment_colour: float = Field(
        0, ge=0, lt=0.5, description="change the colours of raw pictures by about this part"
    )
    augment_symmetry: Literal[1, 2, 8] = Field(
        1,
        description="2: half of the memories see all their raw pictures mirrored; 8: turned by quarters, "
        "too; 1: none",
    )
    float_twin: bool = False

    caption_tokens: int = Field(
        0, ge=0, description="train on so many tokens of the captions given; 0: on all"
    )
    text_tokens: int = Field(0, ge=0, description="train on so many tokens of the text given; 0: on all")
    holdout_tokens: int = Field(
        0, ge=0, description="kept out of training, half captions, half text; 0: every 20th picture"
    )
    holdout_every: int = Field(0, ge=0, description="steps between looks at what was held out; 0: never")

    precision: Literal["float32", "bf16", "fp16"] = Field(
        "float32", description="operands of the products (mixed precision)"
    )
    recompute: bool = Field(False, description="gradient checkpointing: blocks, and the head in pieces")
    threads: int = Field(
        0, ge=0, description="of PyTorch on the CPU; a run is the same to the bit for as many; 0: as it likes"
    )
    compile: bool = Field(
        False, description="torch.compile of attention, a long chain of element-wise operations"
    )

    controller: bool = Field(False, description="the adaptive controller (paper 3.4.2, 4.3)")
    controller_span: int = Field(
        200, ge=1, description="steps of the moving average of the cross-modal cosine"
    )
    controller_drop: float = Field(
        0.12, gt=0, description="fall below its recent maximum that calls for an intervention"
    )
    controller_cooldown: int = Field(800, ge=0, description="least steps between the end of one and the next")
    controller_length: int = Field(1500, ge=1, description="steps of an intervention")
    controller_boost: float = Field(
        2.0, gt=1, description="factor of the cross-modal loss in boost_alignment"
    )
    interventions: tuple[Intervention, ...] = Field(
        ("freeze_text", "freeze_vision", "freeze_memory", "boost_alignment"),
        min_length=1,
        description="drawn from by the seed",
    )

    checkpoint_every: int = Field(500, ge=1, description="steps")
    log_every: int = Field(500, ge=1, description="steps")

    @classmethod
    def for_preset(cls, name: str) -> TrainConfig:
        """Settings that suit a model preset; the defaults for any other model."""
        return cls(**PRESETS.get(name, {}))


#: ``paper``: sections 3.4.2 and 4.1 to 4.3. ``demo`` learns in minutes on two cores: one cosine cycle at a
#: higher rate, captions mostly. ``recall`` learns to remember, from sessions alone; ``things``
#: learns to say the name of what it was shown once.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "epochs": 10,
        "optimizer": "adamw8bit",
        "precision": "fp16",
        "recompute": True,
        "controller": True,
        "caption_tokens": 50_000_000,
        "text_tokens": 50_000_000,
        "holdout_tokens": 1_000_000,
        "holdout_every": 5000,
    },
    "demo": {
        "steps": 1100,
        "restart_steps": 1100,
        "optimizer": "muon",
        "accumulation": 1,
        "lr": 3e-3,
        "min_lr": 0.02,
        "warmup": 50,
        "weight_decay": 0.02,
        "text_every": 16,
        "max_len": 24,
        "augment_shift": 2,
        "contrastive_weight": 0.2,
        "checkpoint_every": 200,
        "log_every": 50,
    },
    "recall": {
        "steps": 3000,
        "restart_steps": 3000,
        "accumulation": 1,
        "batch_size": 32,
        "lr": 3e-3,
        "min_lr": 0.02,
        "warmup": 50,
        "weight_decay": 0.0,
        "contrastive_weight": 0.0,
        "writes_per_batch": 0,
        "session_every": 1,
        "max_len": 24,
        "threads": 1,
        "checkpoint_every": 200,
        "log_every": 100,
    },
    "things": {
        "steps": 4200,
        "restart_steps": 4200,
        "optimizer": "muon",
        "accumulation": 1,
        "batch_size": 96,
        "lr": 3e-3,
        "min_lr": 0.02,
        "warmup": 50,
        "weight_decay": 0.0,
        "contrastive_weight": 0.0,
        "key_weight": 1.0,
        "writes_per_batch": 0,
        "session_every": 1,
        "session_things": [4, 24],
        "session_questions": 24,
        "session_texts": 2,
        "session_unknown": 0.2,
        "session_recited": 0.1,
        "session_words": 0.2,
        "session_spelled": 0.4,
        "augment_affine": 0.08,
        "augment_symmetry": 2,
        "max_len": 24,
        "threads": 1,
        "checkpoint_every": 200,
        "log_every": 50,
    },
    "pocket": {"lr": 1e-3, "log_every": 50},
}
