# SPDX-License-Identifier: Apache-2.0
"""A memory in one file of its own, as 'bitmar-tiny memory export' writes it from a store or board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import StoreError
from ..files import atomic_file
from .format import HEADER
from .store import Memory

FORMAT, VERSION = "bitmar-tiny/memory", "1"
STORE = HEADER.to_bytes(4, "little")  # how a store begins
KEYED = "keyed"
SHAPES = {"codes": ("int16", 2), "scales": ("float32", 1), "usage": ("uint32", 1)}


def write_snapshot(path: Path, memory: Memory, digest: str, commit: int) -> None:
    """Write a memory as safetensors, atomically. ``digest``: SHA-256 (hex) of its model; ``commit``: 0 where
    the source counts none.

    ``StoreError`` if the disk refuses or has no such folder.
    """
    meta = {"format": FORMAT, "version": VERSION, "model_sha256": digest, "commit": str(commit)}
    meta |= {"rule": KEYED} if memory.keyed else {}
    with atomic_file(path, StoreError, make_folder=False) as f:
        f.write(save({"codes": memory.codes, "scales": memory.scales, "usage": memory.usage}, meta))


def read_snapshot(path: Path) -> tuple[Memory, str]:
    """The memory and the SHA-256 of its model. ``StoreError`` for a missing or damaged file, and for another
    kind of file.
    """
    if not path.is_file():
        raise StoreError(f"{path}: there is no such file.", "Make one with 'bitmar-tiny memory export'.")
    with open(path, "rb") as f:
        if f.read(4) == STORE:
            raise StoreError(
                f"{path}: a memory store, not a snapshot of one.",
                "Copy it with 'bitmar-tiny memory export', or name the copy.",
            )
    try:
        with safe_open(path, framework="numpy") as f:
            meta = f.metadata() or {}
            arrays = {name: f.get_tensor(name) for name in f.keys()}
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"{path}: damaged or not a snapshot ({str(error).splitlines()[0]}).", "Export it again."
        ) from None
    shapes = {name: (a.dtype.name, a.ndim) for name, a in arrays.items()}
    if (
        meta.get("format") != FORMAT
        or meta.get("version") != VERSION
        or shapes != SHAPES
        or meta.get("rule", KEYED) != KEYED
        or len({len(a) for a in arrays.values()}) != 1
    ):
        raise StoreError(f"{path}: not a snapshot of a memory.", "Make one with 'bitmar-tiny memory export'.")
    if not np.isfinite(arrays["scales"]).all():
        raise StoreError(f"{path}: holds scales that are not finite.", "Export it again.")
    return Memory(**arrays, keyed="rule" in meta), meta.get("model_sha256", "0" * 64)
