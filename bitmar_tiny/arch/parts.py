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
from .memories import memory
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
    return [Embedding(cfg), vision(cfg), *encoder, Fusion(cfg), memory(cfg), *decoder, Head(cfg)]
