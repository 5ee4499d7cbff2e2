# SPDX-License-Identifier: Apache-2.0
"""What a run may begin with instead of random weights: another run, or a frozen model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..arch.config import ModelConfig
from ..arch.tables import tensor_table
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError
from ..frozen import FrozenModel
from ..golden import numerics as nm
from ..model.bitmar import BitMar


@dataclass(frozen=True)
class Start:
    """Shapes, tokenizer and weights (a state dict of ``BitMar``) to go on from, and where they came from."""

    source: str
    config: ModelConfig
    tokenizer: Tokenizer
    weights: dict[str, Tensor]

    @property
    def identity(self) -> str:
        """SHA-256 (hex) of the weights."""
        seal = hashlib.sha256()
        for name, value in sorted(self.weights.items()):
            seal.update(name.encode() + value.numpy().tobytes())
        return seal.hexdigest()


def start_from_model(path: Path) -> Start:
    """The weights of a frozen model as training holds them. ``FrozenError`` for a file that is none,
    ``ConfigError`` for a model without a tokenizer.
    """
    frozen = FrozenModel.load(path)
    if not frozen.tokenizer:
        raise ConfigError(f"{path}: was frozen without a tokenizer.", "Start from one that has one.")
    weights = latents(frozen).state_dict()
    return Start(str(path), frozen.config, Tokenizer.from_bytes(frozen.tokenizer), weights)


@torch.no_grad()
def latents(frozen: FrozenModel) -> BitMar:
    """A model to train whose quantised weights are those of ``frozen``: trits and codes the same, scales but
    for the last digit.
    """
    model, a = BitMar(frozen.config), frozen.arrays
    for spec in tensor_table(frozen.config):
        name = spec.name
        if spec.kind == "ternary":  # a scale is the mean magnitude, of the zeros, too
            trits = torch.from_numpy(a[f"{name}.trits"]).float()
            value = trits * float(a[f"{name}.scale"]) / max(float(trits.abs().mean()), 1e-9)
        elif spec.kind == "rows8":
            value = torch.from_numpy(a[f"{name}.codes"].astype("float32") * a[f"{name}.scales"][:, None])
        elif spec.kind == "memory" and frozen.config.keyed:
            first = slice(frozen.config.fixed_slots)
            keys, values = nm.planes(a[f"{name}.codes"][first])
            scales = a[f"{name}.scales"][first, None]
            value = torch.from_numpy(np.stack([keys * scales, values * np.float32(1 / 127)]))
        elif spec.kind == "memory":
            value = torch.from_numpy(a[f"{name}.codes"].astype("float32") * a[f"{name}.scales"][:, None])
            model.usage.copy_(torch.from_numpy(a[f"{name}.usage"] / nm.USAGE_ONE))
        else:
            value = torch.from_numpy(a[name].copy())
        model.weight(name).copy_(value)
    return model
