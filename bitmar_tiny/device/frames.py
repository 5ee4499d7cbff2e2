# SPDX-License-Identifier: Apache-2.0
"""Frames of the serial protocol (docs/reference/serial-protocol.md): COBS between zeros, with a CRC-32."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from cobs import cobs

from .protocol import FRAMES

OPEN, OPENED, DATA, CLOSED, AGAIN = (
    FRAMES[name][0] for name in ("open", "opened", "data", "closed", "again")
)
HEADER = struct.Struct("<BHHHH")
OVERHEAD = HEADER.size + 4
#: Longer chunks without a zero byte are cut: logs, or noise.
LONGEST = 4096
TEXT = frozenset(b"\t\n\r\x1b" + bytes(range(32, 127)))


@dataclass(frozen=True)
class Frame:
    """One frame. ``offset`` and ``acknowledged`` are positions in the sender's and the receiver's stream,
    modulo 2^16.
    """

    kind: int
    session: int
    offset: int = 0
    acknowledged: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        plain = (
            HEADER.pack(
                self.kind, self.session, self.offset & 0xFFFF, self.acknowledged & 0xFFFF, len(self.payload)
            )
            + self.payload
        )
        return b"\0" + cobs.encode(plain + struct.pack("<I", zlib.crc32(plain))) + b"\0"


@dataclass(frozen=True)
class Garbage:
    """Bytes between zeros that are no frame."""

    data: bytes

    @property
    def is_text(self) -> bool:
        """Whether it looks like a line of a log."""
        return sum(b in TEXT for b in self.data) >= 0.9 * len(self.data)


def decode(chunk: bytes) -> Frame | None:
    """The frame between two zero bytes, or None."""
    try:
        plain = cobs.decode(chunk)
    except cobs.DecodeError:
        return None
    if len(plain) < OVERHEAD:
        return None
    kind, session, offset, acknowledged, length = HEADER.unpack_from(plain)
    if length != len(plain) - OVERHEAD or plain[-4:] != struct.pack("<I", zlib.crc32(plain[:-4])):
        return None
    return Frame(kind, session, offset, acknowledged, plain[HEADER.size : -4])


class Deframer:
    """Cuts what arrives into frames and garbage; never raises."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame | Garbage]:
        self._rest += data
        *chunks, self._rest = self._rest.split(b"\0")
        for chunk in filter(None, chunks):
            yield decode(bytes(chunk)) or Garbage(bytes(chunk))
        while len(self._rest) > LONGEST or (
            self._rest.endswith(b"\n") and Garbage(bytes(self._rest)).is_text
        ):
            yield Garbage(bytes(self._rest[:LONGEST]))  # a whole line of a log need not wait for a frame
            del self._rest[:LONGEST]

    def rest(self) -> Iterator[Garbage]:
        """What came and is no frame yet: it will be none."""
        if self._rest:
            yield Garbage(bytes(self._rest))
            self._rest.clear()
