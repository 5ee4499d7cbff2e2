# SPDX-License-Identifier: Apache-2.0
"""An encoded picture, of whatever kind Pillow reads, as 8-bit RGB on white."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from .kinds import HEAD, kind_of
from .vectors import FrontEndError

#: Most pixels of a picture, judged by its header: one of this size takes some seconds and up to 1 GB.
MOST_PIXELS = 50_000_000
#: What Pillow may try. Others start programs (EPS) or are no pictures of things.
FORMATS = (
    *("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "AVIF"),
    *("JPEG2000", "ICO", "TGA", "PCX", "PSD", "SGI", "QOI"),
)
SMALLER = "Make it smaller, or cut out what it shows."
OTHER_FORMAT = "Save it as PNG or JPEG."


def decode(raw: bytes, size: int, where: str) -> np.ndarray:
    """An encoded picture as uint8 [size, size, 3]: upright, transparency on white, fitted whole, the rest
    white.

    Grey and colour of 16 bits become the 8 high ones. ``FrontEndError`` in one sentence for what is no
    picture, damaged, or of more than ``MOST_PIXELS``.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise FrontEndError("Reading pictures needs the package pillow.", "Run: pip install pillow") from None
    if not raw:
        raise FrontEndError(f"{where}: an empty file (0 bytes), not a picture.", "Copy it again.")
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's are for programmers; sizes are judged here
            with Image.open(io.BytesIO(raw), formats=[f for f in FORMATS if f in Image.OPEN]) as opened:
                _check_size(opened.size, where)
                flat = _rgb(ImageOps.exif_transpose(opened), where)
            flat = flat if flat.size == (size, size) else _fit(flat, size)
    except FrontEndError:
        raise
    except UnidentifiedImageError:
        raise _no_picture(raw, where) from None
    except Image.DecompressionBombError:
        raise FrontEndError(
            f"{where}: more than {MOST_PIXELS:,} pixels, which is too large.", SMALLER
        ) from None
    except Exception as error:  # on a damaged file Pillow's readers raise whatever comes up in them
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
        raise FrontEndError(f"{where}: not a picture that can be decoded ({why}).", OTHER_FORMAT) from None
    return np.asarray(flat, np.uint8).copy()


def _fit(picture: Any, size: int) -> Any:
    """Whole in a square on white. Rows are resampled first, then columns: which of them Pillow would take
    first depends on its version, and the program for a board does it so, too (bm_scale.c).
    """
    from PIL import Image

    height = picture.height
    wide, high = (round(side / max(picture.size) * size) for side in picture.size)
    square = Image.new("RGB", (size, size), "white")
    if wide and high:
        for shape in ((wide, height), (wide, high)):
            picture = picture.resize(shape, Image.Resampling.LANCZOS)
        square.paste(picture, (round((size - wide) * 0.5), round((size - high) * 0.5)))
    return square


def _check_size(size: tuple[int, int], where: str) -> None:
    width, height = size
    if width * height > MOST_PIXELS:
        raise FrontEndError(
            f"{where}: {width:,} x {height:,} pixels, more than {MOST_PIXELS:,}, which is too large.", SMALLER
        )


def _no_picture(raw: bytes, where: str) -> FrontEndError:
    kind = kind_of(raw[:HEAD])
    if kind == "an HEIC picture":
        return FrontEndError(
            f"{where}: an HEIC picture, which is not read.",
            "Save it as JPEG or PNG (an iPhone: Settings, Camera, Formats, Most Compatible).",
        )
    if kind.endswith(("picture", "drawing")):
        return FrontEndError(f"{where}: {kind}, damaged or of a kind that is not read.", OTHER_FORMAT)
    what = f"{kind}, not a picture" if kind else "not a picture that can be decoded (of no known format)"
    return FrontEndError(f"{where}: {what}.", "Give a PNG, JPEG or SVG file.")


def _rgb(picture: Any, where: str) -> Any:
    """A Pillow picture of any mode in mode RGB, on white."""
    from PIL import Image

    if picture.mode == "F" or picture.mode.startswith("I"):
        picture = _eight_bits(picture, where)
    if picture.mode == "LAB":
        raise FrontEndError(f"{where}: a picture in L*a*b*, which is not read.", OTHER_FORMAT)
    clear = picture.mode.endswith(("A", "a")) or "transparency" in picture.info
    if not clear:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    if picture.mode == "La":
        picture = picture.convert("LA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def _eight_bits(picture: Any, where: str) -> Any:
    """A grey picture of 16 or 32 bits, or of floats, with 8. White is the type's largest value; where a type
    does not tell (32 bits, floats), the least of 1 (floats), 255, 65,535 and 2^31 - 1 that none exceeds.
    """
    from PIL import Image

    values = np.asarray(picture)
    if picture.mode == "F":
        if not np.isfinite(values).all():
            raise FrontEndError(f"{where}: holds NaN or infinity.", OTHER_FORMAT)
        white = next((w for w in (1, 255, 65535) if values.max() <= w), 2**31 - 1)
        codes = np.rint(np.clip(values, 0, white) * np.float32(255 / white))
    else:
        bits = 16
        if picture.mode == "I" and picture.format not in ("PNG", "PPM"):
            bits = next((b for b in (8, 16) if values.max() < 1 << b), 31)
        codes = np.clip(values, 0, (1 << bits) - 1) >> (bits - 8)
    grey = Image.fromarray(codes.astype(np.uint8))
    if isinstance(picture.info.get("transparency"), int):
        clear = values == picture.info["transparency"]
        grey.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
    return grey
