# SPDX-License-Identifier: Apache-2.0
"""What a page holds of its model: the program, the packed blob, the tokenizer, the memory's first store, and
a few facts that the page needs beside what the program says of itself.
"""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

from ..arch.tables import fusion_layers, size_table, tap_table
from ..codegen.emit import Project
from ..data.show_once import PROMPT
from ..errors import ConfigError
from ..frozen import FrozenModel
from ..run.look import backbone_of
from ..run.teach import need_things


def need_page(model: FrozenModel) -> None:
    """``ConfigError`` for a model that no page can hold: without a tokenizer, or with a backbone."""
    if not model.tokenizer:
        raise ConfigError(f"{model.config.name}: frozen without a tokenizer.", "Freeze it with one.")
    if record := backbone_of(model):
        raise ConfigError(
            f"{model.config.name}: this model sees through a backbone, {record.name}, which no page holds.",
            "Choose one that was trained on pixels.",
        )


def contents(model: FrozenModel, project: Project, program: Path) -> dict[str, Any]:
    """JSON values; files are deflated and in base64. ``project`` is of the platform ``web``, ``program`` its
    module.
    """
    assert project.memory_store, "a page keeps the memory in a store"
    return {
        "about": about(model),
        "program": packed(program.read_bytes()),
        "blob": packed((project.path / "model.blob").read_bytes()),
        "tokenizer": packed(model.tokenizer),
        "store": packed(project.memory_store.read_bytes()),
    }


def about(model: FrozenModel) -> dict[str, Any]:
    """Facts of the model, JSON values."""
    cfg, total = model.config, size_table(model.config)["total"]
    return {
        "name": cfg.name,
        "digest": model.digest,
        "parameters": total["parameters"],
        "bytes": total["bytes"],
        "vocab": cfg.vocab_size,
        "vectors": cfg.image_inputs,
        "heads": cfg.n_heads,
        "kvHeads": cfg.n_kv_heads or cfg.n_heads,
        "slots": cfg.memory_slots,
        "keyed": cfg.keyed,
        "fixedSlots": cfg.fixed_slots,
        "matchFrom": float(cfg.match_from) if cfg.keyed else 1.0,
        "sharpness": float(model.arrays["memory.sharpness"][0]) if cfg.keyed else 1.0,
        "canTeach": can_teach(model),
        "prompt": PROMPT if can_teach(model) else "",
        "taps": _taps(model),
    }


def can_teach(model: FrozenModel) -> bool:
    """Whether things can be shown to the model."""
    try:
        need_things(model)
    except ConfigError:
        return False
    return True


def _taps(model: FrozenModel) -> dict[str, Any]:
    """Names of all tensors, and the ids of those that the page looks at."""
    names = [tap.name for tap in tap_table(model.config)]
    parts = {
        "q": "q.codes",
        "out": "out",
        "k": "image.k",
        "ks": "image.k_scale",
        "v": "image.v",
        "vs": "image.v_scale",
    }
    return {
        "names": names,
        "read": names.index("read.codes" if model.config.keyed else "read.query"),
        "fusion": [
            {key: names.index(f"{layer.name}.{part}") for key, part in parts.items()}
            for layer in fusion_layers(model.config)
        ],
    }


def packed(data: bytes) -> str:
    """Deflated, in base64, as the page unpacks it."""
    return base64.b64encode(zlib.compress(data, 9)).decode()
