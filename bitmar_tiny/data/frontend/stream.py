# SPDX-License-Identifier: Apache-2.0
"""Binary PPM pictures, one behind the other, as a camera sends them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from .picture import MOST_PIXELS
from .vectors import FrontEndError

#: Digits of a number in a header.
_DIGITS = 7


def pictures(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of each. ``FrontEndError`` for what is none, and for one that is cut short."""
    count = 0
    while magic := stream.read(2):
        if magic != b"P6":
            raise _wrong("not a PPM picture")
        width, height, white = (_number(stream) for _ in range(3))
        if white != 255:
            raise _wrong(f"a PPM picture whose colours reach to {white}, not 255")
        if not 0 < width * height <= MOST_PIXELS:
            raise _wrong(f"a picture of {width:,} x {height:,} pixels")
        pixels = stream.read(3 * width * height)
        if len(pixels) < 3 * width * height:
            raise _wrong("the picture is cut short")
        count += 1
        yield b"P6 %d %d 255\n" % (width, height) + pixels
    if not count:
        raise _wrong("no picture")


def _number(stream: BinaryIO) -> int:
    """The next number behind spaces and comments (# to the end of the line), and the one space behind it."""
    digits, c = b"", stream.read(1)
    while c.isspace() or c == b"#":
        comment = c == b"#"
        while comment and c not in (b"\n", b"\r", b""):
            c = stream.read(1)
        c = stream.read(1)
    while c.isdigit() and len(digits) < _DIGITS:
        digits, c = digits + c, stream.read(1)
    if not digits or not c.isspace():
        raise _wrong("its header is no PPM header")
    return int(digits)


def _wrong(what: str) -> FrontEndError:
    return FrontEndError(f"Standard input: {what}.", "Send binary PPM pictures (P6).")
