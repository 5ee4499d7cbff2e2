# SPDX-License-Identifier: Apache-2.0
"""Pictures as raw pixel patches: a 16x16 patch of RGB is 768 numbers, as wide as a DINOv2 vector.

Layout (**contract**, the firmware repeats it): a picture of H x W pixels is a grid of H/16 x W/16
patches, numbered row by row; inside a patch, bytes run row, column, channel (R, G, B). A pyramid is
the grid of the picture, then that of the picture halved, and so on down to the whole picture as one
patch: 16 + 4 + 1 vectors for 64 x 64 pixels.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..arch.config import PATCH
from ..errors import DataError
from ..extras import need
from .files import read_npy
from .frontend.kinds import HEAD, kind_of
from .frontend.picture import decode
from .frontend.vectors import FrontEndError

#: Most bytes of a picture file.
MOST_BYTES = 1 << 28


def pixels_to_patches(rgb: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> uint8 [H/16 * W/16, 768]. ``DataError`` if the sides are no multiples of 16."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise DataError(f"Pixels are {rgb.dtype}{list(rgb.shape)}, expected uint8 [H, W, 3].")
    height, width = rgb.shape[:2]
    if height < PATCH or width < PATCH or height % PATCH or width % PATCH:
        raise DataError(
            f"A picture of {width} x {height} pixels cannot be cut into patches of {PATCH} x {PATCH}.",
            f"Choose a size that is a multiple of {PATCH}.",
        )
    grid = rgb.reshape(height // PATCH, PATCH, width // PATCH, PATCH, 3).swapaxes(1, 2)
    return np.ascontiguousarray(grid).reshape(-1, PATCH * PATCH * 3)


def halve(rgb: np.ndarray) -> np.ndarray:
    """Average 2x2 pixels, halves up: uint8 [H, W, 3] -> uint8 [H/2, W/2, 3]."""
    wide = rgb.astype(np.uint16)
    total = wide[0::2, 0::2] + wide[0::2, 1::2] + wide[1::2, 0::2] + wide[1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint8)


def picture_side(n: int) -> tuple[int, bool]:
    """Side in pixels of the square picture behind n vectors, and whether they are a pyramid.

    n = g^2 is a plain grid, n = g^2 + (g/2)^2 + ... + 1 a pyramid. ``DataError`` for any other n.
    """
    grid = math.isqrt(n)
    if grid * grid == n > 0:
        return grid * PATCH, False
    levels = [4**k for k in range(12)]
    for k in range(2, 12):
        if sum(levels[:k]) == n:
            return 2 ** (k - 1) * PATCH, True
    raise DataError(
        f"{n} vectors are neither a square grid of patches nor a pyramid.", "Use 16 or 21, for example."
    )


def picture_vectors(rgb: np.ndarray, n: int) -> np.ndarray:
    """The n vectors of a square picture, finest grid first: uint8 [side, side, 3] -> uint8 [n, 768]."""
    parts = [pixels_to_patches(rgb)]
    while picture_side(n)[1] and len(parts[-1]) > 1:
        rgb = halve(rgb)
        parts.append(pixels_to_patches(rgb))
    return np.concatenate(parts)


def patches_to_pixels(patches: np.ndarray, size: int) -> np.ndarray:
    """Inverse of :func:`pixels_to_patches` for square pictures: [..., n, 768] -> [..., size, size, 3]."""
    side, lead = size // PATCH, patches.shape[:-2]
    return patches.reshape(*lead, side, side, PATCH, PATCH, 3).swapaxes(-4, -3).reshape(*lead, size, size, 3)


def load_pixels(path: Path | str, size: int) -> np.ndarray:
    """Read a PNG, JPEG, SVG or another kind of ``frontend.picture.FORMATS`` as uint8 [size, size, 3].

    Transparency is laid on white; a picture that is not square is fitted whole and the rest is
    white. ``DataError`` when the file is missing, too large, or cannot be decoded.
    """
    try:
        with open(path, "rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    return pixels_of(raw, size, str(path))


def pixels_of(raw: bytes, size: int, where: str) -> np.ndarray:
    """An encoded picture, of at most ``MOST_BYTES``, as :func:`load_pixels` reads it. ``DataError`` names
    ``where``.
    """
    if len(raw) > MOST_BYTES:
        raise DataError(f"{where}: larger than {MOST_BYTES >> 20} MiB, which no picture has to be.")
    kind = kind_of(raw[:HEAD])
    if raw and (where.lower().endswith(".svg") and not kind or kind == "an SVG drawing"):
        try:
            raw = render_svg(raw.decode("utf-8"), size)
        except ValueError as error:
            raise DataError(
                f"{where}: not an SVG picture that can be drawn ({str(error).split(chr(10))[0]})."
            ) from None
    return decode_pixels(raw, size, where)


def load_image(path: Path | str, n: int) -> np.ndarray:
    """Read a picture file as the n vectors that a model takes, uint8 [n, 768]. See :func:`load_pixels`."""
    return picture_vectors(load_pixels(path, picture_side(n)[0]), n)


def read_picture(path: Path | str | bytes, n: int) -> np.ndarray:
    """A picture file as :func:`load_image` reads it, the bytes of one from standard input, or the features of
    one image from a .npy file.

    uint8 patches or float32 features [n, 768]. ``DataError`` in one sentence for what is none of them.
    """
    if isinstance(path, bytes):
        return picture_vectors(pixels_of(path, picture_side(n)[0], "Standard input"), n)
    path = Path(path)
    if path.suffix != ".npy":
        return load_image(path, n)
    return picture_array(read_npy(path, mapped=True), n, str(path))


def picture_array(a: np.ndarray, n: int, where: str) -> np.ndarray:
    """An array as the picture that a model takes: uint8 patches or float32 features [n, 768]. ``DataError``
    names ``where``.
    """
    if a.shape != (n, 768) or a.dtype.kind not in "fu":
        raise DataError(f"{where}: holds {a.dtype.name}{list(a.shape)}, the model needs [{n}, 768].")
    if a.dtype.kind == "f" and not np.isfinite(a).all():
        raise DataError(f"{where}: holds NaN or infinity.")
    return np.array(a, np.uint8 if a.dtype == np.uint8 else np.float32)


def render_svg(svg: str, size: int) -> bytes:
    """Draw SVG text into a square of ``size`` pixels, as PNG bytes; its longer side is as long as that.
    ``ValueError`` if it is not drawable.
    """
    need("resvg_py")
    from resvg_py import svg_to_bytes

    # Fonts of the machine would make the same picture differ between machines.
    return bytes(
        svg_to_bytes(svg_string=svg, width=size, height=size, background="white", skip_system_fonts=True)
    )


def decode_pixels(raw: bytes, size: int, where: str) -> np.ndarray:
    """Decode an encoded picture to uint8 [size, size, 3] on white. ``DataError`` names ``where``."""
    try:
        return decode(raw, size, where)
    except FrontEndError as error:
        raise DataError(error.message, error.hint) from None
