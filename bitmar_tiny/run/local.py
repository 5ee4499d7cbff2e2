# SPDX-License-Identifier: Apache-2.0
"""Sessions with models that compute in this process: whoever can take a token and tell its logits can write
and score text.
"""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..arch.tables import tap_table
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, DeviceError
from ..frozen import FrozenModel
from ..golden.sampler import Sampler
from .session import DATA, SILENT, Scored, Session, TapRecord


class LocalSession(Session):
    """``model``: what runs. The subclasses take a token (``advance``) and tell the integer logits behind it
    (``logits``).
    """

    def __init__(self, model: FrozenModel, name: str) -> None:
        self.model, self.name, self.cfg = model, name, model.config
        self.vocab, self.image_inputs = self.cfg.vocab_size, self.cfg.image_inputs
        self.tap_ids = {t.name: i for i, t in enumerate(tap_table(self.cfg))}
        self.modes: dict[int, int] = {}
        self.records: list[TapRecord] = []
        self._tokenizer: Tokenizer | None = None
        self.writes_text = bool(model.tokenizer)

    @abstractmethod
    def advance(self, token: int) -> None:
        """Take one token."""

    @abstractmethod
    def logits(self) -> tuple[np.ndarray, np.float32]:
        """Integer logits int32 [V] of the last token, and their scale."""

    @abstractmethod
    def keep(self) -> Any:
        """The state of the stream, for ``restore``."""

    @abstractmethod
    def restore(self, kept: Any) -> None:
        """Return to a state that was kept."""

    def taps(self, modes: Mapping[int, int], others: int = SILENT) -> None:
        self.modes = {i: others for i in self.tap_ids.values()} | dict(modes)

    def report(self, tap: int, array: np.ndarray) -> None:
        """A tensor that the model passed."""
        mode = self.modes.get(tap, SILENT)
        if mode != SILENT:
            data = np.ascontiguousarray(array).tobytes()
            self.records.append(TapRecord(tap, zlib.crc32(data), data if mode == DATA else b""))

    def reported(self) -> list[TapRecord]:
        """What was reported since the last call."""
        found, self.records = self.records, []
        return found

    def tokens(self, ids: Iterable[int]) -> list[TapRecord]:
        for token in ids:
            if not 0 <= token < self.vocab:
                raise DeviceError(f"{self.name}: token id outside the vocabulary: {token}.")
            self.advance(int(token))
        return self.reported()

    @property
    def tokenizer(self) -> Tokenizer:
        """``ConfigError`` for a model without one."""
        if not self.model.tokenizer:
            raise ConfigError(
                f"{self.cfg.name}: this model was frozen without a tokenizer.",
                "Freeze it with one to generate text.",
            )
        self._tokenizer = self._tokenizer or Tokenizer.from_bytes(self.model.tokenizer)
        return self._tokenizer

    def generate(
        self, prompt: str | Sequence[int], limit: int, temperature: float = 0.0, top_k: int = 1, seed: int = 0
    ) -> Iterator[tuple[int, bytes]]:
        eos, sampler = self.vocab - 1, Sampler(temperature, top_k, seed)
        self.tokens([eos, *(self.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt)])
        for made in range(limit):
            token = sampler.pick(*self.logits())
            if token == eos:
                return
            yield token, self.tokenizer.decode_bytes([token]) if self.model.tokenizer else b""
            if made + 1 < limit:
                self.advance(token)

    def score(self, context: Sequence[int], continuations: Sequence[Sequence[int]]) -> Iterator[list[Scored]]:
        self.tokens(context)
        kept = self.keep() if len(continuations) > 1 else None
        for n, ids in enumerate(continuations):
            if n:
                self.restore(kept)
            found: list[Scored] = []
            for i, token in enumerate(ids):
                if i:
                    self.advance(ids[i - 1])
                found.append(Scored.of(*self.logits(), token))
            yield found
