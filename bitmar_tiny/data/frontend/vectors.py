# SPDX-License-Identifier: Apache-2.0
"""Pixels to what a backbone takes, and what it gives to the model's vectors."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

#: Numbers in a vector that a BitMar model takes.
WIDTH = 768
#: The most CLS and register tokens that may stand before a grid.
EXTRA = 16


class FrontEndError(Exception):
    """A problem the user can act on: ``message`` says what and where, ``hint`` how to mend it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def scaled(pixels: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """uint8 [S, S, 3] -> float32 [S, S, 3], (pixel / 255 - mean) / std."""
    return (pixels.astype(np.float32) / np.float32(255) - np.float32(mean)) / np.float32(std)


def layer_norm(x: np.ndarray) -> np.ndarray:
    """[..., C] to mean 0 and variance 1 over the last axis (no affine part), float32. Sums are taken in
    float64, so that processors that add in another order give the same float32.
    """
    x = x.astype(np.float64)
    centred = x - x.mean(-1, keepdims=True)
    return (centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)).astype(np.float32)


def pool_grid(x: np.ndarray, vectors: int) -> np.ndarray:
    """Average square neighbourhoods of a square grid: [P, C] -> float32 [vectors, C]."""
    side, to = math.isqrt(len(x)), math.isqrt(vectors)
    if side * side != len(x) or to * to != vectors or side % to:
        raise FrontEndError(
            f"A grid of {len(x)} vectors cannot be averaged down to {vectors}.",
            f"Choose a size with a grid of a multiple of {to} x {to}."
            if to * to == vectors
            else "Choose a square number of vectors.",
        )
    k = side // to
    return x.astype(np.float64).reshape(to, k, to, k, -1).mean((1, 3)).reshape(vectors, -1).astype(np.float32)


def project(x: np.ndarray) -> np.ndarray:
    """[n, C] -> float32 [n, 768]: random signs (Achlioptas 2003), drawn from SHAKE-128 of the width. Vectors
    become int8 codes first, as the model would make of them anyway, so that the sums are integers and the
    same everywhere.
    """
    n, c = x.shape
    bits = np.frombuffer(hashlib.shake_128(b"bitmar-tiny %d" % c).digest(c * WIDTH // 8), np.uint8)
    signs = np.unpackbits(bits).reshape(c, WIDTH) * 2.0 - 1.0
    top = np.abs(x).max(-1, keepdims=True).astype(np.float64)
    codes = np.rint(x / np.where(top, top / 127, 1.0))
    return (codes @ signs * (top / 127 / math.sqrt(c))).astype(np.float32)


def to_vectors(
    outputs: Sequence[np.ndarray], normalise: bool, vectors: int | None, projected: bool
) -> np.ndarray:
    """Outputs of a backbone for one picture, [tokens, width] each, as float32 [vectors, 768] of values that
    float16 holds, as features are stored for training. Of the tokens the largest square grid stays, the last
    ones: CLS and registers stand first in every model. ``vectors`` None: the whole grid.
    """
    grids = {math.isqrt(len(out)) for out in outputs}
    if len(grids) != 1 or any(len(out) - math.isqrt(len(out)) ** 2 > EXTRA for out in outputs):
        raise FrontEndError(
            f"The backbone gives {' and '.join(str(len(out)) for out in outputs)} vectors, which is no "
            "square grid.",
            "Choose another output, or outputs of one kind, with --blocks.",
        )
    grid = grids.pop() ** 2
    parts = [out[len(out) - grid :] for out in outputs]
    x = np.concatenate([layer_norm(part) if normalise else part.astype(np.float32) for part in parts], -1)
    x = pool_grid(x, vectors or grid)
    if x.shape[1] != WIDTH and not projected:
        raise FrontEndError(
            f"The backbone gives vectors of {' + '.join(str(part.shape[1]) for part in parts)} numbers, the "
            f"model takes {WIDTH}.",
            "Choose one block of a 768-wide model or two of a 384-wide one, or let --project map them.",
        )
    x = project(x) if x.shape[1] != WIDTH else x
    with np.errstate(over="ignore"):
        x = x.astype(np.float16).astype(np.float32)
    if not np.isfinite(x).all():
        raise FrontEndError("The backbone gives NaN, infinity, or numbers that float16 does not hold.")
    return x
