# SPDX-License-Identifier: Apache-2.0
"""The episodic memory as a part of the model: rows that content addresses, or keys apart from values."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .blocks import KERNEL, Part
from .config import ModelConfig
from .records import Section, State, Tap, Tensor


class Memory(Part):
    """The pooled query of the episode, the episodic memory, and what it tells every decoder layer."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__(cfg)
        self.elements = 4 * cfg.d_model

    def tensors(self) -> Iterator[Tensor]:
        shape = (self.cfg.memory_slots, self.cfg.d_model)
        yield Tensor("memory.norm", "gain", shape[1:], "memory")
        yield Tensor("memory.m", "memory", shape, "memory")
        yield Tensor("memory.ww", "ternary", shape, "memory")

    def sections(self) -> Iterator[Section]:
        yield Section("memory_norm", "float32", ("memory.norm",))
        yield Section("memory_ww", "ternary", ("memory.ww.trits",), read="episode")
        yield Section("memory_ww_scale", "float32", ("memory.ww.scale",), read="episode")
        arrays = tuple(f"memory.m.{a}" for a in ("codes", "scales", "usage"))
        yield Section("memory", "memory", arrays, read="read", activity="memory")

    def seen(self) -> Iterator[State]:
        """What an image leaves for the memory, beside the caches."""
        yield from ()

    def states(self) -> Iterator[State]:
        yield State("pool.sum", "int32", (self.cfg.d_model,))
        for i in range(self.cfg.n_decoder_layers):
            yield State(f"dec.{i}.cond", "float32", (self.cfg.d_model,))

    def planes(self) -> Iterator[State]:
        """The memory itself: high and low bytes of its 16-bit codes, a scale and a usage (Q24) for every
        slot.
        """
        k, d = self.cfg.memory_slots, self.cfg.d_model
        yield State("memory.high", "int8", (k, d))
        yield State("memory.low", "int8", (k, d))
        yield State("memory.scales", "float32", (k,))
        yield State("memory.usage", "uint32", (k,))

    def taps(self) -> Iterator[Tap]:
        d = self.cfg.d_model
        for a in self.seen():
            yield Tap(a.name, a.dtype, a.shape, "image")
        yield Tap("pool.codes", "int8", (d,), "step", suspect="the quantiser or gain memory.norm")
        yield Tap("pool.sum", "int32", (d,), "step")
        read, write = partial(Tap, event="step", only="read"), partial(Tap, event="write")
        yield from self.query_taps(read)
        yield read("read.vector", "float32", (d,), suspect="the memory read or the memory itself")
        for i in range(self.cfg.n_decoder_layers):
            wm = f"{KERNEL}dec.{i}.wm, or its scale"
            yield read(f"dec.{i}.cond", "float32", (d,), layer=f"dec.{i}", suspect=wm)
        yield from self.write_taps(write)
        changed = {"scales": "the memory update or forgetting of slot {i}", "usage": "the usage of slot {i}"}
        for a in self.planes():
            suspect = changed.get(a.name.partition(".")[2], "the memory update of slot {i}")
            yield write(a.name, a.dtype, a.shape, suspect=suspect)

    def query_taps(self, tap: partial[Tap]) -> Iterator[Tap]:
        yield tap("read.query", "int8", (self.cfg.d_model,))

    def write_taps(self, tap: partial[Tap]) -> Iterator[Tap]:
        d, k = self.cfg.d_model, self.cfg.memory_slots
        yield tap("write.query", "int8", (d,))
        yield tap("write.acc", "int32", (k,), suspect=KERNEL + "memory.ww")
        yield tap("write.weights", "int32", (k,), suspect="memory addressing or the scale of memory.ww")


class KeyedMemory(Memory):
    """Keys apart from values: a slot holds what was seen as its key and what was said as its value; the first
    ``fixed_slots`` are learned. The planes are those of a :class:`Memory`: keys high, values low, the scales
    are the keys'; usage 0 is an empty slot.
    """

    def tensors(self) -> Iterator[Tensor]:
        d = self.cfg.d_model
        yield Tensor("memory.norm", "gain", (d,), "memory")
        yield Tensor(
            "memory.m", "memory", (self.cfg.memory_slots, d), "memory", learned=(2, self.cfg.fixed_slots, d)
        )
        yield Tensor("memory.wk", "ternary", (d, d), "memory")
        yield Tensor("memory.wv", "ternary", (d, d), "memory")
        yield Tensor("memory.sharpness", "gain", (1,), "memory")

    def sections(self) -> Iterator[Section]:
        *rest, planes = super().sections()
        yield rest[0]
        yield Section("memory_wk", "ternary", ("memory.wk.trits",), read="read")
        yield Section("memory_wk_scale", "float32", ("memory.wk.scale",), read="read")
        yield Section("memory_sharpness", "float32", ("memory.sharpness",), read="read")
        yield Section("memory_wv", "ternary", ("memory.wv.trits",), read="episode")
        yield Section("memory_wv_scale", "float32", ("memory.wv.scale",), read="episode")
        yield planes

    def seen(self) -> Iterator[State]:
        yield State("image.sum", "int32", (self.cfg.d_model,))

    def query_taps(self, tap: partial[Tap]) -> Iterator[Tap]:
        yield from self.projection_taps(tap, "read", "memory.wk")

    def write_taps(self, tap: partial[Tap]) -> Iterator[Tap]:
        yield from self.projection_taps(tap, "write.key", "memory.wk")
        yield from self.projection_taps(tap, "write.value", "memory.wv")
        yield tap("write.slot", "int32", (1,), suspect="the comparison with the keys, or the usage")

    def projection_taps(self, tap: partial[Tap], name: str, matrix: str) -> Iterator[Tap]:
        d = self.cfg.d_model
        yield tap(f"{name}.source", "int8", (d,), suspect="the quantiser")
        yield tap(f"{name}.acc", "int32", (d,), suspect=KERNEL + matrix)
        yield tap(f"{name}.codes", "int8", (d,), suspect=f"the quantiser or the scale of {matrix}")


def memory(cfg: ModelConfig) -> Memory:
    """The memory that a configuration asks for."""
    return KeyedMemory(cfg) if cfg.keyed else Memory(cfg)
