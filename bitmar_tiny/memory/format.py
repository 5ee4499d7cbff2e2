# SPDX-License-Identifier: Apache-2.0
"""Where every byte of a memory store lies, and what its header and commit records say (bm_store_format.h,
docs/explanation/memory-store.md).
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import StoreError
from ..golden import numerics as nm

VERSION, UNIT, GROUP = 1, 4096, 7
HEADER, RECORD, STATE = 0x54534D42, 0x52434D42, 0x47534D42  # "BMST", "BMCR", "BMSG"
SEAL = UNIT - 4  # CRC-32 of what comes before
HOMES, HIGH_CRC, LOW_CRC, SCALES, USAGE = 16, 20, 48, 128, 1920  # in a unit of state
RULE = 80  # in a header
ROWS = nm.READ_BLOCK
REMAKE = "Make a new one with 'bitmar-tiny memory reset', or restore a copy with 'bitmar-tiny memory import'."


@dataclass(frozen=True)
class Layout:
    """Where every byte lies (bm_store_format.h). ``keyed``: the planes are of keys and of values, not of the
    high and low bytes of codes.
    """

    slots: int
    width: int
    keyed: bool = False

    @property
    def rule(self) -> str:
        """What its rows are, in words."""
        return "keys and values (write_rule keyed)" if self.keyed else "rows of 16 bits (bounded or outer)"

    @property
    def pitch(self) -> int:
        """Bytes of a row in a plane."""
        return -(-self.width // 64) * 64

    @property
    def plane(self) -> int:
        """Bytes of the high or the low codes of a block."""
        return ROWS * self.pitch

    @property
    def blocks(self) -> int:
        return -(-self.slots // ROWS)

    @property
    def groups(self) -> int:
        return -(-self.blocks // GROUP)

    def state_at(self, group: int, home: int) -> int:
        return (3 + home * self.groups + group) * UNIT

    def plane_at(self, block: int, home: int, low: bool) -> int:
        start = (3 + 2 * self.groups) * UNIT + 2 * self.blocks * self.plane * low
        return start + (home * self.blocks + block) * self.plane

    def copy_at(self, unit: int, copy: int) -> int:
        return copy * (self.size - 3 * UNIT) + unit * UNIT

    @property
    def size(self) -> int:
        return (6 + 2 * self.groups) * UNIT + 4 * self.blocks * self.plane

    def header(self, digest: str) -> bytes:
        """The sealed header of a store of the model with this SHA-256 (hex)."""
        return seal(
            struct.pack(
                "<6IQ32sI",
                self.slots,
                self.width,
                self.pitch,
                ROWS,
                GROUP,
                UNIT,
                self.size,
                bytes.fromhex(digest),
                self.keyed,
            ),
            HEADER,
            VERSION,
            0,
        )


def seal(content: bytes, magic: int, index: int, sequence: int) -> bytes:
    """A unit: magic, index, sequence, what it holds, zeros, and the CRC-32 of all that."""
    unit = struct.pack("<IIQ", magic, index, sequence) + content
    unit += bytes(SEAL - len(unit))
    return unit + struct.pack("<I", zlib.crc32(unit))


def sealed(unit: bytes, magic: int, index: int) -> int | None:
    """Sequence of a unit that is whole and of this kind, or None."""
    if (
        len(unit) != UNIT
        or struct.unpack_from("<II", unit) != (magic, index)
        or zlib.crc32(unit[:SEAL]) != struct.unpack_from("<I", unit, SEAL)[0]
    ):
        return None
    return struct.unpack_from("<Q", unit, 8)[0]


def read_at(f: BinaryIO, offset: int, n: int) -> bytes:
    """Up to ``n`` bytes from ``offset``; none where the device reports an error, as of a bad sector."""
    try:
        f.seek(offset)
        return f.read(n)
    except OSError:
        return b""


def read_header(f: BinaryIO, path: Path, layout: Layout | None) -> tuple[Layout, str, list[str]]:
    """Layout, SHA-256 (hex) of the model, and which of the header's two copies is damaged, in words.

    ``layout``: of the store, if the caller knows it: without it the second copy is only looked for at the end
    of the device, which a card's raw blocks have elsewhere. ``StoreError`` says what is there instead of a
    store.
    """
    size = f.seek(0, os.SEEK_END)
    unit, damaged = read_at(f, 0, UNIT), []
    if sealed(unit, HEADER, VERSION) is None:
        back = read_at(f, layout.copy_at(0, 1) if layout else max(size - 3 * UNIT, 0), UNIT)
        if sealed(back, HEADER, VERSION) is None:
            raise _no_header(f, unit, size, path, layout)
        unit, damaged = back, ["the first copy of the header"]
    slots, width, pitch, rows, group, whole_unit, whole = struct.unpack_from("<6IQ", unit, 16)
    rule = struct.unpack_from("<I", unit, RULE)[0]
    found = Layout(slots, width, rule == 1)
    if (
        not slots
        or not width
        or rule > 1
        or (pitch, rows, group, whole_unit, whole) != (found.pitch, ROWS, GROUP, UNIT, found.size)
    ):
        raise StoreError(
            f"{path}: the memory store's header describes a layout that this program does not know.", REMAKE
        )
    if size < found.size:
        raise StoreError(f"{path}: the memory store is cut short, {size} of {found.size} bytes.", REMAKE)
    if not damaged:
        back = read_at(f, found.copy_at(0, 1), UNIT)
        if back != unit and sealed(back, HEADER, VERSION) is not None:
            raise StoreError(f"{path}: the two headers are of different memory stores.", REMAKE)
        damaged = [] if back == unit else ["the second copy of the header"]
    return found, unit[48:80].hex(), damaged


def _no_header(f: BinaryIO, first: bytes, size: int, path: Path, layout: Layout | None) -> StoreError:
    """What to say of a file whose header is not to be found; ``first``: its first unit."""
    magic, version = struct.unpack_from("<II", first.ljust(8, b"\0"))
    if magic == HEADER and sealed(first, HEADER, version) is not None:
        return StoreError(
            f"{path}: a memory store of format {version}, this program reads {VERSION}.",
            "Use the matching bitmar-tiny.",
        )
    if not first and size:
        return StoreError(
            f"{path}: the device reported an error where the header is.",
            "Check the card; 'bitmar-tiny memory reset' makes a new store.",
        )
    if not any(first) or first == b"\xff" * len(first):
        return StoreError(f"{path}: holds no memory store, only blank bytes.", REMAKE)
    if magic != HEADER:
        return StoreError(
            f"{path}: not a memory store.",
            "Choose another file, or make a store with 'bitmar-tiny memory reset'.",
        )
    if layout is None and stat.S_ISBLK(os.fstat(f.fileno()).st_mode):
        return StoreError(
            f"{path}: the first copy of the memory store's header is damaged, and the second is not at the "
            "end of the device.",
            "Name the model with --model: its shape says where the second copy is.",
        )
    return StoreError(f"{path}: both copies of the memory store's header are damaged.", REMAKE)


def read_records(f: BinaryIO, path: Path, layout: Layout) -> tuple[int, list[str]]:
    """Sequence of the newest commit, and which copy of its record is damaged or behind. ``StoreError``
    without a whole record, and where both copies of one cannot be read: that may be the newest, and an older
    memory must not pass for it.
    """
    newest, copies = 0, []
    for parity in (0, 1):
        units = [read_at(f, layout.copy_at(1 + parity, copy), UNIT) for copy in (0, 1)]
        found = [s if s and s & 1 == parity else 0 for s in (sealed(unit, RECORD, 0) for unit in units)]
        if not any(found) and b"" in units:
            raise StoreError(
                f"{path}: the device reported an error where a commit record is.",
                "Check the card and its contacts, and try again.",
            )
        if max(found) > newest:
            newest, copies = max(found), found
    if not newest:
        raise StoreError(f"{path}: no commit record of the memory store is whole.", REMAKE)
    return newest, [
        f"the {which} copy of the newest commit record"
        for which, s in zip(("first", "second"), copies, strict=True)
        if s != newest
    ]
