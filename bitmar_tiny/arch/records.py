# SPDX-License-Identifier: Apache-2.0
"""The records that the parts of a model yield: tensors, sections of the packed blob, caches, state, taps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["ternary", "rows8", "gain", "memory"]
#: How a section is packed: matrices in kernel order on top of each other; float32 values; a table of int8
#: rows; the token table (int8 or int4); the vocabulary head (as a matrix, or five weights in a byte); the
#: planes of the memory.
Form = Literal["ternary", "float32", "rows", "tokens", "head", "memory"]
#: When the bytes of a section are read: once a token, one row of them a token, at a read of the memory, once
#: per image vector, once a picture, at the end of an episode.
Read = Literal["token", "row", "read", "image", "picture", "episode"]
#: What a token's time is spent on.
Activity = Literal["layers", "attention", "memory", "vectors", "head"]
#: What stands between a tap and the one before it, where {i} is the first differing index; or (rows, text)
#: for every piece of a tensor made of several.
Suspect = str | tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Tensor:
    """One logical tensor. ``shape`` is [out, in] for matrices, [rows, width] for tables.

    Kinds and the arrays they stand for:

    * ``ternary``: ``NAME.trits`` int8 [N, K] in {-1, 0, 1} and ``NAME.scale`` float32 []
    * ``rows8``:   ``NAME.codes`` int8 [N, K] in [-127, 127] and ``NAME.scales`` float32 [N]
    * ``gain``:    ``NAME`` float32 [N]
    * ``memory``:  ``NAME.codes`` int16 [K, C] in [-32512, 32512], ``NAME.scales`` float32 [K],
      ``NAME.usage`` uint32 [K] (Q24); of a keyed memory a code is 256 key + value, each in [-127, 127]

    ``learned``: shape of what training learns of it, where that is another.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    part: str
    learned: tuple[int, ...] | None = None

    @property
    def latent(self) -> tuple[int, ...]:
        """Shape of what training learns."""
        return self.shape if self.learned is None else self.learned

    @property
    def parameters(self) -> int:
        """Learned numbers of this tensor (codes or gains; scales are counted apart)."""
        return math.prod(self.latent)

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


@dataclass(frozen=True)
class Section:
    """Frozen arrays that lie together in the packed blob, in this order. ``layer``: of a repeated layer, or
    ''. ``times``: vectors that a matrix is multiplied with, each time it is read.
    """

    name: str
    form: Form
    arrays: tuple[str, ...]
    read: Read = "token"
    layer: str = ""
    activity: Activity = "layers"
    times: int = 1

    @property
    def field(self) -> str:
        """The name within its layer: 'enc.0.wqkv' -> 'wqkv'."""
        return self.name[len(self.layer) + 1 :] if self.layer else self.name


@dataclass(frozen=True)
class Cache:
    """Keys and values that an attention looks at: ``slots`` rows of ``width`` int8 codes and a scale, twice.
    ``ring``: tokens, filled from 0 on; else all slots are in use at once."""

    name: str
    slots: int
    width: int
    ring: bool

    def arrays(self) -> Iterator[State]:
        for t in "kv":
            yield State(f"{self.name}.{t}", "int8", (self.slots, self.width))
            yield State(f"{self.name}.{t}_scale", "float32", (self.slots,))


@dataclass(frozen=True)
class State:
    """One array that a step hands to the next."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Tap:
    """One intermediate tensor that a target can be asked about.

    It is emitted as (id, CRC-32 of its little-endian bytes) during ``event``; its id is its index in
    ``tap_table``. ``quiet``: large state, compared only when a difference has to be pinned down. ``only``:
    emitted only with an image, or only when the memory is read. ``each``: once per image vector.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    event: Literal["image", "step", "write"]
    quiet: bool = False
    only: Literal["", "image", "read"] = ""
    each: bool = False
    layer: str = ""
    suspect: Suspect = ""

    @property
    def field(self) -> str:
        """The name within its layer: 'enc.3.ffn.acc' -> 'ffn.acc'."""
        return self.name[len(self.layer) + 1 :] if self.layer else self.name


@dataclass(frozen=True)
class Matrix:
    """A ternary section as one product: ``rows`` sums over ``width`` codes."""

    section: Section
    rows: int
    width: int


@dataclass(frozen=True)
class Piece:
    """Rows [first, end) of a stack are those of ``tensor``."""

    tensor: str
    first: int
    end: int


@dataclass(frozen=True)
class Stack:
    """Ternary matrices that are multiplied as one, ``NAME.trits``."""

    name: str
    pieces: tuple[Piece, ...]
