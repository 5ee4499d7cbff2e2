"""Shifting raw pictures by a few pixels: the cheapest way to see each one more than once."""

from __future__ import annotations

import numpy as np


def shift_patches(images: np.ndarray, limit: int, seed: tuple[int, ...]) -> np.ndarray:
    """Shift each picture by up to ``limit`` pixels in both directions, its border repeated at the edge.

    images: float32 [B, n, 768], n a square number of 16x16x3 patches in row order. A pure function of ``seed``.
    """
    b, n, _ = images.shape
    g = round(n ** 0.5)
    if not limit or g * g != n:
        return images
    size = 16 * g
    pixels = images.reshape(b, g, g, 16, 16, 3).transpose(0, 1, 3, 2, 4, 5).reshape(b, size, size, 3)
    shift = np.random.default_rng(seed).integers(-limit, limit + 1, (b, 2, 1))
    at = np.clip(np.arange(size) + shift, 0, size - 1)                  # [B, 2, size]
    moved = pixels[np.arange(b)[:, None, None], at[:, 0, :, None], at[:, 1, None, :]]
    return np.ascontiguousarray(moved.reshape(b, g, 16, g, 16, 3).transpose(0, 1, 3, 2, 4, 5)).reshape(images.shape)
