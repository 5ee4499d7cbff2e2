# SPDX-License-Identifier: Apache-2.0
"""MEMORY: things that a model is shown once, and knows from then on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..data.features import PictureEncoder
from ..data.pixels import MOST_BYTES
from ..errors import ConfigError, StoreError
from ..frozen import FrozenModel
from ..memory.recital import Progress, silent
from ..memory.store import MemoryStore
from ..run.look import Picture, look, open_backbone
from ..run.session import Session, is_built, is_local, takes_store
from ..run.teach import (
    Answering,
    Seen,
    Taught,
    Thing,
    ask,
    checked_name,
    forget,
    need_things,
    rehearse,
    taught,
)
from ..run.teach import teach as show
from .memory import memory_store
from .run import session

__all__ = [
    "Answering",
    "PictureEncoder",
    "Seen",
    "Taught",
    "Thing",
    "ask_thing",
    "forget_thing",
    "open_backbone",
    "taught_things",
    "teach_thing",
]

Kept = MemoryStore | str | Path | None


def read_input(stream: BinaryIO) -> bytes:
    """A picture from a stream, up to the size at which it is refused."""
    return stream.read(MOST_BYTES + 1)


def teach_thing(
    model: FrozenModel,
    name: str,
    image: Picture,
    *,
    backbone: str | Path | PictureEncoder | None = None,
    on: str | Session = "golden",
    memory: Kept = None,
    **options: Any,
) -> Taught:
    """Show a thing once, by its name; from then on :func:`ask_thing` knows it.

    image: a picture file, the bytes of one, or float32 features or uint8 patches [image_inputs, 768];
    backbone: for a picture and a model that was trained on a backbone's vectors, its file, or what
    :func:`open_backbone` made of it, which is quicker for many pictures; on: a target of :func:`session`, or
    an open session; memory: the store that keeps it, made if it is not there; a board on a port has its own;
    options: of :func:`session`. One episode is written, whole or not at all.

    ``ConfigError`` before anything is written: for a model that nothing can be shown to, a name that the
    model would not say again, a target that keeps no memory, another backbone than the model's or none where
    it needs one. ``DataError`` for a picture or a backbone that cannot be read, ``StoreError`` for a store
    that is damaged or another model's.
    """
    need_things(model)
    name, picture = checked_name(model, name), look(model, image, backbone)
    if isinstance(on, Session):
        return show(on, model, name, picture)
    need_kept(on, memory)
    rehearse(model, name, picture)  # before a store is made, or firmware built
    if isinstance(memory, (str, Path)):
        memory = memory_store(memory, model)
    with session(model, on, memory=memory, **options) as opened:
        return show(opened, model, name, picture)


def ask_thing(
    model: FrozenModel,
    image: Picture,
    *,
    backbone: str | Path | PictureEncoder | None = None,
    on: str | Session = "golden",
    memory: Kept = None,
    **options: Any,
) -> Seen:
    """What the model says of a picture, and which slots of its memory answered. Options as those of
    :func:`teach_thing`; nothing is written.
    """
    need_things(model)
    picture = look(model, image, backbone)
    with _opened(model, on, memory, options) as opened:
        return ask(opened, model, picture)


def forget_thing(
    model: FrozenModel,
    name: str,
    *,
    on: str | Session = "golden",
    memory: Kept = None,
    progress: Progress = silent,
    **options: Any,
) -> list[Thing]:
    """Empty the slots that hold a thing of this name, in one commit; returns what they held. Options as those
    of :func:`teach_thing`; progress is told how many slots were recited, and of how many.

    ``StoreError`` if nothing is known by the name. What the model learned in training stays.
    """
    need_things(model)
    checked_name(model, name)
    if isinstance(on, str):
        need_kept(on, memory)
    with _opened(model, on, memory, options) as opened:
        return forget(opened, model, name, progress)


def taught_things(
    model: FrozenModel,
    *,
    on: str | Session = "golden",
    memory: Kept = None,
    progress: Progress = silent,
    **options: Any,
) -> list[Thing]:
    """All that the model was taught, the latest first. Options as those of :func:`forget_thing`."""
    need_things(model)
    with _opened(model, on, memory, options) as opened:
        return taught(opened, model, progress)


def need_kept(target: str, memory: Kept) -> None:
    """``ConfigError`` where what a target is taught would be lost, or its memory lies elsewhere than in
    ``memory``.
    """
    if takes_store(target):
        if memory is None:
            raise ConfigError(f"{target}: what it is taught needs a memory to be kept in.", "Name a store.")
    elif is_local(target) or is_built(target):
        raise ConfigError(
            f"{target}: its memory ends with the command, and all that it was taught.",
            "Choose golden, host, or a board on a port.",
        )
    elif memory is not None:
        raise ConfigError(
            f"{target}: the memory of a board lies where its firmware has it.", "Leave out the store."
        )


@contextlib.contextmanager
def _opened(
    model: FrozenModel, on: str | Session, memory: Kept, options: dict[str, Any]
) -> Iterator[Session]:
    """A session, closed in the end unless it was open before."""
    if isinstance(on, Session):
        yield on
        return
    if isinstance(memory, (str, Path)) and not Path(memory).exists():
        raise StoreError(
            f"{memory}: there is no such memory store, so nothing was taught.",
            "Teach a thing, which makes it, or name another store.",
        )
    with session(model, on, memory=memory, **options) as opened:
        yield opened
