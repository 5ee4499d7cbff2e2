"""The episodic memory's store: one file, or a card's raw blocks, byte for byte as the firmware writes it (docs/memory-store.md).

An episode is written beside what is live, and becomes the memory with one commit record: whatever moment the power goes,
the file holds the memory before the episode or the one after it.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import StoreError
from .files import atomic_file, write_device
from .golden import numerics as nm

VERSION, UNIT, GROUP = 1, 4096, 7
HEADER, RECORD, STATE = 0x54534D42, 0x52434D42, 0x47534D42         # "BMST", "BMCR", "BMSG"
SEAL = UNIT - 4                                                    # CRC-32 of what comes before
HOMES, HIGH_CRC, LOW_CRC, SCALES, USAGE = 16, 20, 48, 128, 1920    # in a unit of state
ROWS = nm.READ_BLOCK
REMAKE = "Make a new one with 'bitmar-tiny memory reset', or restore a copy with 'bitmar-tiny memory import'."
SALVAGE = "'bitmar-tiny memory export --salvage' keeps the rest; 'bitmar-tiny memory reset' starts anew."


@dataclass(frozen=True)
class Memory:
    """The memory of one model: codes int16 [K, C], scales float32 [K], usage uint32 [K] (Q24)."""

    codes: np.ndarray
    scales: np.ndarray
    usage: np.ndarray

    @property
    def slots(self) -> int:
        return self.codes.shape[0]

    @property
    def width(self) -> int:
        return self.codes.shape[1]

    def rows(self) -> np.ndarray:
        """Values, float32 [K, C]."""
        return self.codes.astype(np.float32) * self.scales[:, None]


@dataclass(frozen=True)
class Layout:
    """Where every byte lies (bm_store_format.h)."""

    slots: int
    width: int

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
        return seal(struct.pack("<6IQ32s", self.slots, self.width, self.pitch, ROWS, GROUP, UNIT, self.size, bytes.fromhex(digest)),
                    HEADER, VERSION, 0)


def seal(content: bytes, magic: int, index: int, sequence: int) -> bytes:
    """A unit: magic, index, sequence, what it holds, zeros, and the CRC-32 of all that."""
    unit = struct.pack("<IIQ", magic, index, sequence) + content
    unit += bytes(SEAL - len(unit))
    return unit + struct.pack("<I", zlib.crc32(unit))


def sealed(unit: bytes, magic: int, index: int) -> int | None:
    """Sequence of a unit that is whole and of this kind, or None."""
    if len(unit) != UNIT or struct.unpack_from("<II", unit) != (magic, index) or zlib.crc32(unit[:SEAL]) != struct.unpack_from("<I", unit, SEAL)[0]:
        return None
    return struct.unpack_from("<Q", unit, 8)[0]


@dataclass
class MemoryStore:
    """An open store. ``damaged``: every piece that is not what was written, in words; the copies that stand in for them are used."""

    path: Path
    layout: Layout
    digest: str
    sequence: int
    damaged: list[str] = field(default_factory=list)

    @classmethod
    def create(cls, path: Path | str, memory: Memory, digest: str) -> "MemoryStore":
        """Write a new store, atomically; what was at ``path`` is replaced. On a block device (a card's raw blocks) it is written in
        place. ``StoreError`` if the disk refuses, has no such folder or too little room."""
        store = cls(Path(path), Layout(memory.slots, memory.width), digest, 1)
        if store.path.is_block_device():
            write_device(store.path, store._image(memory), StoreError)
            return store
        with atomic_file(store.path, StoreError, make_folder=False) as f:
            f.write(store._image(memory))
        return store

    @classmethod
    def open(cls, path: Path | str, digest: str | None = None) -> "MemoryStore":
        """Open a store and find its newest commit. ``digest``: of the model it has to belong to.

        ``StoreError`` says what is wrong with one that cannot be used: missing, foreign, newer, cut short, of another model,
        without a whole header or commit record.
        """
        path = Path(path)
        try:
            with open(path, "rb") as f:
                layout, found, damaged = _read_header(f, path)
                if digest is not None and found != digest:
                    raise StoreError(f"{path}: the memory belongs to another model (SHA-256 {found[:12]}..., not {digest[:12]}...).",
                                     "Choose the model's own store, or make one with 'bitmar-tiny memory reset'.")
                sequence, bad = _read_records(f, path, layout)
        except OSError as error:
            raise StoreError(f"{path}: {(error.strerror or 'cannot be read').lower()}.", "Check the card and the path; "
                             "'bitmar-tiny memory reset' makes a new store.") from None
        return cls(path, layout, found, sequence, damaged + bad)

    def read(self) -> Memory:
        """The live memory. ``StoreError`` names the first damaged piece of it."""
        memory, damaged = self.check()
        if damaged:
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise StoreError(f"{self.path}: damaged: {damaged[0]}{more}.", SALVAGE)
        return memory

    def check(self) -> tuple[Memory, list[str]]:
        """The live memory as far as it is whole (rows of damaged blocks are zero), and what is damaged, in words."""
        at, damaged = self.layout, []
        codes = np.zeros((at.blocks * ROWS, at.width), np.int16)
        scales, usage = np.zeros(at.groups * GROUP * ROWS, np.float32), np.zeros(at.groups * GROUP * ROWS, np.uint32)
        with open(self.path, "rb") as f:
            for group in range(at.groups):
                unit = _read(f, at.state_at(group, self.sequence & 1), UNIT)
                if sealed(unit, STATE, group) != self.sequence:
                    damaged.append(f"the state of rows {group * GROUP * ROWS} to {min(at.slots, (group + 1) * GROUP * ROWS) - 1}")
                    continue
                rows = slice(group * GROUP * ROWS, (group + 1) * GROUP * ROWS)
                scales[rows] = np.frombuffer(unit, "<f4", GROUP * ROWS, SCALES)
                usage[rows] = np.frombuffer(unit, "<u4", GROUP * ROWS, USAGE)
                for block in range(group * GROUP, min(at.blocks, (group + 1) * GROUP)):
                    planes = self._planes(f, unit, block, damaged)
                    if planes is not None:
                        codes[block * ROWS:(block + 1) * ROWS] = planes
        return Memory(codes[:at.slots], scales[:at.slots], usage[:at.slots]), damaged

    def _planes(self, f: BinaryIO, unit: bytes, block: int, damaged: list[str]) -> np.ndarray | None:
        """int16 codes [64, width] of a block, or None if one of its planes is damaged."""
        at, i, found = self.layout, block % GROUP, []
        home = struct.unpack_from("<I", unit, HOMES)[0] >> i & 1
        for low, crcs, what in ((False, HIGH_CRC, "high"), (True, LOW_CRC, "low")):
            data = _read(f, at.plane_at(block, home, low), at.plane)
            if zlib.crc32(data) != struct.unpack_from("<I", unit, crcs + 4 * i)[0] or len(data) != at.plane:
                damaged.append(f"the {what} bytes of rows {block * ROWS} to {min(at.slots, (block + 1) * ROWS) - 1}")
                continue
            found.append(np.frombuffer(data, np.int8).reshape(ROWS, at.pitch)[:, :at.width].astype(np.int16))
        return found[0] * 256 + found[1] if len(found) == 2 else None

    def commit(self, memory: Memory) -> None:
        """Make ``memory`` (of the same shape) the live one, as the firmware would after an episode. ``StoreError``."""
        at, before = self.layout, self.read()
        if (memory.slots, memory.width) != (at.slots, at.width):
            raise StoreError(f"{self.path}: holds [{at.slots}, {at.width}], not [{memory.slots}, {memory.width}].")
        try:
            with open(self.path, "r+b") as f:
                homes = self._homes(f)
                changed = [b for b in range(at.blocks) if not np.array_equal(before.codes[b * ROWS:(b + 1) * ROWS],
                                                                              memory.codes[b * ROWS:(b + 1) * ROWS])]
                for block in changed:
                    homes[block] ^= 1
                for offset, data in self._pieces(memory, homes, self.sequence + 1, changed):
                    _write(f, offset, data)
                _sync(f)
                for copy in range(2):
                    _write(f, at.copy_at(1 + (self.sequence + 1 & 1), copy), seal(b"", RECORD, 0, self.sequence + 1))
                    _write(f, at.copy_at(0, copy), at.header(self.digest))
                _sync(f)
        except OSError as error:
            raise StoreError(f"{self.path}: {(error.strerror or 'cannot be written').lower()}.", "The memory before the episode is intact.") from None
        self.sequence += 1

    def _homes(self, f: BinaryIO) -> list[int]:
        at = self.layout
        words = [struct.unpack_from("<I", _read(f, at.state_at(g, self.sequence & 1), UNIT), HOMES)[0] for g in range(at.groups)]
        return [words[b // GROUP] >> b % GROUP & 1 for b in range(at.blocks)]

    def _pieces(self, memory: Memory, homes: list[int], sequence: int, blocks: list[int]):
        """Offsets and bytes of the states of all groups, and of the planes of ``blocks``, in their homes."""
        at = self.layout
        high = nm.high_bytes(memory.codes)
        planes = [high, (memory.codes.astype(np.int32) - 256 * high.astype(np.int32)).astype(np.int8)]
        crcs = np.zeros((2, at.groups * GROUP), "<u4")
        for block in range(at.blocks):
            for low in (0, 1):
                padded = np.zeros((ROWS, at.pitch), np.int8)
                rows = planes[low][block * ROWS:(block + 1) * ROWS]
                padded[:len(rows), :at.width] = rows
                crcs[low, block] = zlib.crc32(padded.tobytes())
                if block in blocks:
                    yield at.plane_at(block, homes[block], bool(low)), padded.tobytes()
        scales, usage = np.zeros(at.groups * GROUP * ROWS, "<f4"), np.zeros(at.groups * GROUP * ROWS, "<u4")
        scales[:at.slots], usage[:at.slots] = memory.scales, memory.usage
        for group in range(at.groups):
            word = sum(h << i for i, h in enumerate(homes[group * GROUP:(group + 1) * GROUP]))
            some, rows = slice(group * GROUP, (group + 1) * GROUP), slice(group * GROUP * ROWS, (group + 1) * GROUP * ROWS)
            content = struct.pack("<I", word) + crcs[0, some].tobytes() + crcs[1, some].tobytes()
            content += bytes(SCALES - HOMES - len(content)) + scales[rows].tobytes() + usage[rows].tobytes()
            yield at.state_at(group, sequence & 1), seal(content, STATE, group, sequence)

    def _image(self, memory: Memory) -> bytes:
        """All bytes of a new store, sequence 1; homes that are not live are zero."""
        at, image = self.layout, bytearray(self.layout.size)
        for copy in range(2):
            image[at.copy_at(0, copy):at.copy_at(0, copy) + UNIT] = at.header(self.digest)
            image[at.copy_at(2, copy):at.copy_at(2, copy) + UNIT] = seal(b"", RECORD, 0, 1)
        for offset, data in self._pieces(memory, [0] * at.blocks, 1, list(range(at.blocks))):
            image[offset:offset + len(data)] = data
        return bytes(image)


def _read(f: BinaryIO, offset: int, n: int) -> bytes:
    f.seek(offset)
    return f.read(n)


def _write(f: BinaryIO, offset: int, data: bytes) -> None:
    f.seek(offset)
    f.write(data)


def _sync(f: BinaryIO) -> None:
    f.flush()
    os.fsync(f.fileno())


def _read_header(f: BinaryIO, path: Path) -> tuple[Layout, str, list[str]]:
    """Layout, digest, and what of the header's two copies is damaged."""
    size = f.seek(0, os.SEEK_END)
    first = _read(f, 0, UNIT)
    unit, damaged = first, []
    if not first or not any(first) or first == b"\xff" * len(first):
        last = _read(f, max(size - 3 * UNIT, 0), UNIT)
        if sealed(last, HEADER, VERSION) is None:
            raise StoreError(f"{path}: holds no memory store, only blank bytes.", REMAKE)
        unit, damaged = last, ["the first copy of the header"]
    elif sealed(first, HEADER, VERSION) is None:
        magic, version = struct.unpack_from("<II", first.ljust(8, b"\0"))
        if magic == HEADER and len(first) == UNIT and sealed(first, HEADER, version) is not None:
            raise StoreError(f"{path}: a memory store of format {version}, this program reads {VERSION}.", "Use the matching bitmar-tiny.")
        unit, damaged = _read(f, max(size - 3 * UNIT, 0), UNIT), ["the first copy of the header"]
        if sealed(unit, HEADER, VERSION) is None:
            if magic != HEADER:
                raise StoreError(f"{path}: not a memory store.", "Choose another file, or make a store with 'bitmar-tiny memory reset'.")
            raise StoreError(f"{path}: both copies of the memory store's header are damaged.", REMAKE)
    slots, width, pitch, rows, group, whole_unit, whole = struct.unpack_from("<6IQ", unit, 16)
    layout = Layout(slots, width)
    if (pitch, rows, group, whole_unit, whole) != (layout.pitch, ROWS, GROUP, UNIT, layout.size):
        raise StoreError(f"{path}: the memory store's header describes a layout that this program does not know.", REMAKE)
    if size < layout.size:
        raise StoreError(f"{path}: the memory store is cut short, {size} of {layout.size} bytes.", REMAKE)
    if not damaged and _read(f, layout.copy_at(0, 1), UNIT) != unit:
        damaged = ["the second copy of the header"]
    return layout, unit[48:80].hex(), damaged


def _read_records(f: BinaryIO, path: Path, layout: Layout) -> tuple[int, list[str]]:
    """Sequence of the newest commit, and which copy of its record is damaged or behind."""
    found = {(parity, copy): sealed(_read(f, layout.copy_at(1 + parity, copy), UNIT), RECORD, 0) for parity in (0, 1) for copy in (0, 1)}
    whole = [s for (parity, _), s in found.items() if s is not None and s & 1 == parity and s > 0]
    if not whole:
        raise StoreError(f"{path}: no commit record of the memory store is whole.", REMAKE)
    newest = max(whole)
    return newest, [f"{'the second' if copy else 'the first'} copy of the newest commit record" for copy in (0, 1)
                    if found[newest & 1, copy] != newest]
