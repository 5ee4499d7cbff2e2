# SPDX-License-Identifier: Apache-2.0
"""A session with the PyTorch model: the whole stream is computed again for every token, which is simple and
exact.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import ConfigError
from ..frozen import FrozenModel
from ..golden import numerics as nm
from ..memory.inspect import memory_of
from ..memory.store import Memory
from ..model.streaming import next_logits
from .local import LocalSession
from .session import SILENT, TapRecord


class TorchSession(LocalSession):
    """``ConfigError`` for what only golden and firmware do: taps, and writing the memory."""

    can_tap = False

    def __init__(self, model: FrozenModel) -> None:
        super().__init__(model, "torch")
        self.on, self.picture = True, None
        self.restart()

    def begin(self) -> list[TapRecord]:
        self.stream: list[int] = []
        self.picture, self.logits_of = None, None
        return []

    def image(self, vectors: np.ndarray) -> list[TapRecord]:
        self.picture, self.logits_of = nm.as_features(vectors), None
        return []

    def memory_on(self, on: bool) -> None:
        self.on, self.logits_of = on, None

    def advance(self, token: int) -> None:
        self.stream.append(token)

    def logits(self) -> tuple[np.ndarray, np.float32]:
        self.logits_of = self.logits_of or next_logits(self.model, self.picture, self.on)
        return self.logits_of(self.stream)

    def keep(self) -> list[int]:
        return list(self.stream)

    def restore(self, kept: list[int]) -> None:
        self.stream = list(kept)

    def restart(self) -> None:
        self.begin()

    def read_memory(self) -> Memory:
        return memory_of(self.model)

    def end(self) -> list[TapRecord]:
        raise self._unable("writes no memory")

    def write_memory(self, memory: Memory) -> None:
        raise self._unable("writes no memory")

    def taps(self, modes: Mapping[int, int], others: int = SILENT) -> None:
        if others != SILENT or any(modes.values()):
            raise self._unable("shows no tensors")

    def _unable(self, what: str) -> ConfigError:
        return ConfigError(f"The PyTorch model {what}.", "Choose --on golden, host or a board.")
