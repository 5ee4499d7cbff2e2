# SPDX-License-Identifier: Apache-2.0
"""MODEL: frozen models, found, made smaller, exported."""

from __future__ import annotations

from pathlib import Path

from ..arch.config import MAX_CONTEXT, PRESETS, ModelConfig, preset
from ..arch.tables import size_table as model_size
from ..arch.tables import tensor_table
from ..exchange.files import FORMATS
from ..exchange.files import export as export_model
from ..extras import need
from ..frozen import FrozenModel, random_model
from ..frozen.doubt import with_doubt
from ..frozen.shipped import SHIPPED, find_model, is_run, things_model
from ..frozen.shrink import with_small_token_table, with_vocabulary, with_window

__all__ = [
    "FrozenModel",
    "ModelConfig",
    "export_model",
    "import_model",
    "load",
    "model_size",
    "preset",
    "random_model",
    "shrink_model",
]


def load(model: str | Path | None = None) -> FrozenModel:
    """A frozen model: a file, the name of one that ships (``demo``, ``recall``, ``things``, ``paper``),
    or the folder of a training run, for the model of its last checkpoint (needs
    ``bitmar-tiny[train]``). None: as the commands choose.

    ``FrozenError`` for a file that is none.

    >>> load("demo").config.vocab_size
    4096
    """
    path = find_model(model)
    if is_run(path):
        from .training import freeze_run

        return freeze_run(path)
    return FrozenModel.load(path)


def tensors(config: ModelConfig) -> list[dict[str, object]]:
    """Name, kind and shape of every tensor of a frozen model."""
    return [{"name": s.name, "kind": s.kind, "shape": s.shape} for s in tensor_table(config)]


def shrink_model(
    model: FrozenModel, *, window: int | None = None, vocabulary: int | None = None, token_bits: int = 8
) -> FrozenModel:
    """The model made smaller for a board that it does not fit: another model, with another digest.

    window: tokens of attention, the model's at most; vocabulary: tokens to keep; token_bits: 8, or 4 for half
    the bytes of the token table. ``ConfigError`` for a size that the model cannot be cut to.

    >>> shrink_model(load("demo"), window=32).config.window
    32
    """
    model = with_window(model, window) if window else model
    model = with_vocabulary(model, vocabulary) if vocabulary else model
    return with_small_token_table(model) if token_bits == 4 else model


def import_model(
    path: str | Path, config: ModelConfig | None = None
) -> tuple[FrozenModel, list[dict[str, str]], list[str]]:
    """A frozen model out of the ternary weights of an ONNX file, or of every .onnx file in a folder.

    config: of files that do not name one. Returns the model, where each ``tensor`` is from (``source``,
    ``how``), and the initializers that were not used. ``DataError`` or ``FrozenError`` for anything missing,
    misshaped or not ternary. Needs ``bitmar-tiny[export]``.
    """
    need("onnx")
    from ..exchange.from_onnx import import_onnx

    model, mapped, unused = import_onnx(Path(path), config)
    return model, [dict(vars(m)) for m in mapped], unused
