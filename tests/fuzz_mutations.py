# SPDX-License-Identifier: Apache-2.0
"""How files go wrong: bytes damaged, text edited by hand, values in JSON that no writer would write."""

from __future__ import annotations

import json
import random
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

#: Values that readers do not expect in the place of others.
HOSTILE: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        1,
        2**31,
        2**63,
        -(2**63),
        10**400,
        1e308,
        5e-324,
        0.5,
        "",
        "0",
        "\ud800",
        "\0",
        "nan",
    ),
    *([], {}, [[]], [None], {"a": 1}, "a" * 5000, "../../x", "\u202e", "🂡", [0] * 1000, ["a", ["b"]]),
)
_WORDS = (
    b"NaN",
    b"Infinity",
    b"-0",
    b"1e999",
    b"null",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\0",
    b"\r",
    b"\t",
)
_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One file made worse, in one of many ways; the same for the same state of ``rng``."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(_ways(data))(data, rng) if data else rng.randbytes(9)
    return data


def _ways(data: bytes) -> list[Callable[[bytes, random.Random], bytes]]:
    """What may happen to such a file."""
    ways = [_flip, _cut, _insert, _zeros, _number, _repeat, _swap, _splice]
    if not data.count(0) and len(data) < 1 << 16:
        ways += [_word, _digits, _deep, _lines] * 2
    if data[:1] in (b"{", b"["):
        ways += [_json] * 8
    if data[8:9] == b"{" and len(data) > 16:
        ways += [_safetensors] * 8
    if data.startswith(b"\x89PNG"):
        ways += [_png] * 4
    return ways


def _at(data: bytes, rng: random.Random) -> int:
    """A place, more often near the beginning, where headers are."""
    return int(len(data) * rng.random() ** rng.choice((1, 4)))


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 12)):
        changed[_at(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _at(data, rng)]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _at(data, rng)
    return data[:at] + rng.randbytes(rng.randint(1, 40)) + data[at:]


def _zeros(data: bytes, rng: random.Random) -> bytes:
    at, n = _at(data, rng), rng.randint(1, 300)
    return data[:at] + bytes(min(n, len(data) - at)) + data[at + n :]


def _number(data: bytes, rng: random.Random) -> bytes:
    """An extreme number in the place of one."""
    at, form = _at(data, rng), rng.choice(("<I", ">I", "<H", ">H", "B", "<Q"))
    value = rng.choice(_NUMBERS) & ((1 << 8 * struct.calcsize(form)) - 1)
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    """A piece many times."""
    at, n = _at(data, rng), rng.randint(1, 40)
    piece = data[at : at + n]
    return data[:at] + piece * rng.choice((2, 10, 1000, 20_000 // max(len(piece), 1))) + data[at:]


def _swap(data: bytes, rng: random.Random) -> bytes:
    a, b = sorted((_at(data, rng), _at(data, rng)))
    return data[b:] + data[a:b] + data[:a]


def _splice(data: bytes, rng: random.Random) -> bytes:
    at, other = _at(data, rng), _at(data, rng)
    return data[:at] + data[other:]


def _word(data: bytes, rng: random.Random) -> bytes:
    at = _at(data, rng)
    return data[:at] + rng.choice(_WORDS) + data[at + rng.choice((0, 1, 4)) :]


def _digits(data: bytes, rng: random.Random) -> bytes:
    """Another number in the place of one."""
    numbers = list(re.finditer(rb"-?\d+\.?\d*", data))
    if not numbers:
        return _word(data, rng)
    found, value = rng.choice(numbers), rng.choice(HOSTILE[2:12])
    return data[: found.start()] + str(value).encode() + data[found.end() :]


def _deep(data: bytes, rng: random.Random) -> bytes:
    at = _at(data, rng)
    return (
        data[:at]
        + rng.choice((b"[", b'{"a":', b"(", b'"', b"\\", b"<g>")) * rng.choice((3, 60_000))
        + data[at:]
    )


def _lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return (b"\n" * rng.choice((0, 1, 2))).join(lines[: rng.randint(1, len(lines))])


def _json(data: bytes, rng: random.Random) -> bytes:
    """A value somewhere in the JSON (or in one of its lines) changed, taken out or put in."""
    whole = rng.random() < 0.5 or b"\n" not in data
    lines = [data] if whole else data.split(b"\n")
    i = rng.randrange(len(lines))
    try:
        holder = [json.loads(lines[i])]
    except (ValueError, RecursionError):
        return _word(data, rng)
    _worsen(holder, rng)
    lines[i] = json.dumps(holder[0]).encode()
    return b"\n".join(lines)


def _worsen(holder: Any, rng: random.Random) -> None:
    """Change one value inside a list or table, at any depth."""
    key: Any = 0
    while True:
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = rng.choice(keys)
        inner = holder[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.2:
            break
        holder = inner
    what = rng.randrange(4)
    if what == 0 and len(holder) > 1:
        del holder[key]
    elif what == 1 and isinstance(holder, list):
        holder.insert(key, rng.choice(HOSTILE))
    elif what == 1:
        holder[str(rng.choice(("", "x", "schema", "a" * 300)))] = rng.choice(HOSTILE)
    else:
        holder[key] = rng.choice(HOSTILE)


def _safetensors(data: bytes, rng: random.Random) -> bytes:
    """A file whose header says something else, and is well formed."""
    (size,) = struct.unpack_from("<Q", data)
    try:
        header = [json.loads(data[8 : 8 + size])]
        meta = header[0].get("__metadata__", {})
        texts = [k for k, v in meta.items() if v[:1] == "{"]
        if texts and rng.random() < 0.6:
            inner = [json.loads(meta[texts[0]])]
            _worsen(inner, rng)
            meta[texts[0]] = json.dumps(inner[0])
        else:
            _worsen(header, rng)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return _flip(data, rng)
    text = json.dumps(header[0]).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def _png(data: bytes, rng: random.Random) -> bytes:
    """A PNG with another chunk whose checksum is right."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (n,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + n]))
        at += 12 + n
    if not chunks:
        return _flip(data, rng)
    i = rng.randrange(len(chunks))
    kind, content = chunks[i]
    if content and rng.random() < 0.7:
        content = rng.choice((_flip, _number, _cut))(content, rng)
    else:
        kind = rng.choice((b"tRNS", b"PLTE", b"IHDR", b"IDAT", b"iCCP", b"eXIf", b"zTXt", b"acTL"))
        content = rng.randbytes(rng.randint(0, 800))
    chunks.insert(i, (kind, content)) if rng.random() < 0.3 else chunks.__setitem__(i, (kind, content))
    packed = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return data[:8] + b"".join(packed)
