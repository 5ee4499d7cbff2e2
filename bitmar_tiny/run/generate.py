# SPDX-License-Identifier: Apache-2.0
"""Text from a model, wherever it runs. Golden, PyTorch, exported files and firmware give the same tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError, DataError
from ..golden.sampler import MAX_TOP_K
from .session import Session

#: What makes a memory that can be written of one that is read-only.
TO_WRITE = "Generate it with --memory sd, or a region that can be written."
MAX_TEMPERATURE = 100.0  # firmware takes no higher one


@dataclass(frozen=True)
class Request:
    """What is to be written.

    prompt: text, or token ids; picture: float32 features or uint8 patches [image_inputs, 768], or None;
    limit: most tokens behind the prompt; temperature 0 is greedy; memory_on: whether the memory is read;
    remember: write the episode, prompt and answer, into the memory when it is over. ``ConfigError`` for a
    temperature or top_k that no sampler takes, ``DataError`` for a prompt that is no Unicode text.
    """

    prompt: str | tuple[int, ...] = ""
    picture: np.ndarray | None = None
    limit: int = 32
    temperature: float = 0.0
    top_k: int = 40
    seed: int = 0
    memory_on: bool = True
    remember: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= MAX_TEMPERATURE:  # NaN neither
            raise ConfigError(
                f"There is no temperature {self.temperature}.",
                f"Choose one from 0, which is greedy, to {MAX_TEMPERATURE:g}.",
            )
        if not 1 <= self.top_k <= MAX_TOP_K:
            raise ConfigError(f"There is no top-k of {self.top_k}.", f"Choose one from 1 to {MAX_TOP_K}.")
        if isinstance(self.prompt, str) and any("\ud800" <= c <= "\udfff" for c in self.prompt):
            raise DataError("The prompt holds bytes that are no Unicode text.", "Write it in UTF-8.")


def tell(session: Session, tokens: Iterable[int], picture: np.ndarray | None = None) -> None:
    """One episode, read and written into the memory: a picture as a request has it, and tokens."""
    session.begin()
    if picture is not None:
        session.image(picture)
    session.tokens(tokens)
    session.end()


def generate(session: Session, request: Request) -> Iterator[tuple[int, bytes]]:
    """Tokens as they come: ids and bytes of text. The episode is written when the last one was taken."""
    session.begin()
    session.memory_on(request.memory_on)
    if request.picture is not None:
        session.image(request.picture)
    yield from session.generate(
        request.prompt, request.limit, request.temperature, request.top_k, request.seed
    )
    if request.remember:
        session.end()
