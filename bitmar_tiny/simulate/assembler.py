# SPDX-License-Identifier: Apache-2.0
"""Read the assembly that ships: comments, macros, conditions and labels become plain statements.

It knows what the kernels use of GNU as and no more; anything else is an error naming the line. The tests
compare its expansion with that of GNU as.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from pathlib import Path

from .isa import AssemblyError

Lines = list[tuple[int, str]]

_ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.USub: operator.neg}
_COMPARE = {ast.Gt: operator.gt, ast.Lt: operator.lt, ast.Eq: operator.eq}


def statements(text: str, name: str = "assembly", folder: Path | None = None) -> Lines:
    """(line, statement) after comments, macros and conditions; a label is its own statement, ``name:``.

    ``folder``: where headers that ``text`` includes lie; what a macro of one becomes has its line numbers.
    """
    return _Expander(name).run(_lines(text, folder))


def _lines(text: str, folder: Path | None) -> Lines:
    """(line, text) without comments and empty lines, headers in their places."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    lines: Lines = []
    for number, line in enumerate(text.split("\n"), 1):
        header = re.match(r'#include "(.+)"', line)
        if header and folder:
            lines += _lines((folder / header[1]).read_text(), folder)
        line = re.sub(r"(//|#).*", "", line)
        if line.strip():
            lines.append((number, " ".join(line.split())))
    return lines


def evaluate(text: str, error: Callable[[str], Exception]) -> int:
    """A constant expression of + - * and comparisons."""

    def walk(node) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return _ARITHMETIC[type(node.op)](walk(node.left), walk(node.right))
        if isinstance(node, ast.UnaryOp) and type(node.op) in _ARITHMETIC:
            return _ARITHMETIC[type(node.op)](walk(node.operand))
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
            return int(_COMPARE[type(node.ops[0])](walk(node.left), walk(node.comparators[0])))
        raise error(f"'{text}' is no constant")

    try:
        return walk(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        raise error(f"'{text}' is no constant") from None


class _Expander:
    """Macros and conditions, as GNU as does them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.macros: dict[str, tuple[list[str], Lines]] = {}

    def error(self, line: int, what: str) -> AssemblyError:
        return AssemblyError(f"{self.name}:{line}: {what}.")

    def run(self, lines: Lines) -> Lines:
        out: Lines = []
        conditions: list[bool] = []
        i = 0
        while i < len(lines):
            number, line = lines[i]
            label = re.match(r"([\w.$]+):\s*(.*)", line)
            if label and all(conditions):
                out.append((number, label[1] + ":"))
            word, _, rest = (label[2] if label else line).partition(" ")
            if word in (".if", ".ifc", ".else", ".endif"):
                self._condition(conditions, number, word, rest)
            elif word == ".macro":
                i = self._define(lines, i, rest)
            elif word in self.macros and all(conditions):
                out += self.run(self._expand(number, word, rest))
            elif word and all(conditions):
                out.append((number, f"{word} {rest}".strip()))
            i += 1
        if conditions:
            raise self.error(lines[-1][0], ".endif is missing")
        return out

    def _condition(self, conditions: list[bool], number: int, word: str, rest: str) -> None:
        if word == ".ifc":
            left, _, right = rest.partition(",")
            conditions.append(left.strip() == right.strip())
        elif word == ".if":
            conditions.append(bool(evaluate(rest, lambda what: self.error(number, what))))
        elif not conditions:
            raise self.error(number, f"{word} without .if")
        elif word == ".else":
            conditions[-1] = not conditions[-1]
        else:
            conditions.pop()

    def _define(self, lines: Lines, i: int, rest: str) -> int:
        name, _, parameters = rest.partition(" ")
        end = next((j for j in range(i, len(lines)) if lines[j][1] == ".endm"), None)
        if end is None:
            raise self.error(lines[i][0], ".endm is missing")
        self.macros[name] = ([p.strip() for p in parameters.split(",") if p.strip()], lines[i + 1 : end])
        return end

    def _expand(self, number: int, word: str, rest: str) -> Lines:
        parameters, body = self.macros[word]
        values = [v.strip() for v in rest.split(",")] if rest else []
        if len(values) != len(parameters) or any(" " in v for v in values):  # as takes a space for a comma
            raise self.error(number, f"{word} takes {len(parameters)} arguments without spaces in them")
        given = dict(zip(parameters, values, strict=True))
        return [
            (line, re.sub(r"\\(\w+)(\\\(\))?", lambda m: given.get(m[1], m[0]), text)) for line, text in body
        ]
