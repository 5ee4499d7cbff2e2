# SPDX-License-Identifier: Apache-2.0
"""Raw pictures changed a little, so that each is seen more than once: shifted, turned, resized.

All are pure functions of a seed. images: float32 [B, n, 768], a grid or pyramid of raw patches
(``data.pixels``); coarser levels are averaged anew. rows: which pictures of ``total`` these are, where they
are not all (total 0: they are).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..data.pixels import PATCH, patches_to_pixels, picture_side

Rows = slice | np.ndarray


def shift_patches(
    images: np.ndarray, limit: int, seed: tuple[int, ...], rows: Rows = slice(None), total: int = 0
) -> np.ndarray:
    """Shift each picture by up to ``limit`` pixels in both directions, its border repeated at the edge."""
    if not limit:
        return images
    pixels = _pixels(images)
    b, size = pixels.shape[:2]
    shift = np.random.default_rng(seed).integers(0, 2 * limit + 1, (total or b, 2))[rows]
    wider = np.pad(pixels, ((0, 0), (limit, limit), (limit, limit), (0, 0)), "edge")
    moved = [w[y : y + size, x : x + size] for w, (y, x) in zip(wider, shift, strict=True)]
    return _pyramid(np.stack(moved), images)


def distort_patches(
    images: np.ndarray, amount: float, seed: tuple[int, ...], rows: Rows = slice(None), total: int = 0
) -> np.ndarray:
    """Turn each picture by about ``amount`` radians, make it larger or smaller by about that part, and shift
    it by about that part of its half side (standard deviations). What comes in at the edge is white.
    """
    if not amount:
        return images
    draws = np.random.default_rng(seed).normal(size=(total or len(images), 4))[rows] * amount
    pixels = torch.from_numpy(np.ascontiguousarray(_pixels(images).transpose(0, 3, 1, 2)))
    turned = distort(pixels, torch.from_numpy(draws.astype(np.float32)), 1.0)
    return _pyramid(turned.numpy().transpose(0, 2, 3, 1), images)


def tint_patches(
    images: np.ndarray, amount: float, seed: tuple[int, ...], rows: Rows = slice(None), total: int = 0
) -> np.ndarray:
    """Change the colours of each picture: what each channel has less than white is multiplied by about one
    (``amount`` is the standard deviation), and so is all of it. White stays white.
    """
    if not amount:
        return images
    draws = np.random.default_rng(seed).normal(size=(total or len(images), 4))[rows] * amount
    factors = np.maximum((1 + draws[:, :3]) * (1 + draws[:, 3:]), 0).astype(np.float32)
    tinted = 1 - (1 - images.reshape(*images.shape[:2], -1, 3)) * factors[:, None, None]
    return np.clip(tinted, 0, 1).reshape(images.shape)


def mirror_patches(images: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Each picture as one of the 8 symmetries of the square shows it. kinds: int64 [B], the sum of 1: left
    and right change places, 2: above and below, 4: rows and columns.
    """
    pixels = _pixels(images)
    for bit in range(3):
        changed = (pixels[:, :, ::-1], pixels[:, ::-1], pixels.transpose(0, 2, 1, 3))[bit]
        pixels = np.where((kinds >> bit & 1)[:, None, None, None] == 1, changed, pixels)
    return _pyramid(pixels, images)


def distort(pixels: torch.Tensor, draws: torch.Tensor, white: float) -> torch.Tensor:
    """Affine maps of pictures [B, C, H, W]: draws [B, 4] are angle (radians), growth, and shift across and
    down (in half sides).
    """
    angle, size = draws[:, 0], 1 + draws[:, 1]
    maps = draws.new_zeros(len(draws), 2, 3)
    maps[:, 0, 0] = maps[:, 1, 1] = angle.cos() * size
    maps[:, 1, 0] = angle.sin()
    maps[:, 0, 1] = -angle.sin()
    maps[:, :, 2] = draws[:, 2:]
    grid = F.affine_grid(maps, list(pixels.shape), align_corners=False)
    return white - F.grid_sample(white - pixels, grid, align_corners=False)


def _pixels(images: np.ndarray) -> np.ndarray:
    """float32 [B, size, size, 3] of the finest level."""
    size = picture_side(images.shape[1])[0]
    return patches_to_pixels(images[:, : (size // PATCH) ** 2], size)


def _pyramid(pixels: np.ndarray, like: np.ndarray) -> np.ndarray:
    """As many levels as ``like`` has."""
    levels = [_patches(pixels)]
    while picture_side(like.shape[1])[1] and levels[-1].shape[1] > 1:
        pixels = (
            pixels[:, 0::2, 0::2] + pixels[:, 0::2, 1::2] + pixels[:, 1::2, 0::2] + pixels[:, 1::2, 1::2]
        ) / 4
        levels.append(_patches(pixels))
    return np.concatenate(levels, 1)


def _patches(pixels: np.ndarray) -> np.ndarray:
    b, size = pixels.shape[:2]
    g = size // PATCH
    return pixels.reshape(b, g, PATCH, g, PATCH, 3).transpose(0, 1, 3, 2, 4, 5).reshape(b, g * g, -1)
