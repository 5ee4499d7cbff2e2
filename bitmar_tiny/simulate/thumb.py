# SPDX-License-Identifier: Apache-2.0
"""A Cortex-M0+: the instructions of the ARMv6-M Architecture Reference Manual (DDI 0419) that compiled
kernels consist of, and how many cycles each takes.

Cycles are those of the Cortex-M0+ Technical Reference Manual (DDI 0484, table 3-1), with the multiplier of
one cycle that the RP2040 has (RP2040 Datasheet, 2.4), and memory that never waits. So they are exact for code
and data in an SRAM that nobody else uses; nothing is known here of flash.

Any other instruction traps, and so does what a chip would fault for: a word that is not aligned, an access
outside declared memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .machine import signed
from .memory import Memory, Trap

EXIT = 0xDEAD0000
STACK_BYTES = 8192
LIMIT = 50_000_000
SP, LR, PC = 13, 14, 15
M32 = 0xFFFFFFFF

Handler = Callable[["Core", int], int]
#: (mask, value, handler) of each encoding of 16 bits, the more special ones first.
ENCODINGS: list[tuple[int, int, Handler]] = []


def encoded(pattern: str) -> Callable[[Handler], Handler]:
    """A handler for halfwords like ``pattern``: 0, 1 and others. It executes one and returns its cycles."""
    bits = pattern.replace(" ", "")
    mask, value = (
        int("".join("01"[b in "01"] for b in bits), 2),
        int("".join("01"[b == "1"] for b in bits), 2),
    )

    def note(handler: Handler) -> Handler:
        ENCODINGS.append((mask, value, handler))
        return handler

    return note


class Core:
    """``r``: r0 to r15, ints in [0, 2^32); ``n``, ``z``, ``c``, ``v``: flags. ``cycles`` and ``executed``
    count.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.r = [0] * 16
        self.n = self.z = self.c = self.v = False
        self.cycles = self.executed = 0
        self._known: dict[int, tuple[Handler, int]] = {}  # by address

    def call(self, entry: int, arguments: Sequence[int], limit: int = LIMIT) -> int:
        """Call a function with up to eight words; its value (r0). Raises ``Trap``, also after ``limit``
        instructions.
        """
        stack = self.memory.add("stack", bytes(STACK_BYTES), writable=True)
        self.r[SP] = stack + STACK_BYTES - 32
        words = [int(v) & M32 for v in arguments]
        self.r[:4] = (words + [0] * 4)[:4]
        for i, word in enumerate(words[4:]):
            self.store(self.r[SP] + 4 * i, 4, word)
        kept, self.r[LR], self.r[PC] = self.r[4:12], EXIT, entry & ~1
        while self.r[PC] != EXIT:
            at = self.r[PC]
            try:
                self._step(at)
            except Trap as trap:
                raise Trap(f"{at:#010x}: {trap.message}") from None
            if self.executed > limit:
                raise Trap(f"{at:#010x}: more than {limit} instructions.")
        if (self.r[SP], self.r[4:12]) != (stack + STACK_BYTES - 32, kept):
            raise Trap("the function does not leave its caller's registers as they were.")
        return self.r[0]

    def _step(self, at: int) -> None:
        known = self._known.get(at)
        if known is None:
            half = self.load(at, 2)
            handler = next((f for mask, value, f in ENCODINGS if half & mask == value), None)
            if handler is None:
                raise Trap(f"{half:#06x} is no instruction that is known here.")
            known = self._known[at] = handler, half
        self.r[PC] = at + 2
        self.cycles += known[0](self, known[1])
        self.executed += 1

    def load(self, address: int, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.memory.load(address & M32, size), "little", signed=signed) & M32

    def store(self, address: int, size: int, value: int) -> None:
        self.memory.store(address & M32, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def value(self, register: int) -> int:
        """What an instruction reads: the program counter is two halfwords ahead of it."""
        return self.r[register] + 2 if register == PC else self.r[register]

    def set_nz(self, result: int) -> int:
        result &= M32
        self.n, self.z = bool(result >> 31), result == 0
        return result

    def add(self, x: int, y: int, carry: int) -> int:
        """x + y + carry, and its flags."""
        total = x + y + carry
        self.c = total > M32
        result = self.set_nz(total)
        self.v = bool((x ^ result) & (y ^ result) & 1 << 31)
        return result

    def branch(self, target: int) -> None:
        self.r[PC] = target & M32 & ~1


def shifted(m: Core, kind: int, value: int, by: int) -> int:
    """lsl, lsr, asr (0, 1, 2) of a word, and the carry."""
    if by == 0:
        return value
    if kind == 0:
        m.c = bool(value << by & 1 << 32)
        return value << by & M32
    number = value if kind == 1 else signed(value, 32)
    m.c = bool(number >> by - 1 & 1)
    return number >> by & M32
