# SPDX-License-Identifier: Apache-2.0
"""The page's JavaScript gives the bits of Python: text as ids, pictures as patches, messages as bytes."""

from __future__ import annotations

import base64
import io
import json
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import bitmar_tiny as bt
from bitmar_tiny.data.pixels import picture_side, picture_vectors, pixels_of
from bitmar_tiny.data.tokenizer import Tokenizer
from bitmar_tiny.device.frames import Frame
from bitmar_tiny.device.protocol import BY_NAME
from bitmar_tiny.page.bundle import bundle


def call(tab, module, expression, *values):
    """The value of an expression over the names of a module and of ``given``, a list."""
    script = f"(async (given) => {{ {bundle(module)}\nreturn {expression}; }})({json.dumps(values)})"
    return tab.run(script)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


FROM_BASE64 = "((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)))"


def test_text_is_cut_into_the_same_ids(tab):
    tokenizer = Tokenizer.from_bytes(bt.load("demo").tokenizer)
    rng = random.Random(3)
    some = (range(32, 127), range(0xA0, 0x3000), range(0x3000, 0xD7FF), range(0xE000, 0x110000), b" \n'")
    texts = ["", "it's we'll I'd", "  two  spaces \n\n x", "\u00a0\u2003 x\t\t", "a" * 3000, "日本語 🙂 ٣٤"]
    texts += [
        "".join(chr(rng.choice(rng.choice(some))) for _ in range(rng.randrange(40))) for _ in range(200)
    ]
    found = call(
        tab,
        "tokenizer",
        f"((t) => given[1].map((text) => t.encode(text)))(new Tokenizer({FROM_BASE64}(given[0])))",
        b64(tokenizer.to_bytes()),
        texts,
    )
    assert found == [tokenizer.encode(text) for text in texts]


def png(pixels: np.ndarray, mode: str = "", **how) -> bytes:
    picture, out = Image.fromarray(pixels), io.BytesIO()
    (picture.convert(mode) if mode else picture).save(out, "PNG", **how)
    return out.getvalue()


def raw_png(width, height, depth, kind, rows, interlaced=0) -> bytes:
    """A PNG of rows as they lie in it, each behind its filter."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def pictures() -> dict[str, bytes]:
    """Of every kind that PNG has."""
    rng = np.random.default_rng(0)

    def noise(*shape):
        return rng.integers(0, 256, shape, np.uint8)

    def lines(count, size):
        return b"".join(bytes([rng.integers(0, 5)]) + noise(size).tobytes() for _ in range(count))

    y, x = np.mgrid[0:300, 0:400]
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    passes = b"".join(lines(-(-(37 - b) // d), 3 * -(-(29 - a) // c)) for a, b, c, d in steps)
    return {
        "colour": png(noise(100, 37, 3)),
        "smaller than the square": png(noise(20, 33, 3)),
        "as large as the square": png(noise(64, 64, 3)),
        "smooth": png(np.stack([x, y, x + y], 2).astype(np.uint8), optimize=True),
        "thin": png(noise(1, 900, 3)),
        "transparent": png(noise(200, 130, 4)),
        "grey": png(noise(77, 150)),
        "grey, transparent": png(noise(77, 150, 2)),
        "one bit": png(noise(77, 150), "1"),
        "palette": png(noise(90, 90, 3), "P"),
        "palette, transparent": png(noise(90, 90, 3), "P", transparency=bytes(range(256))),
        "16 bits": png(rng.integers(0, 65536, (50, 70)).astype(np.uint16)),
        "a clear colour": png(np.repeat(noise(40, 40, 1) // 64 * 64, 3, axis=2), transparency=(64, 64, 64)),
        "48 bits": raw_png(30, 40, 16, 2, lines(40, 180)),
        "64 bits": raw_png(30, 40, 16, 6, lines(40, 240)),
        "4 bits": raw_png(31, 40, 4, 0, lines(40, 16)),
        "interlaced": raw_png(29, 37, 8, 2, passes, 1),
    }


def test_a_png_becomes_the_same_patches(tab):
    files = pictures()
    for n in (21, 4):
        script = (
            f"Promise.all(given[0].map(async (text) => in_bytes.crc32(pictureVectors(fit(await decodePicture("
            f"{FROM_BASE64}(text)), pictureSide({n}).side), {n}))))"
        )
        found = call(tab, "picture", script, [b64(data) for data in files.values()])
        side = picture_side(n)[0]
        wanted = [zlib.crc32(picture_vectors(pixels_of(f, side, k), n).tobytes()) for k, f in files.items()]
        assert dict(zip(files, found, strict=True)) == dict(zip(files, wanted, strict=True))


@pytest.mark.parametrize("damage", ["cut", "crc", "empty", "text"])
def test_what_is_no_picture_is_said_in_a_sentence(tab, damage):
    good = png(np.zeros((9, 9, 3), np.uint8))
    data = {"cut": good[:-20], "crc": good[:40] + b"\xff" + good[41:], "empty": b"", "text": b"hello"}[damage]
    script = f"decodePicture({FROM_BASE64}(given[0])).then(() => '', (p) => p.message + '|' + p.hint)"
    said = call(tab, "picture", script, b64(data))
    assert said.startswith("This ") and said.count("|") == 1 and not said.endswith("|")


def test_frames_and_messages_are_those_of_the_table(tab):
    frame = Frame(3, 4660, 70000, 9, bytes(range(256)) * 5 + b"\0\0\x01")
    payload, args = b64(frame.payload), "3, 4660, 70000, 9"
    sent = call(tab, "link", f"Array.from(encodeFrame({args}, {FROM_BASE64}(given[0])))", payload)
    assert bytes(sent) == frame.encode()
    values = (32, 40, 0.5, 2**40 + 3, 1)
    packed = call(tab, "device", "Array.from(packMessage('generate', given[0], Uint8Array.of(1, 2)))", values)
    assert bytes(packed) == BY_NAME["generate"].pack(*values, rest=b"\x01\x02")
