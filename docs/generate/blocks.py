# SPDX-License-Identifier: Apache-2.0
"""Pieces of Markdown."""

from __future__ import annotations

import inspect
import re
import textwrap

NOTE = "<!-- Written by docs/generate from {source}. Change that, not this page. -->\n\n"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_cell(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def code(text: str, language: str = "") -> str:
    return f"```{language}\n{textwrap.dedent(text).strip()}\n```\n\n"


def prose(doc: str) -> str:
    """A docstring as Markdown: names in code, examples in blocks of their own."""
    text = ""
    for part in inspect.cleandoc(doc).split("\n\n"):
        text += code(part, "python") if part.startswith((">>>", "    ")) else names_in_code(part) + "\n\n"
    return text.replace("```\n\n```python\n", "\n")


def names_in_code(text: str) -> str:
    return re.sub(r"(?::\w+:)?``?(~?[^`]+?)``?(?!`)", r"`\1`", text)
