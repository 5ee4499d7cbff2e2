"""The one table of what a frozen model holds: names, kinds and shapes, in the order of the forward pass.

Training export, the frozen file, the golden model, the lowering and ``info`` all read this table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .config import VISION_DIM, ModelConfig

Kind = Literal["ternary", "rows8", "gain", "memory"]


@dataclass(frozen=True)
class TensorSpec:
    """One logical tensor. ``shape`` is [out, in] for matrices, [rows, width] for tables.

    Kinds and the arrays they stand for:

    * ``ternary``: ``NAME.trits`` int8 [N, K] in {-1, 0, 1} and ``NAME.scale`` float32 []
    * ``rows8``:   ``NAME.codes`` int8 [N, K] in [-127, 127] and ``NAME.scales`` float32 [N]
    * ``gain``:    ``NAME`` float32 [N]
    * ``memory``:  ``NAME.codes`` int16 [K, C] in [-32512, 32512], ``NAME.scales`` float32 [K],
      ``NAME.usage`` uint32 [K] (Q24)
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    part: str

    @property
    def parameters(self) -> int:
        """Learned numbers of this tensor (codes or gains; scales are counted apart)."""
        n = 1
        for extent in self.shape:
            n *= extent
        return n

    def arrays(self) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """Yield (array name, dtype name, shape) of the arrays behind this tensor."""
        n = self.shape[0]
        if self.kind == "ternary":
            yield f"{self.name}.trits", "int8", self.shape
            yield f"{self.name}.scale", "float32", ()
        elif self.kind == "rows8":
            yield f"{self.name}.codes", "int8", self.shape
            yield f"{self.name}.scales", "float32", (n,)
        elif self.kind == "memory":
            yield f"{self.name}.codes", "int16", self.shape
            yield f"{self.name}.scales", "float32", (n,)
            yield f"{self.name}.usage", "uint32", (n,)
        else:
            yield self.name, "float32", self.shape


def tensor_table(cfg: ModelConfig) -> list[TensorSpec]:
    """All tensors of a model with this configuration."""
    d, table = cfg.d_model, []

    def add(part: str, name: str, kind: Kind, *shape: int) -> None:
        table.append(TensorSpec(name, kind, shape, part))

    def block(part: str, name: str) -> None:
        add(part, f"{name}.attn_norm", "gain", d)
        for w in ("wq", "wk", "wv", "wo"):
            add(part, f"{name}.{w}", "ternary", d, d)
        add(part, f"{name}.ffn_norm", "gain", d)
        add(part, f"{name}.w1", "ternary", cfg.d_ffn, d)
        add(part, f"{name}.w2", "ternary", d, cfg.d_ffn)

    add("tables", "token_table", "rows8", cfg.vocab_size, d)
    add("tables", "position_table", "rows8", cfg.n_positions, d)
    add("vision", "vision.w1", "ternary", cfg.vision_hidden, VISION_DIM)
    add("vision", "vision.w2", "ternary", d, cfg.vision_hidden)
    add("vision", "vision.positions", "rows8", cfg.image_tokens, d)
    for i in range(cfg.n_encoder_layers):
        block("encoder", f"enc.{i}")
    add("fusion", "fusion.image_norm", "gain", d)
    for i in range(cfg.n_fusion_layers):
        add("fusion", f"fusion.{i}.norm", "gain", d)
        for w in ("wq", "wk", "wv", "wo"):
            add("fusion", f"fusion.{i}.{w}", "ternary", d, d)
    add("memory", "memory.norm", "gain", d)
    add("memory", "memory.m", "memory", cfg.memory_slots, d)
    add("memory", "memory.ww", "ternary", cfg.memory_slots, d)
    for i in range(cfg.n_decoder_layers):
        add("decoder", f"dec.{i}.wm", "ternary", d, d)
        block("decoder", f"dec.{i}")
    add("head", "head.norm", "gain", d)
    add("head", "head.w", "ternary", cfg.vocab_size, d)
    return table
