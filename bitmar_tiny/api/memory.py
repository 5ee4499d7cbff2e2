# SPDX-License-Identifier: Apache-2.0
"""MEMORY: what a model remembers, in a store, a snapshot, a model, a run or on a board."""

from __future__ import annotations

from pathlib import Path

from ..data.pixels import read_picture
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, StoreError
from ..evaluate.sources import load_source as memory_source
from ..frozen import FrozenModel
from ..memory.inspect import Near, Source, Summary, check_rule, layout_of, memory_of, nearest
from ..memory.inspect import summarise as memory_summary
from ..memory.snapshot import read_snapshot, write_snapshot
from ..memory.store import SALVAGE, Memory, MemoryStore
from ..run.device import firmware_of
from ..run.session import Session

__all__ = [
    "Memory",
    "MemoryStore",
    "export_memory",
    "import_memory",
    "memory_source",
    "memory_store",
    "memory_summary",
    "nearest_slots",
]


def memory_store(path: str | Path, model: FrozenModel) -> MemoryStore:
    """The memory of ``model`` in a file or on a card: opened, or made with what the model was trained to.

    ``StoreError`` for a store that is damaged or another model's.
    """
    path = Path(path)
    return open_store(path, model) if path.exists() else new_store(path, model)


def open_store(path: Path, model: FrozenModel | None = None) -> MemoryStore:
    """A store that is there, of ``model`` if one is named."""
    return MemoryStore.open(path, model.digest, layout_of(model)) if model else MemoryStore.open(path)


def new_store(path: Path, model: FrozenModel, empty: bool = False) -> MemoryStore:
    """A new store in the place of what is there; ``empty``: all rows zero."""
    return MemoryStore.create(path, memory_of(model, empty), model.digest)


def nearest_slots(
    source: Source, model: FrozenModel, text: str = "", image: str | Path | None = None, count: int = 8
) -> list[Near]:
    """The slots that answer a text or a picture, the nearest first.

    >>> model = load("recall")
    >>> len(nearest_slots(Source("trained", memory_of(model), model.digest), model, "The key is", count=3))
    3
    """
    if text and not model.tokenizer:
        raise ConfigError("The model has no tokenizer, so it takes no text.", "Use --image.")
    tokens = Tokenizer.from_bytes(model.tokenizer).encode(text) if text else []
    picture = read_picture(image, model.config.image_inputs) if image else None
    return nearest(source, model, tokens, picture, count)


def export_memory(source: MemoryStore | Session, out: str | Path, *, salvage: bool = False) -> Memory:
    """Copy the memory of a store, or of a board, into a snapshot (safetensors).

    salvage: zeros for the rows of a store's damaged blocks; ``StoreError`` for them without.
    """
    if isinstance(source, MemoryStore):
        memory = source.check()[0] if salvage else source.read()
        digest, commit = source.digest, source.sequence
    else:
        board = firmware_of(source)
        memory, digest, commit = board.read_memory(), board.identity.model_sha256, 0
    write_snapshot(Path(out), memory, digest, commit)
    return memory


def load_snapshot(path: str | Path) -> Source:
    """What :func:`export_memory` wrote."""
    return Source(str(path), *read_snapshot(Path(path)))


def import_memory(
    snapshot: Source | str | Path,
    target: str | Path | Session,
    *,
    model: FrozenModel | None = None,
    resume: bool = False,
) -> Memory:
    """Make a store from a snapshot, or replace the memory of a board by it. Returns it.

    model: whose the memory must be; resume: go on where a lost connection to the board stopped.
    ``StoreError`` for another model's.
    """
    source = snapshot if isinstance(snapshot, Source) else load_snapshot(snapshot)
    if isinstance(target, (str, Path)):
        if model and model.digest != source.digest:
            raise StoreError(
                f"{source.name}: the memory belongs to another model than {model.config.name}.",
                "Name the model that it belongs to.",
            )
        if model:
            check_rule(source, model)
        MemoryStore.create(Path(target), source.memory, source.digest)
        return source.memory
    board = firmware_of(target)
    if board.identity.model_sha256 != source.digest:
        raise StoreError(
            f"{source.name}: the memory belongs to another model than the board's ({board.identity.model}).",
            "Flash the model that it belongs to.",
        )
    board.write_memory(source.memory, resume)
    return source.memory
