# SPDX-License-Identifier: Apache-2.0
"""A picture of any mode is what its 8-bit twin is, what is none is named, and size is judged before work."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from bitmar_tiny.data.frontend.picture import MOST_PIXELS, _rgb, decode
from bitmar_tiny.data.pixels import load_pixels
from bitmar_tiny.errors import DataError

SIDE = 64
GREY = np.linspace(0, 255, SIDE * SIDE).astype(np.uint8).reshape(SIDE, SIDE)
STRIPES = np.where(np.arange(SIDE) % 16 < 8, 0, 255).astype(np.uint8)[None].repeat(SIDE, 0)
FORMATS = ("PNG", "TIFF", "JPEG", "WEBP", "PPM", "BMP", "TGA", "JPEG2000")
#: What loses a little on the way, and what cannot hold 16 bits or floats and clips them itself.
LOSSY, CLIPS = ("JPEG", "WEBP"), ("WEBP",)


def in_mode(mode: str) -> tuple[Image.Image, np.ndarray]:
    """A picture in one of Pillow's modes, and the grey values that it shows."""
    grey = Image.fromarray(GREY)
    if mode.startswith("I;16"):
        wide = (GREY.astype(np.uint32) * 257).astype(">u2" if mode == "I;16B" else "<u2")
        return Image.frombytes(mode, grey.size, wide.tobytes()), GREY
    if mode == "I":
        return Image.fromarray(GREY.astype(np.int32) * 257), GREY
    if mode == "F":
        return Image.fromarray(GREY.astype(np.float32) / 255), GREY
    if mode == "1":
        return Image.fromarray(STRIPES).convert("1"), STRIPES
    if mode in ("La", "PA"):
        return grey.convert("LA").convert(mode), GREY
    if mode == "RGBa":
        return grey.convert("RGBA").convert(mode), GREY
    return grey.convert("RGB").convert(mode) if mode == "HSV" else grey.convert(mode), GREY


@pytest.mark.parametrize("mode", sorted({*Image.MODES, "LA", "La", "PA", "RGBa", "I;16N"} - {"LAB"}))
def test_every_mode_of_pillow_shows_what_its_8_bit_twin_shows(tmp_path, mode):
    picture, shown = in_mode(mode)
    assert (np.asarray(_rgb(picture, mode)) == shown[..., None]).all()
    for name in FORMATS:
        path = tmp_path / f"x.{name}"
        try:
            picture.save(path, name)
        except (OSError, ValueError, KeyError):
            continue  # a format that has no such mode
        if name in CLIPS and mode[0] in "IF":
            continue
        apart = np.abs(load_pixels(path, SIDE).astype(int) - shown[..., None])
        assert apart.max() <= (8 if name in LOSSY else 0), name


@pytest.mark.parametrize("mode, clear", [("L", 0), ("RGB", (0, 0, 0)), ("I;16", 0), ("P", 0), ("1", 0)])
def test_a_colour_that_is_clear_is_white(tmp_path, mode, clear):
    picture = in_mode(mode)[0]
    picture.save(tmp_path / "x.png", transparency=clear)
    shown = STRIPES if mode == "1" else GREY
    assert (load_pixels(tmp_path / "x.png", SIDE)[shown == 0] == 255).all()
    assert (load_pixels(tmp_path / "x.png", SIDE)[shown == 255] == 255).all()
    assert (load_pixels(tmp_path / "x.png", SIDE)[shown == 200] == 200).all()


def test_lab_is_refused_by_name(tmp_path):
    Image.frombytes("LAB", (8, 8), bytes(192)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match=r"x.tif: a picture in L\*a\*b\*"):
        load_pixels(tmp_path / "x.tif", SIDE)


def png_of(width: int, height: int, bits: int = 1) -> bytes:
    """A PNG whose header says so, with no pixel in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


@pytest.mark.parametrize(
    "width, height", [(12000, 12000), (1, MOST_PIXELS + 1), (30000, 30000), (2**31 - 1,) * 2]
)
def test_size_is_judged_by_the_header(tmp_path, width, height):
    (tmp_path / "x.png").write_bytes(png_of(width, height))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"x.png: .*too large") as refused:
            load_pixels(tmp_path / "x.png", SIDE)
    assert "\n" not in str(refused.value) and "smaller" in refused.value.hint


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", r"an empty file \(0 bytes\)"),
        (b"\0\0\0\x20ftypheic" + bytes(40), "an HEIC picture.*JPEG or PNG"),
        (b"\0\0\0\x20ftypmif1" + bytes(40), "an HEIC picture"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "a video, not a picture"),
        (b"<!DOCTYPE html><html>not found</html>", "a web page, not a picture"),
        (b"PK\x03\x04" + bytes(40), "a ZIP archive, not a picture"),
        (b"%PDF-1.7" + bytes(40), "a PDF document, not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript document, not a picture"),
        (b"hello", "not a picture that can be decoded .*no known format"),
        (b"\x89PNG\r\n\x1a\n" + bytes(9), "not a picture that can be decoded|a PNG picture, damaged"),
    ],
)
@pytest.mark.parametrize("name", ["x.png", "x.heic"])
def test_what_is_no_picture_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as refused:
        load_pixels(tmp_path / name, SIDE)
    said = str(refused.value)
    assert name in said and "BytesIO" not in said and "\n" not in said and refused.value.hint


def test_a_decoder_that_fails_on_a_file_is_one_sentence():
    whole = io.BytesIO()
    in_mode("RGB")[0].save(whole, "TIFF", compression="tiff_lzw")
    for at in range(8, 200):
        damaged = bytearray(whole.getvalue())
        damaged[at] ^= 0xFF
        try:
            decode(bytes(damaged), SIDE, "x.tif")
        except Exception as error:
            assert type(error).__name__ == "FrontEndError" and "\n" not in str(error)


FULL = '<rect width="100%" height="100%" fill="red"/>'
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {}">' + FULL + "</svg>"


@pytest.mark.parametrize("box", ["1 100000", "100000 1", "1 1000000000", "30 90", "90 30", "64 64"])
def test_an_svg_of_any_shape_is_drawn_into_the_square(tmp_path, box):
    """Its longer side is the square's, so that what it costs does not depend on what it says of itself."""
    pytest.importorskip("resvg_py", reason="pip install 'bitmar-tiny[images]'")
    for name in ("x.svg", "x.png"):  # told by content
        (tmp_path / name).write_text(SVG.format(box))
        try:
            pixels = load_pixels(tmp_path / name, SIDE)
        except DataError as refused:  # nothing of it would be seen
            assert "1" in box.split() and name in str(refused)
            continue
        width, height = map(int, box.split())
        red = (pixels == [255, 0, 0]).all(-1)
        assert abs(red.mean() - min(width, height) / max(width, height)) < 0.05
