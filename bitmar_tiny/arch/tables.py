# SPDX-License-Identifier: Apache-2.0
"""The tables of a model: one walk over its parts."""

from __future__ import annotations

import itertools
import math

from .blocks import Block, FusionLayer
from .config import ModelConfig
from .memories import memory
from .parts import parts
from .records import Cache, Matrix, Piece, Section, Stack, State, Tap, Tensor
from .vision import Convolution, Convolutions

_EVENTS = ("image", "step", "write")


def tensor_table(cfg: ModelConfig) -> list[Tensor]:
    """All tensors of a frozen model, in the order of the forward pass."""
    return [t for part in parts(cfg) for t in part.tensors()]


def section_table(cfg: ModelConfig) -> list[Section]:
    """All sections of the packed blob that hold frozen arrays, in its order."""
    return [s for part in parts(cfg) for s in part.sections()]


def cancelled_scales(cfg: ModelConfig) -> list[str]:
    """Frozen arrays that nothing computes with: scales that the normalisation after them cancels."""
    packed = {name for s in section_table(cfg) for name in s.arrays}
    return [name for t in tensor_table(cfg) for name, _, _ in t.arrays() if name not in packed]


def matrix_table(cfg: ModelConfig) -> list[Matrix]:
    """All sections that hold ternary matrices, as the products they stand for."""
    shapes = {f"{t.name}.trits": t.shape for t in tensor_table(cfg)}
    return [
        Matrix(s, sum(shapes[a][0] for a in s.arrays), shapes[s.arrays[0]][1])
        for s in section_table(cfg)
        if s.form in ("ternary", "head")
    ]


def stacks(cfg: ModelConfig) -> list[Stack]:
    """The sections that hold several matrices: the projections to query, key and value of a block."""
    rows, found = {t.name: t.shape[0] for t in tensor_table(cfg)}, []
    for m in matrix_table(cfg):
        names = [a.removesuffix(".trits") for a in m.section.arrays]
        ends = list(itertools.accumulate(rows[n] for n in names))
        if len(names) > 1:
            found.append(Stack(m.section.name, tuple(map(Piece, names, [0, *ends], ends))))
    return found


def tap_table(cfg: ModelConfig) -> list[Tap]:
    """All taps, in the order in which an image, a step and the end of an episode emit them."""
    taps = [t for part in parts(cfg) for t in part.taps()]
    return sorted(taps, key=lambda t: _EVENTS.index(t.event))


def cache_table(cfg: ModelConfig) -> list[Cache]:
    """All caches of keys and values: the rings of the blocks, then the image's."""
    caches = [c for part in parts(cfg) for c in part.caches()]
    return sorted(caches, key=lambda c: not c.ring)


def state_table(cfg: ModelConfig) -> list[State]:
    """What a step hands to the next beside the caches; shapes of one stream."""
    return [s for part in parts(cfg) for s in part.states()]


def memory_table(cfg: ModelConfig) -> list[State]:
    """The arrays of the episodic memory as a runtime keeps it."""
    return list(memory(cfg).planes())


def seen_table(cfg: ModelConfig) -> list[State]:
    """What an image leaves for the rest of the episode beside the caches."""
    return list(memory(cfg).seen())


def blocks(cfg: ModelConfig) -> list[Block]:
    """The transformer blocks: encoder, then decoder."""
    return [p for p in parts(cfg) if isinstance(p, Block)]


def fusion_layers(cfg: ModelConfig) -> list[FusionLayer]:
    """The cross-attention layers over the image."""
    return [FusionLayer(cfg, i) for i in range(cfg.n_fusion_layers)]


def convolutions(cfg: ModelConfig) -> list[Convolution]:
    """The convolutions over the picture; none where its vectors are compressed one by one."""
    return [layer for p in parts(cfg) if isinstance(p, Convolutions) for layer in p.layers]


def layer_words(cfg: ModelConfig, name: str) -> str:
    """'enc.3' -> 'encoder layer 3'."""
    return next(p.words for p in (*convolutions(cfg), *blocks(cfg), *fusion_layers(cfg)) if p.name == name)


def elements(cfg: ModelConfig) -> int:
    """Float operations of a token that are no products, with an image."""
    return sum(part.elements for part in parts(cfg))


def size_table(cfg: ModelConfig) -> dict[str, dict[str, int]]:
    """``parameters`` and ``bytes`` of every part, and of the ``total``: trits of 2 bits, int8 tables, float32
    gains and scales, int16 memory.
    """
    found: dict[str, dict[str, int]] = {}
    for spec in tensor_table(cfg):
        part = found.setdefault(spec.part, {"parameters": 0, "bytes": 0})
        part["parameters"] += spec.parameters
        for name, dtype, shape in spec.arrays():
            part["bytes"] += (
                shape[0] * -(-shape[1] // 4)
                if name.endswith(".trits")
                else math.prod(shape) * {"int8": 1, "int16": 2}.get(dtype, 4)
            )
    return found | {"total": {key: sum(p[key] for p in found.values()) for key in ("parameters", "bytes")}}
