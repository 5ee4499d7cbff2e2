# SPDX-License-Identifier: Apache-2.0
"""A session with the golden model: the NumPy reference itself."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from ..frozen import FrozenModel
from ..golden import numerics as nm
from ..golden.model import GoldenModel
from ..memory.store import Memory, MemoryStore
from .local import LocalSession
from .session import TapRecord

#: What a stream changes of the model.
STREAM = ("t", "enc", "dec", "pooled", "cond", "head_scale")


class GoldenSession(LocalSession):
    """``memory_tier``: where it keeps its memory, as far as one can tell: what a restart leaves of it.
    ``store``: a store that holds the memory, and gets every episode that ends; ``StoreError`` for one that
    cannot be used.
    """

    def __init__(self, model: FrozenModel, memory_tier: str = "ram", store: Path | None = None) -> None:
        super().__init__(model, "golden")
        self.store = None if store is None else MemoryStore.open(store, model.digest)
        self.memory_tier = memory_tier if store is None else "sd"
        self._start()

    def _start(self) -> None:
        self.golden = GoldenModel(
            self.cfg, self.model.arrays, self._tap, read_only=self.memory_tier == "flash"
        )
        self.acc: np.ndarray | None = None
        if self.store:
            self._set(self.store.read())

    def _tap(self, name: str, array: np.ndarray) -> None:
        if self.modes:
            self.report(self.tap_ids[name], array)

    def _set(self, memory: Memory) -> None:
        g = self.golden
        g.m_codes, g.m_scales, g.m_usage = memory.codes.copy(), memory.scales.copy(), memory.usage.copy()

    def begin(self) -> list[TapRecord]:
        self.golden.begin_episode()
        self.acc = None
        return []

    def image(self, vectors: np.ndarray) -> list[TapRecord]:
        self.golden.set_image(nm.as_features(vectors))
        return self.reported()

    def advance(self, token: int) -> None:
        self.acc = self.golden.step(token)

    def logits(self) -> tuple[np.ndarray, np.float32]:
        assert self.acc is not None  # of the token that came last
        g = self.golden
        return self.acc, g.head_scale * np.float32(g.a["head.w.scale"])

    def end(self) -> list[TapRecord]:
        self.golden.end_episode()
        if self.store and self.golden.memory_on:
            self.store.commit(self.read_memory())
        return self.reported()

    def memory_on(self, on: bool) -> None:
        self.golden.memory_on = on

    def keep(self) -> tuple[Any, ...]:
        return self.acc, copy.deepcopy({name: getattr(self.golden, name) for name in STREAM})

    def restore(self, kept: tuple[Any, ...]) -> None:
        self.acc, state = kept
        for name, value in copy.deepcopy(state).items():
            setattr(self.golden, name, value)

    def read_memory(self) -> Memory:
        g = self.golden
        return Memory(g.m_codes.copy(), g.m_scales.copy(), g.m_usage.copy(), self.cfg.keyed)

    def write_memory(self, memory: Memory) -> None:
        self._set(memory)
        if self.store:
            self.store.commit(memory)

    def restart(self) -> None:
        memory, modes = self.read_memory(), self.modes
        self.modes = {}
        self._start()
        self.modes = modes
        if self.memory_tier == "sd" and not self.store:
            self._set(memory)
