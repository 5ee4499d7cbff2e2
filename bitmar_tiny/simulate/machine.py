# SPDX-License-Identifier: Apache-2.0
"""The simulated core: registers, the run loop, and every way to stop.

A trap is raised for what a chip would do silently or differently: an access outside declared memory or a
write to what was declared read-only, a 128-bit access that is not aligned (a chip drops the low address
bits), a register read before it was written, a store to the frame's save area. Saturation is not an error,
but noted in ``Machine.flags``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .cycles import Pipeline
from .isa import RESOURCES, Instruction, Program
from .memory import Memory, Trap

#: Return address of the outermost call; code addresses are CODE + index of an instruction.
CODE = 0x40380000
EXIT = 0xDEAD0000
STACK_BYTES = 1024
LIMIT = 50_000_000


class Machine:
    """One core.

    ``a``: ints in [0, 2^32); ``q``: 16 bytes each; ``accx``: signed; ``qacc``: signed lanes of ``qacc_bits``
    bits each.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.a = [0] * 16
        self.q = [bytes(16)] * 8
        self.sar = self.accx = 0
        self.qacc, self.qacc_bits = [0] * 16, 20
        self.loop = (0, -1, 0)  # first instruction, the one after the last, further rounds
        self.flags: list[str] = []
        self.executed = 0
        self.at = self.line = 0
        self.pipeline = Pipeline(len(RESOURCES))

    def flag(self, what: str) -> None:
        """Note a saturation at the current line."""
        self.flags.append(f"line {self.line}: {what}")

    def lanes(self, bits: int) -> list[int]:
        """QACC's 320 bits as 320 / bits signed lanes, for 8-bit (20) or 16-bit (40) instructions."""
        if self.qacc_bits != bits:
            mask = (1 << self.qacc_bits) - 1
            raw = sum((lane & mask) << self.qacc_bits * i for i, lane in enumerate(self.qacc))
            self.qacc = [signed(raw >> bits * i, bits) for i in range(320 // bits)]
            self.qacc_bits = bits
        return self.qacc

    def prepare(self, arguments: Sequence[int], kept: Sequence[int] = ()) -> None:
        """Registers as a caller leaves them: return address, stack, up to six arguments, and the ``kept``
        registers.
        """
        top = self.memory.add("stack", bytes(STACK_BYTES), writable=True) + STACK_BYTES
        given = [EXIT, top, *(int(v) & 0xFFFFFFFF for v in arguments)]
        self.a[: len(given)] = given
        for register in (*range(len(given)), *kept):
            self.pipeline.defined[register] = True

    def run(
        self,
        program: Program,
        function: str,
        watch: Callable[[Machine, Instruction], None] | None = None,
        limit: int = LIMIT,
    ) -> int:
        """Run ``function`` until it returns; its value (a2). ``watch`` sees every instruction before it is
        executed.

        Raises ``Trap`` naming the line, also after ``limit`` instructions.
        """
        self.at, code = program.index(function), program.instructions
        while self.at != EXIT - CODE:
            if not 0 <= self.at < len(code):
                raise Trap(f"{program.name}:{self.line}: control leaves the code.")
            ins = code[self.at]
            self.line = ins.line
            if watch:
                watch(self, ins)
            try:
                self._step(ins)
            except Trap as trap:
                raise Trap(f"{program.name}:{ins.line}: {ins.text}: {trap.message}") from None
            if self.executed > limit:
                raise Trap(f"{program.name}:{ins.line}: more than {limit} instructions.")
        return self.a[2]

    def _step(self, ins: Instruction) -> None:
        defined = self.pipeline.defined
        for resource, _ in ins.uses:
            if not defined[resource]:
                raise Trap(f"{RESOURCES[resource]} is read before it is written.")
        target = ins.execute(self, *ins.operands)
        self.executed += 1
        self.pipeline.issue(ins.uses, ins.defines, target is not None)
        if target is not None:
            self.at = target
            return
        self.at += 1
        first, end, left = self.loop
        if self.at == end and left:
            self.loop = (first, end, left - 1)
            self.at = first


def signed(value: int, bits: int) -> int:
    """The low ``bits`` of ``value`` as a two's complement number."""
    half = 1 << bits - 1
    return (value & (1 << bits) - 1 ^ half) - half
