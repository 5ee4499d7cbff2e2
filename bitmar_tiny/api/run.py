# SPDX-License-Identifier: Apache-2.0
"""RUN: a model asked something, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..data.pixels import read_picture
from ..errors import ConfigError
from ..frozen import FrozenModel
from ..golden.sampler import MAX_TOP_K
from ..memory.store import MemoryStore
from ..run.generate import TO_WRITE, Request
from ..run.generate import generate as write
from ..run.prompts import read_prompt
from ..run.session import BAUD, Session, SessionOptions, is_built, is_local, open_session, takes_store

__all__ = ["Session", "caption", "connect", "generate", "session", "text_stream"]

Picture = str | Path | np.ndarray


def session(
    model: FrozenModel | None = None,
    on: str = "golden",
    *,
    memory: MemoryStore | str | Path | None = None,
    baud: int = BAUD,
    timeout_s: float | None = None,
    record: str | Path | None = None,
    taps: bool = False,
    marks: bool = False,
    memory_in: str = "auto",
    log: Callable[[str], None] = lambda text: None,
) -> Session:
    """The model, running on a target; use it in a ``with`` statement.

    on: ``golden``, ``torch``, ``host``, the name of a board (its firmware is built and started here, in an
    emulator if need be), ``/dev/ttyUSB0``, ``socket://HOST:PORT``, ``rfc2217://HOST:PORT``, ``replay:FILE``,
    ``onnx`` or ``tflite``. memory: a store in the place of the memory that the model was trained to; record:
    file for what is exchanged with firmware; taps: the target must be able to show every tensor; of firmware
    that is built here, marks: it must be able to say where its time goes, memory_in: where its memory lies;
    log: gets what firmware prints beside its answers. ``ConfigError`` for a target that is none,
    ``DeviceError`` for a board that does not answer as it should.

    >>> with session(load("recall")) as s:
    ...     bytes_of_text = b"".join(text for _, text in s.generate("The key is", limit=4))
    """
    store = memory.path if isinstance(memory, MemoryStore) else memory
    options = SessionOptions(
        baud=baud,
        timeout_s=timeout_s,
        record=Path(record) if record else None,
        flags=("-DBM_TAPS",) * taps + ("-DBM_PROFILE",) * marks,
        memory=memory_in,
        store=Path(store) if store else None,
        taps=taps,
        log=log,
    )
    return open_session(on, model, options)


def connect(port: str, model: FrozenModel | None = None, **options: Any) -> Session:
    """A board on a port: :func:`session` with the board's own model, or ``model`` if it must be that one."""
    return session(model, port, **options)


def text_stream(
    opened: Session,
    prompt: str = "",
    *,
    image: Picture | None = None,
    limit: int = 32,
    temperature: float = 0.0,
    top_k: int = 40,
    seed: int = 0,
    use_memory: bool = True,
    remember: bool = False,
    name: str = "",
) -> Iterator[tuple[int, bytes]]:
    """Tokens behind ``prompt`` as they come, ids and bytes of text, out of an open session.

    image: a picture file, or float32 features or uint8 patches [image_inputs, 768]; temperature 0 is greedy;
    use_memory: False leaves the memory unread; remember: write the episode, prompt and answer, into it when
    the last token was taken; name: of the model, in what is said of it. ``DataError`` for a picture that
    cannot be read, ``ConfigError`` for a model without a tokenizer.

    >>> with session(load("recall")) as s:
    ...     len(list(text_stream(s, "The key is", limit=2)))
    2
    """
    if not opened.writes_text:
        raise ConfigError(
            f"{name or opened.name}: this model was frozen without a tokenizer.",
            "Freeze it with one to generate text.",
        )
    if remember:
        opened.need_writable(TO_WRITE)
    picture = (
        image if image is None or isinstance(image, np.ndarray) else read_picture(image, opened.image_inputs)
    )
    yield from write(opened, Request(prompt, picture, limit, temperature, top_k, seed, use_memory, remember))


def generate(
    model: FrozenModel,
    prompt: str = "",
    *,
    on: str | Session = "golden",
    memory: MemoryStore | str | Path | None = None,
    remember: bool = False,
    **options: Any,
) -> str:
    """The text that the model writes behind ``prompt``. Every target gives the same.

    on: a target, or an open session; remember: write the episode, prompt and answer, into ``memory`` when it
    is over; options: of :func:`text_stream`.

    >>> from tempfile import TemporaryDirectory
    >>> model = load("recall")
    >>> with TemporaryDirectory() as folder:
    ...     store = memory_store(Path(folder) / "memory.store", model)
    ...     _ = generate(model, "The key is in the drawer.", memory=store, remember=True)
    ...     generate(model, "The key is", memory=store)
    ' in the drawer.'
    """
    if not isinstance(on, str):
        stream = text_stream(on, prompt, remember=remember, **options)
        return b"".join(piece for _, piece in stream).decode(errors="replace")
    if remember and memory is None:
        raise ConfigError(
            "remember=True needs a memory to write to.", "Give memory=memory_store(PATH, model)."
        )
    with session(model, on, memory=memory) as opened:
        return generate(model, prompt, on=opened, remember=remember, **options)


def caption(model: FrozenModel, image: Picture, **options: Any) -> str:
    """What the model sees on a picture: :func:`generate` without a prompt, its spaces stripped."""
    return generate(model, image=image, **options).strip()
