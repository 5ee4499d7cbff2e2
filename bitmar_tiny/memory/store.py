# SPDX-License-Identifier: Apache-2.0
"""The episodic memory's store: one file, or a card's raw blocks, byte for byte as the firmware writes it
(docs/explanation/memory-store.md).

An episode is written beside what is live, and becomes the memory with one commit record: whatever moment the
power goes, the file holds the memory before the episode or the one after it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import StoreError
from ..files import atomic_file, write_device
from ..golden import numerics as nm
from .format import (
    GROUP,
    HIGH_CRC,
    HOMES,
    LOW_CRC,
    RECORD,
    ROWS,
    SCALES,
    STATE,
    UNIT,
    USAGE,
    Layout,
    read_at,
    read_header,
    read_records,
    seal,
    sealed,
)

SALVAGE = "'bitmar-tiny memory export --salvage' keeps the rest; 'bitmar-tiny memory reset' starts anew."


@dataclass(frozen=True)
class Memory:
    """The memory of one model: codes int16 [K, C], scales float32 [K], usage uint32 [K] (Q24).

    ``keyed``: a code is 256 key + value, the scale is the key's, and a slot of usage 0 is empty.
    """

    codes: np.ndarray
    scales: np.ndarray
    usage: np.ndarray
    keyed: bool = False

    @property
    def slots(self) -> int:
        return self.codes.shape[0]

    @property
    def width(self) -> int:
        return self.codes.shape[1]

    @property
    def layout(self) -> Layout:
        """Of a store that holds it."""
        return Layout(self.slots, self.width, self.keyed)

    @property
    def empty(self) -> np.ndarray:
        """Slots that hold nothing, bool [K]."""
        return self.usage == 0 if self.keyed else np.abs(self.rows()).max(1) == 0

    def rows(self) -> np.ndarray:
        """What a query is compared with: rows, or keys. float32 [K, C]."""
        codes = nm.high_bytes(self.codes) if self.keyed else self.codes
        return codes.astype(np.float32) * self.scales[:, None]


@dataclass
class MemoryStore:
    """An open store. ``damaged``: every piece that is not what was written, in words; the copies that stand
    in for them are used.
    """

    path: Path
    layout: Layout
    digest: str
    sequence: int
    damaged: list[str] = field(default_factory=list)

    @classmethod
    def create(cls, path: Path | str, memory: Memory, digest: str) -> MemoryStore:
        """Write a new store, atomically; what was at ``path`` is replaced. On a block device (a card's raw
        blocks) it is written in place, in an order that leaves no whole store if the power goes.
        ``StoreError`` if a program has the old one open, or the disk refuses, has no such folder or too
        little room.
        """
        store = cls(Path(path), memory.layout, digest, 1)
        image, back = store._image(memory), store.layout.copy_at(0, 1)
        if store.path.is_block_device():
            ends = [(0, image[: 3 * UNIT]), (back, image[back:])]
            blank = [(offset, bytes(len(data))) for offset, data in ends]
            write_device(store.path, (blank, [(3 * UNIT, image[3 * UNIT : back])], ends), StoreError)
            return store
        if store.path.is_file():
            with _opened(store.path, "rb", fcntl.LOCK_EX):
                pass
        with atomic_file(store.path, StoreError, make_folder=False) as f:
            f.write(image)
        return store

    @classmethod
    def open(cls, path: Path | str, digest: str | None = None, layout: Layout | None = None) -> MemoryStore:
        """Open a store and find its newest commit. ``digest`` and ``layout``: of the model it has to belong
        to.

        ``StoreError`` says what is wrong with one that cannot be used: missing, in use, foreign, newer, cut
        short, of another model, without a whole header or commit record.
        """
        path = Path(path)
        with _opened(path, "rb", fcntl.LOCK_SH) as f:
            at, found, damaged = read_header(f, path, layout)
            if layout is not None and layout.keyed != at.keyed:
                raise StoreError(
                    f"{path}: holds {at.rule}, the model's memory is {layout.rule}.",
                    "Choose the model's own store, or make one with 'bitmar-tiny memory reset'.",
                )
            if digest is not None and found != digest:
                raise StoreError(
                    f"{path}: the memory belongs to another model (SHA-256 {found[:12]}..., not "
                    f"{digest[:12]}...).",
                    "Choose the model's own store, or make one with 'bitmar-tiny memory reset'.",
                )
            sequence, bad = read_records(f, path, at)
        return cls(path, at, found, sequence, damaged + bad)

    def read(self) -> Memory:
        """The live memory. ``StoreError`` names the first damaged piece of it."""
        memory, damaged = self.check()
        if damaged:
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise StoreError(f"{self.path}: damaged: {damaged[0]}{more}.", SALVAGE)
        return memory

    def check(self) -> tuple[Memory, list[str]]:
        """The live memory as far as it is whole (rows of damaged blocks are zero), and what is damaged, in
        words.
        """
        at, damaged = self.layout, []
        codes = np.zeros((at.blocks * ROWS, at.width), np.int16)
        scales, usage = (
            np.zeros(at.groups * GROUP * ROWS, np.float32),
            np.zeros(at.groups * GROUP * ROWS, np.uint32),
        )
        with _opened(self.path, "rb", fcntl.LOCK_SH) as f:
            for group in range(at.groups):
                unit = read_at(f, at.state_at(group, self.sequence & 1), UNIT)
                if sealed(unit, STATE, group) != self.sequence:
                    damaged.append(
                        f"the state of rows {group * GROUP * ROWS} to "
                        f"{min(at.slots, (group + 1) * GROUP * ROWS) - 1}"
                    )
                    continue
                rows = slice(group * GROUP * ROWS, (group + 1) * GROUP * ROWS)
                scales[rows] = np.frombuffer(unit, "<f4", GROUP * ROWS, SCALES)
                usage[rows] = np.frombuffer(unit, "<u4", GROUP * ROWS, USAGE)
                for block in range(group * GROUP, min(at.blocks, (group + 1) * GROUP)):
                    planes = self._planes(f, unit, block, damaged)
                    if planes is not None:
                        codes[block * ROWS : (block + 1) * ROWS] = planes
        return Memory(codes[: at.slots], scales[: at.slots], usage[: at.slots], at.keyed), damaged

    def _planes(self, f: BinaryIO, unit: bytes, block: int, damaged: list[str]) -> np.ndarray | None:
        """int16 codes [64, width] of a block, or None if one of its planes is damaged."""
        at, i, found = self.layout, block % GROUP, []
        home = struct.unpack_from("<I", unit, HOMES)[0] >> i & 1
        for low, crcs, what in ((False, HIGH_CRC, "high"), (True, LOW_CRC, "low")):
            data = read_at(f, at.plane_at(block, home, low), at.plane)
            if zlib.crc32(data) != struct.unpack_from("<I", unit, crcs + 4 * i)[0] or len(data) != at.plane:
                damaged.append(
                    f"the {what} bytes of rows {block * ROWS} to {min(at.slots, (block + 1) * ROWS) - 1}"
                )
                continue
            found.append(np.frombuffer(data, np.int8).reshape(ROWS, at.pitch)[:, : at.width].astype(np.int16))
        return found[0] * 256 + found[1] if len(found) == 2 else None

    def commit(self, memory: Memory) -> None:
        """Make ``memory`` (of the same shape) the live one, as the firmware would after an episode.
        ``StoreError``.
        """
        at, before = self.layout, self.read()
        if memory.layout != at:
            raise StoreError(
                f"{self.path}: holds [{at.slots}, {at.width}], {at.rule}, not [{memory.slots}, "
                f"{memory.width}], {memory.layout.rule}."
            )
        with _opened(self.path, "r+b", fcntl.LOCK_EX) as f:
            if read_records(f, self.path, at)[0] != self.sequence:
                raise StoreError(
                    f"{self.path}: another program has written into it meanwhile.", "Run the command again."
                )
            self._settle(f)
            homes = self._homes(f)
            changed = [
                b
                for b in range(at.blocks)
                if not np.array_equal(
                    before.codes[b * ROWS : (b + 1) * ROWS], memory.codes[b * ROWS : (b + 1) * ROWS]
                )
            ]
            for block in changed:
                homes[block] ^= 1
            for offset, data in self._pieces(memory, homes, self.sequence + 1, changed):
                _write(f, offset, data)
            _sync(f)
            for copy in range(2):
                self._write_record(f, self.sequence + 1, copy)
            _sync(f)
        self.sequence += 1

    def _settle(self, f: BinaryIO) -> None:
        """Mend a damaged copy of the header, and write both copies of the record anew, one after the other,
        the one that was not whole first: what was found is then known to last (bm_store_episode.c).
        """
        at = self.layout
        for copy in range(2):
            if read_at(f, at.copy_at(0, copy), UNIT) != at.header(self.digest):
                _write(f, at.copy_at(0, copy), at.header(self.digest))
        whole = [
            sealed(read_at(f, at.copy_at(1 + (self.sequence & 1), copy), UNIT), RECORD, 0) == self.sequence
            for copy in range(2)
        ]
        for copy in (0, 1) if whole[1] else (1, 0):
            self._write_record(f, self.sequence, copy)
            _sync(f)

    def _write_record(self, f: BinaryIO, sequence: int, copy: int) -> None:
        _write(f, self.layout.copy_at(1 + (sequence & 1), copy), seal(b"", RECORD, 0, sequence))

    def _homes(self, f: BinaryIO) -> list[int]:
        at = self.layout
        words = [
            struct.unpack_from("<I", read_at(f, at.state_at(g, self.sequence & 1), UNIT), HOMES)[0]
            for g in range(at.groups)
        ]
        return [words[b // GROUP] >> b % GROUP & 1 for b in range(at.blocks)]

    def _pieces(self, memory: Memory, homes: list[int], sequence: int, blocks: list[int]):
        """Offsets and bytes of the states of all groups, and of the planes of ``blocks``, in their homes."""
        at = self.layout
        planes = nm.planes(memory.codes)
        crcs = np.zeros((2, at.groups * GROUP), "<u4")
        for block in range(at.blocks):
            for low in (0, 1):
                padded = np.zeros((ROWS, at.pitch), np.int8)
                rows = planes[low][block * ROWS : (block + 1) * ROWS]
                padded[: len(rows), : at.width] = rows
                crcs[low, block] = zlib.crc32(padded.tobytes())
                if block in blocks:
                    yield at.plane_at(block, homes[block], bool(low)), padded.tobytes()
        scales, usage = np.zeros(at.groups * GROUP * ROWS, "<f4"), np.zeros(at.groups * GROUP * ROWS, "<u4")
        scales[: at.slots], usage[: at.slots] = memory.scales, memory.usage
        for group in range(at.groups):
            word = sum(h << i for i, h in enumerate(homes[group * GROUP : (group + 1) * GROUP]))
            some, rows = (
                slice(group * GROUP, (group + 1) * GROUP),
                slice(group * GROUP * ROWS, (group + 1) * GROUP * ROWS),
            )
            content = struct.pack("<I", word) + crcs[0, some].tobytes() + crcs[1, some].tobytes()
            content += bytes(SCALES - HOMES - len(content)) + scales[rows].tobytes() + usage[rows].tobytes()
            yield at.state_at(group, sequence & 1), seal(content, STATE, group, sequence)

    def _image(self, memory: Memory) -> bytes:
        """All bytes of a new store, sequence 1; homes that are not live are zero."""
        at, image = self.layout, bytearray(self.layout.size)
        for copy in range(2):
            image[at.copy_at(0, copy) : at.copy_at(0, copy) + UNIT] = at.header(self.digest)
            image[at.copy_at(2, copy) : at.copy_at(2, copy) + UNIT] = seal(b"", RECORD, 0, 1)
        for offset, data in self._pieces(memory, [0] * at.blocks, 1, list(range(at.blocks))):
            image[offset : offset + len(data)] = data
        return bytes(image)


@contextmanager
def _opened(path: Path, mode: str, lock: int) -> Iterator[BinaryIO]:
    """The file, locked as the firmware's program for Linux locks it (linux_store.c). ``StoreError``, in a
    sentence, for what the system says.
    """
    try:
        with open(path, mode) as f:
            fcntl.flock(f, lock | fcntl.LOCK_NB)
            yield f
    except BlockingIOError:
        raise StoreError(f"{path}: another program has it open.", "Stop that program first.") from None
    except OSError as error:
        raise StoreError(
            f"{path}: {(error.strerror or 'cannot be used').lower()}.",
            "Check the card and the path; 'bitmar-tiny memory reset' makes a new store.",
        ) from None


def _write(f: BinaryIO, offset: int, data: bytes) -> None:
    f.seek(offset)
    f.write(data)


def _sync(f: BinaryIO) -> None:
    f.flush()
    os.fsync(f.fileno())
