"""Checkpoints: written atomically, read without pickle's powers, complete enough to continue bit for bit."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from ..config import ModelConfig
from ..errors import DataError
from ..files import atomic_file
from ..model.bitmar import BitMar

FILE = "checkpoint.pt"


def save(folder: Path, model: BitMar, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Everything that the next step depends on: weights, moments, pending writes, random state, step."""
    with atomic_file(folder / FILE) as f:
        torch.save({"step": step, "model": model.state_dict(), "optimiser": optimiser.state_dict(),
                    "random": torch.get_rng_state()}, f)


def load(folder: Path) -> dict[str, Any] | None:
    """The last checkpoint, None if there is none; ``DataError`` if it cannot be read."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state["step"], state["model"], state["optimiser"], state["random"]
        return state
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, OSError, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: damaged or not a checkpoint ({type(error).__name__}).",
                        "Delete it, or start over with --restart.") from None


def restore(model: BitMar, state: dict[str, Any], where: Path) -> int:
    """Put a checkpoint's weights into ``model``; returns the step. ``DataError`` for a checkpoint of another model."""
    model.pending = state["model"]["pending"].clone()      # its length varies
    try:
        model.load_state_dict(state["model"])
    except (RuntimeError, KeyError):
        raise DataError(f"{where}: the checkpoint belongs to another model.", "Choose another folder, or --restart.") from None
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
