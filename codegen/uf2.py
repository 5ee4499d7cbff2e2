# SPDX-License-Identifier: Apache-2.0
"""UF2: a program as a file that is copied to the drive which a boot loader pretends to be.

Blocks of 512 bytes, each with its address in flash, in any order (https://github.com/microsoft/uf2).
"""

from __future__ import annotations

import struct

from bitmar_tiny.errors import DataError

BLOCK, PAYLOAD = 512, 256  # bytes; a payload is a page of flash
SECTOR = 4096  # of flash, erased as one
MAGIC = (0x0A324655, 0x9E5D5157)
END = 0x0AB16F30
HAS_FAMILY = 0x2000
HEAD = struct.Struct("<8I")
ERASED = b"\xff"
LOADED = 1  # PT_LOAD of ELF


def flash_image(elf: bytes) -> tuple[int, bytes]:
    """(address of the first byte, bytes) of what a 32-bit little-endian ELF program has in flash.

    Whole sectors, so that nothing of an older program stays in the last one. ``DataError`` for another file.
    """
    try:
        if elf[:6] != b"\x7fELF\x01\x01":
            raise ValueError
        table, size, count = (*struct.unpack_from("<I", elf, 28), *struct.unpack_from("<HH", elf, 42))
        headers = [struct.unpack_from("<8I", elf, table + i * size) for i in range(count)]
    except (struct.error, ValueError):
        raise DataError("Not a 32-bit ELF program.", "Run 'bitmar-tiny build' again.") from None
    parts = [
        (place, elf[at : at + filled])
        for kind, at, _, place, filled, *_ in headers
        if kind == LOADED and filled
    ]
    if not parts:
        raise DataError("The program has nothing that could be written to flash.")
    first = min(place for place, _ in parts)
    end = max(place + len(data) for place, data in parts)
    image = bytearray(ERASED * (-(-(end - first) // SECTOR) * SECTOR))
    for place, data in parts:
        image[place - first : place - first + len(data)] = data
    return first, bytes(image)


def encode(address: int, data: bytes, family: int) -> bytes:
    """The file that writes ``data`` (whole pages) from ``address`` on, for chips of ``family``."""
    pages = [data[i : i + PAYLOAD] for i in range(0, len(data), PAYLOAD)]
    return b"".join(
        HEAD.pack(*MAGIC, HAS_FAMILY, address + i * PAYLOAD, PAYLOAD, i, len(pages), family)
        + page.ljust(BLOCK - HEAD.size - 4, b"\0")
        + struct.pack("<I", END)
        for i, page in enumerate(pages)
    )


def decode(file: bytes) -> tuple[int, bytes, int]:
    """(address, data, family) of a file that ``encode`` wrote. ``DataError`` if it is damaged or another."""
    data, count = bytearray(), len(file) // BLOCK
    address = family = None
    for i in range(count):
        block = file[i * BLOCK : (i + 1) * BLOCK]
        *magic, flags, place, size, number, blocks, own = HEAD.unpack_from(block)
        address, family = (place, own) if i == 0 else (address, family)
        if (tuple(magic), flags, size, number, blocks, own, place) != (
            MAGIC, HAS_FAMILY, PAYLOAD, i, count, family, address + len(data),
        ) or struct.unpack_from("<I", block, BLOCK - 4)[0] != END:  # fmt: skip
            raise DataError(f"Not a whole UF2 file: block {i} of {count} is damaged.", "Build it again.")
        data += block[HEAD.size : HEAD.size + PAYLOAD]
    if not count or len(file) % BLOCK:
        raise DataError("Not a whole UF2 file.", "Build it again.")
    return address, bytes(data), family
