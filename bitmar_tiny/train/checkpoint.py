# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: written atomically, read without pickle's powers, complete enough to continue bit for bit.

A new one is written beside the old one, synced, and takes its place; the old one stays as ``previous.pt`` and
is read where the newest cannot be. A kill at any moment, or a full disk, leaves at least one that is whole.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from ..arch.config import ModelConfig
from ..errors import DataError
from ..files import atomic_file
from ..model.bitmar import BitMar

FILE, PREVIOUS = "checkpoint.pt", "previous.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state``: tensors and plain values. ``DataError`` where the disk refuses; what was there is then
    untouched.
    """
    stream = io.BytesIO()
    torch.save(state, stream)
    path = folder / FILE
    with atomic_file(path) as f:
        f.write(stream.getbuffer())
        f.flush()
        os.fsync(f.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, folder / PREVIOUS)


def load(folder: Path) -> dict[str, Any] | None:
    """The last checkpoint that is whole, None if there is none; ``DataError`` if there are some and none can
    be read.
    """
    damaged = None
    for name in (FILE, PREVIOUS):
        try:
            return _read(folder / name)
        except FileNotFoundError:
            continue
        except (
            RuntimeError,
            EOFError,
            ValueError,
            KeyError,
            TypeError,
            OSError,
            pickle.UnpicklingError,
        ) as error:
            damaged = damaged or f"{folder / name}: damaged or not a checkpoint ({type(error).__name__})."
    if damaged:
        raise DataError(damaged, "Delete it, or start over with --restart.")
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "torchao" not in str(error):
            raise
        try:
            importlib.import_module("torchao.optim")  # makes its 8-bit moments known to the safe reader
        except ImportError:
            raise DataError(
                f"{path}: holds 8-bit moments of torchao, which is not installed.", "Run: pip install torchao"
            ) from None
        state = torch.load(path, map_location="cpu", weights_only=True)
    state["step"], state["model"], state["optimiser"]
    return state


def restore(model: BitMar, state: dict[str, Any], where: Path) -> int:
    """Put a checkpoint's weights into ``model``; returns the step. ``DataError`` for a checkpoint of another
    model.
    """
    model.pending = state["model"]["pending"].clone().to(model.usage.device)  # its length varies
    try:
        model.load_state_dict(state["model"])
    except (RuntimeError, KeyError):
        raise DataError(
            f"{where}: the checkpoint belongs to another model.", "Choose another folder, or --restart."
        ) from None
    return state["step"]


def load_model(cfg: ModelConfig, folder: Path, float_twin: bool = False) -> tuple[BitMar, int]:
    """The trained model of a run, in eval mode with its pending episodes written, and its step."""
    state = load(folder)
    if state is None:
        raise DataError(f"{folder}: there is no checkpoint yet.", "Train for at least one checkpoint first.")
    model = BitMar(cfg, float_twin)
    step = restore(model, state, folder)
    model.commit(model.pending[:0])
    return model.eval(), step
