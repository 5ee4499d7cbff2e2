# SPDX-License-Identifier: Apache-2.0
"""Declared memory of the simulated core."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import BitmarError


class Trap(BitmarError):
    """The simulated program did something that must not happen on a chip."""


@dataclass
class Region:
    """A piece of memory that a program may touch: bytes [start, start + len(data))."""

    name: str
    start: int
    data: bytearray
    writable: bool


class Memory:
    """Declared regions, with gaps between them; an access anywhere else traps."""

    def __init__(self) -> None:
        self.regions: list[Region] = []
        self.reserved = range(0)  # where only the processor itself may write
        self._end = 0x3FC90000  # internal SRAM as the data bus sees it

    def add(self, name: str, data: bytes, writable: bool = False, skew: int = 0) -> int:
        """Declare a region ``skew`` bytes past a multiple of 64; returns its address."""
        start = (self._end + 127 & ~63) + skew
        self.regions.append(Region(name, start, bytearray(data), writable))
        self._end = start + len(data)
        return start

    def data(self, name: str) -> bytes:
        """What a region holds now."""
        return bytes(next(r.data for r in self.regions if r.name == name))

    def load(self, address: int, size: int) -> bytes:
        """``size`` bytes; traps where ``address`` is no multiple of it."""
        region, at = self._find("load from", address, size)
        return bytes(region.data[at : at + size])

    def store(self, address: int, data: bytes) -> None:
        """Traps like ``load``, and for read-only regions and the frame's save area."""
        region, at = self._find("store to", address, len(data))
        if not region.writable:
            raise Trap(f"the store to {address:#010x} changes the read-only region '{region.name}'.")
        if address in self.reserved:
            raise Trap(
                f"the store to {address:#010x} hits the top of the frame, where a window overflow saves."
            )
        region.data[at : at + len(data)] = data

    def _find(self, what: str, address: int, size: int) -> tuple[Region, int]:
        if address % size:
            raise Trap(f"the {8 * size}-bit {what} {address:#010x} is misaligned.")
        for region in self.regions:
            at = address - region.start
            if 0 <= at <= len(region.data) - size:
                return region, at
        raise Trap(f"the {8 * size}-bit {what} {address:#010x} is outside declared memory.")
