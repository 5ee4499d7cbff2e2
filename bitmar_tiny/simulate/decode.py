# SPDX-License-Identifier: Apache-2.0
"""Statements to instructions: operands, ranges, labels and the bytes between them, once per program."""

from __future__ import annotations

import re
from pathlib import Path

from .assembler import Lines, evaluate, statements
from .isa import AssemblyError, Instruction, Operation, Program, register, resource

_IGNORED = {
    ".text",
    ".align",
    ".global",
    ".weak",
    ".type",
    ".size",
    ".file",
    ".literal_position",
    ".ident",
    ".section",
}


def assemble(
    text: str,
    operations: dict[str, Operation],
    name: str = "assembly",
    relax: bool = False,
    folder: Path | None = None,
) -> Program:
    """Decode ``text`` for a machine that has ``operations``. Raises ``AssemblyError`` naming the line.

    ``folder``: where headers that it includes lie. ``relax``: branches may reach any distance, as a compiler
    expects of the assembler, which then adds a jump.
    """
    return _Decoder(statements(text, name, folder), operations, name, relax).program()


class _Decoder:
    def __init__(self, lines: Lines, operations: dict[str, Operation], name: str, relax: bool) -> None:
        self.name, self.relax = name, relax
        self.labels: dict[str, int] = {}
        self.numeric: list[tuple[str, int]] = []  # 1: may be defined again and again
        self.code: list[tuple[int, str, Operation]] = []
        self.addresses = [0]
        for line, text in lines:
            word = text.split()[0]
            if text.endswith(":"):
                self._label(line, text[:-1])
            elif word not in _IGNORED:
                if word not in operations:
                    raise self.error(line, f"unknown instruction '{word}'")
                self.code.append((line, text, operations[word]))
                self.addresses.append(self.addresses[-1] + operations[word].size)

    def error(self, line: int, what: str) -> AssemblyError:
        return AssemblyError(f"{self.name}:{line}: {what}.")

    def _label(self, line: int, label: str) -> None:
        if label.isdigit():
            self.numeric.append((label, len(self.code)))
        elif label in self.labels:
            raise self.error(line, f"label '{label}' is defined twice")
        else:
            self.labels[label] = len(self.code)

    def program(self) -> Program:
        return Program(self.name, tuple(self._instruction(i) for i in range(len(self.code))), self.labels)

    def _instruction(self, at: int) -> Instruction:
        line, text, op = self.code[at]
        given = [part.strip() for part in text[len(op.name) :].split(",")] if " " in text else []
        if len(given) != len(op.operands):
            raise self.error(line, f"'{text}': {op.name} takes {len(op.operands)} operands")
        values = tuple(self._operand(at, token, part) for token, part in zip(op.operands, given, strict=True))
        return Instruction(
            line,
            text,
            op.name,
            op.execute,
            values,
            tuple((resource(op, values, r), stage) for r, stage in op.uses),
            tuple((resource(op, values, r), stage) for r, stage in op.defines),
        )

    def _operand(self, at: int, token: str, part: str) -> int:
        line, text, op = self.code[at]
        bounds = re.fullmatch(r"[\[<](-?\d+)\.\.(-?\d+)(?:/(\d+))?[\]>]", token)
        if not bounds:
            number = register(token, part)
            if number is None:
                raise self.error(line, f"'{text}': '{part}' is no register of this kind")
            return number
        low, high, step = int(bounds[1]), int(bounds[2]), int(bounds[3] or 1)
        if token[0] == "<":
            target = self._target(at, part)
            value = low if self.relax else self.addresses[target] - self.addresses[at] - op.size
        else:
            value = target = evaluate(part, lambda what: self.error(line, f"'{text}': {what}"))
        if not low <= value <= high or value % step:
            raise self.error(line, f"'{text}': {value} is not in {low}..{high} in steps of {step}")
        return target

    def _target(self, at: int, part: str) -> int:
        line, text, _ = self.code[at]
        if re.fullmatch(r"\d+[fb]", part):
            places = [place for label, place in self.numeric if label == part[:-1]]
            found = (
                [p for p in places if p > at][:1] if part[-1] == "f" else [p for p in places if p <= at][-1:]
            )
        else:
            found = [self.labels[part]] if part in self.labels else []
        if not found:
            raise self.error(line, f"'{text}': there is no label '{part}'")
        return found[0]
