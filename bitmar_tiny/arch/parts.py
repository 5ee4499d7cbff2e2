# SPDX-License-Identifier: Apache-2.0
"""The parts of the model, in the order of the forward pass: each yields its tensors, blob sections, caches,
state and taps.

Everything else that knows the architecture (frozen files, lowering, plan, estimate, exporters, verification,
the C tables) reads the tables that ``tables.py`` collects from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .blocks import KERNEL, Block, Fusion, Part
from .config import ModelConfig
from .records import Section, State, Tap, Tensor
from .vision import vision


class Embedding(Part):
    """Token and position tables."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__(cfg)
        self.elements = 4 * cfg.d_model

    def tensors(self) -> Iterator[Tensor]:
        yield Tensor("token_table", "rows8", (self.cfg.vocab_size, self.cfg.d_model), "tables")
        yield Tensor("position_table", "rows8", (self.cfg.n_positions, self.cfg.d_model), "tables")

    def sections(self) -> Iterator[Section]:
        row = partial(Section, read="row", activity="vectors")
        yield row("token_codes", "tokens", ("token_table.codes",))
        yield row("token_scales", "float32", ("token_table.scales",))
        yield row("position_codes", "rows", ("position_table.codes",))
        yield row("position_scales", "float32", ("position_table.scales",))

    def states(self) -> Iterator[State]:
        yield State("position", "int32", (1,))

    def taps(self) -> Iterator[Tap]:
        yield Tap(
            "embed", "float32", (self.cfg.d_model,), "step", suspect="the token table or the position table"
        )


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
        cfg, d, k = self.cfg, self.cfg.d_model, self.cfg.memory_slots
        yield Tap("pool.codes", "int8", (d,), "step", suspect="the quantiser or gain memory.norm")
        yield Tap("pool.sum", "int32", (d,), "step")
        read, write = partial(Tap, event="step", only="read"), partial(Tap, event="write")
        yield read("read.query", "int8", (d,))
        yield read("read.vector", "float32", (d,), suspect="the memory read or the memory itself")
        for i in range(cfg.n_decoder_layers):
            wm = f"{KERNEL}dec.{i}.wm, or its scale"
            yield read(f"dec.{i}.cond", "float32", (d,), layer=f"dec.{i}", suspect=wm)
        yield write("write.query", "int8", (d,))
        yield write("write.acc", "int32", (k,), suspect=KERNEL + "memory.ww")
        yield write("write.weights", "int32", (k,), suspect="memory addressing or the scale of memory.ww")
        changed = {"scales": "the memory update or forgetting of slot {i}", "usage": "the usage of slot {i}"}
        for a in self.planes():
            suspect = changed.get(a.name.partition(".")[2], "the memory update of slot {i}")
            yield write(a.name, a.dtype, a.shape, suspect=suspect)


class Head(Part):
    """The ternary vocabulary head."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__(cfg)
        self.elements = 4 * cfg.d_model

    def tensors(self) -> Iterator[Tensor]:
        yield Tensor("head.norm", "gain", (self.cfg.d_model,), "head")
        yield Tensor("head.w", "ternary", (self.cfg.vocab_size, self.cfg.d_model), "head")

    def sections(self) -> Iterator[Section]:
        section = partial(Section, activity="head")
        yield section("head_norm", "float32", ("head.norm",))
        yield section("head_w", "head", ("head.w.trits",))
        yield section("head_scale", "float32", ("head.w.scale",))

    def taps(self) -> Iterator[Tap]:
        d, v = self.cfg.d_model, self.cfg.vocab_size
        yield Tap("head.codes", "int8", (d,), "step", suspect="the quantiser or gain head.norm")
        yield Tap("logits", "int32", (v,), "step", suspect=KERNEL + "head.w")


def parts(cfg: ModelConfig) -> list[Part]:
    """All parts of a model, in the order of the forward pass."""
    encoder = [Block(cfg, f"enc.{i}", "encoder") for i in range(cfg.n_encoder_layers)]
    decoder = [Block(cfg, f"dec.{i}", "decoder", conditioned=True) for i in range(cfg.n_decoder_layers)]
    return [Embedding(cfg), vision(cfg), *encoder, Fusion(cfg), Memory(cfg), *decoder, Head(cfg)]
