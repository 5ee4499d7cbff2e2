# SPDX-License-Identifier: Apache-2.0
"""Between PyTorch and the frozen model: freeze the latent weights, or run a frozen model in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..arch.tables import tensor_table
from ..errors import ConfigError
from ..frozen import FrozenModel
from ..golden import numerics as nm
from .arithmetic import FloatTwin
from .bitmar import BitMar


@torch.no_grad()
def freeze(model: BitMar, tokenizer: bytes = b"", provenance: dict[str, Any] | None = None) -> FrozenModel:
    """Quantise every latent tensor once and for all. ``ConfigError`` for a float twin or a model already
    frozen.
    """
    if isinstance(model.math, FloatTwin) or model.frozen is not None:
        raise ConfigError(
            "Only a model trained quantisation-aware can be frozen.", "Train without --float-twin."
        )
    arrays: dict[str, np.ndarray] = {}
    for spec in tensor_table(model.cfg):
        w, name = model.weight(spec.name), spec.name
        if spec.kind == "ternary":
            trits, gamma = model.matrix(name)
            arrays[f"{name}.trits"] = trits.numpy().astype(np.int8)
            arrays[f"{name}.scale"] = np.float32(gamma).reshape(())
        elif spec.kind == "rows8":
            codes, scale = model.math.quantize(w)
            arrays[f"{name}.codes"] = codes.numpy().astype(np.int8)
            arrays[f"{name}.scales"] = scale[:, 0].numpy().copy()
        elif spec.kind == "memory" and model.cfg.keyed:
            arrays |= _slots(model, name)
        elif spec.kind == "memory":
            rows = [nm.quantize16(row) for row in w.numpy()]
            arrays[f"{name}.codes"] = np.array([codes for codes, _ in rows])
            arrays[f"{name}.scales"] = np.array([scale for _, scale in rows], np.float32)
            arrays[f"{name}.usage"] = np.minimum(model.usage.numpy() * nm.USAGE_ONE, nm.USAGE_ONE).astype(
                np.uint32
            )
        else:
            arrays[name] = w.numpy().copy()
    frozen = FrozenModel(model.cfg, arrays, tokenizer, provenance or {})
    frozen.validate()
    return frozen


def _slots(model: BitMar, name: str) -> dict[str, np.ndarray]:
    """The arrays of a keyed memory: the learned slots, then empty ones."""
    slots, first = model.fixed(), slice(model.cfg.fixed_slots)
    codes = np.zeros((model.cfg.memory_slots, model.cfg.d_model), np.int16)
    scales, usage = np.zeros(len(codes), np.float32), np.zeros(len(codes), np.uint32)
    codes[first] = nm.codes_of(slots.keys.numpy().astype(np.int8), slots.values.numpy().astype(np.int8))
    scales[first], usage[first] = slots.scales.numpy(), nm.USAGE_ONE
    return {f"{name}.codes": codes, f"{name}.scales": scales, f"{name}.usage": usage}


def load_frozen(frozen: FrozenModel) -> BitMar:
    """A model in eval mode whose integer logits equal golden's, for evaluation and generation in PyTorch."""
    a, tensors = frozen.arrays, {}
    for spec in tensor_table(frozen.config):
        name = spec.name
        if spec.kind == "ternary":
            tensors[name] = (
                torch.from_numpy(a[f"{name}.trits"]).float(),
                torch.tensor(float(a[f"{name}.scale"])),
            )
        elif spec.kind == "rows8":
            tensors[name] = torch.from_numpy(
                a[f"{name}.codes"].astype(np.float32) * a[f"{name}.scales"][:, None]
            )
        elif spec.kind == "memory" and frozen.config.keyed:
            keys, values = (torch.from_numpy(p.astype(np.float32)) for p in nm.planes(a[f"{name}.codes"]))
            usage = torch.from_numpy(a[f"{name}.usage"].astype(np.int64))
            tensors[name] = keys, torch.from_numpy(a[f"{name}.scales"]), values, usage > 0
        elif spec.kind == "memory":
            tensors[name] = (
                torch.from_numpy(nm.high_bytes(a[f"{name}.codes"]).astype(np.float32)),
                torch.from_numpy(a[f"{name}.scales"] * np.float32(256)),
            )
        else:
            tensors[name] = torch.from_numpy(a[name])
    return BitMar(frozen.config, frozen=tensors).eval()
