# SPDX-License-Identifier: Apache-2.0
"""Shifting raw pictures by a few pixels: the cheapest way to see each one more than once."""

from __future__ import annotations

import numpy as np

from ..data.pixels import PATCH, picture_side


def shift_patches(
    images: np.ndarray, limit: int, seed: tuple[int, ...], rows: slice = slice(None), total: int = 0
) -> np.ndarray:
    """Shift each picture by up to ``limit`` pixels in both directions, its border repeated at the edge.

    images: float32 [B, n, 768], a grid or pyramid of raw patches (``data.pixels``), coarser levels averaged
    anew. A pure function of ``seed``. rows: which rows of a batch of ``total`` these are, where they are not
    all (0: they are).
    """
    if not limit:
        return images
    b, n, _ = images.shape
    size, pyramid = picture_side(n)
    g = size // PATCH
    pixels = (
        images[:, : g * g]
        .reshape(b, g, g, PATCH, PATCH, 3)
        .transpose(0, 1, 3, 2, 4, 5)
        .reshape(b, size, size, 3)
    )
    shift = np.random.default_rng(seed).integers(0, 2 * limit + 1, (total or b, 2))[rows]
    wider = np.pad(pixels, ((0, 0), (limit, limit), (limit, limit), (0, 0)), "edge")
    pixels = np.stack([w[y : y + size, x : x + size] for w, (y, x) in zip(wider, shift, strict=True)])
    levels = [_patches(pixels)]
    while pyramid and levels[-1].shape[1] > 1:
        pixels = (
            pixels[:, 0::2, 0::2] + pixels[:, 0::2, 1::2] + pixels[:, 1::2, 0::2] + pixels[:, 1::2, 1::2]
        ) / 4
        levels.append(_patches(pixels))
    return np.concatenate(levels, 1)


def _patches(pixels: np.ndarray) -> np.ndarray:
    b, size = pixels.shape[:2]
    g = size // PATCH
    return pixels.reshape(b, g, PATCH, g, PATCH, 3).transpose(0, 1, 3, 2, 4, 5).reshape(b, g * g, -1)
