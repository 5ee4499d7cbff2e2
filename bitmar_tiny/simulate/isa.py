# SPDX-License-Identifier: Apache-2.0
"""What an instruction is: its operands, what it reads and writes in which pipeline stage, and what it does.

Instruction sets are tables of ``Operation`` that ``operation`` fills; ``xtensa`` has the base set, ``pie``
the vectors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import BitmarError

#: Numbers of the resources that instructions read and write: a0 to a15, q0 to q7, then these.
Q0 = 16
SAR, ACCX, QACC = 24, 25, 26
RESOURCES = [*(f"a{i}" for i in range(16)), *(f"q{i}" for i in range(8)), "SAR", "ACCX", "QACC"]


class AssemblyError(BitmarError):
    """A line of assembly that is not understood, or that no assembler would take."""


@dataclass(frozen=True)
class Operation:
    """One mnemonic. ``operands``: tokens as described at ``operation``; ``size``: bytes of code, at most."""

    name: str
    operands: tuple[str, ...]
    uses: tuple[tuple[str, int], ...]
    defines: tuple[tuple[str, int], ...]
    size: int
    execute: Callable


@dataclass(frozen=True)
class Instruction:
    """One decoded instruction: ``execute(machine, *operands)`` returns the index of the next one, or None.

    ``uses`` and ``defines`` are (resource, stage) of table 1.7-2 of the Technical Reference Manual, E = 1, M
    = 2.
    """

    line: int
    text: str
    name: str
    execute: Callable
    operands: tuple[int, ...]
    uses: tuple[tuple[int, int], ...]
    defines: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Program:
    """Decoded instructions, and labels as indices into them."""

    name: str
    instructions: tuple[Instruction, ...]
    labels: dict[str, int]

    def index(self, label: str) -> int:
        """Where a function starts."""
        if label not in self.labels:
            raise AssemblyError(f"{self.name}: there is no function '{label}'.")
        return self.labels[label]


def operation(
    table: dict[str, Operation],
    names: str,
    operands: str = "",
    uses: str = "",
    defines: str = "",
    size: int = 3,
) -> Callable[[Callable], Callable]:
    """Decorator: add an instruction, under one or several names, to ``table``.

    ``operands``: ``aX`` and ``qX`` are registers, ``[low..high/step]`` a constant, ``<low..high>`` a label
    that may lie so many bytes from the next instruction. ``uses`` and ``defines``: ``as1`` is operand ``as``
    in stage 1, ``QACC2`` the state register QACC in stage 2. ``size``: bytes of code, 2 for a name in ``.n``.
    """

    def staged(text: str) -> tuple[tuple[str, int], ...]:
        return tuple((word[:-1], int(word[-1])) for word in text.split())

    def add(execute: Callable) -> Callable:
        for name in names.split():
            narrow = 2 if name.endswith(".n") else size
            table[name] = Operation(
                name, tuple(operands.split()), staged(uses), staged(defines), narrow, execute
            )
        return execute

    return add


def register(token: str, name: str) -> int | None:
    """Number of register ``name`` if it fits an operand ``token``, else None."""
    match = re.fullmatch(r"([aq])(\d+)", {"sp": "a1"}.get(name, name))
    if not match or match[1] != token[0] or int(match[2]) >= {"a": 16, "q": 8}[match[1]]:
        return None
    return int(match[2])


def resource(operation: Operation, operands: tuple[int, ...], name: str) -> int:
    """Number of the resource that ``name`` of a ``uses`` or ``defines`` means for these operands."""
    if name in RESOURCES[:16] or name in RESOURCES[SAR:]:
        return RESOURCES.index(name)
    at = operation.operands.index(name)
    return operands[at] + (Q0 if name[0] == "q" else 0)
