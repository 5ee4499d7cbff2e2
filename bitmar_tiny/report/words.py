# SPDX-License-Identifier: Apache-2.0
"""Text and tables that any terminal has room for."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

COLUMNS = 80


def paragraph(text: str, indent: int = 0, hang: int = 0) -> str:
    """``text`` in lines of at most 80 columns, broken between words alone. ``hang``: how much further all
    lines but the first are indented.
    """
    first = indent * " "
    lines = wrap(
        text,
        COLUMNS,
        initial_indent=first,
        subsequent_indent=first + hang * " ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def listed(words: Iterable[str]) -> str:
    """Words as a sentence lists them: a, b and c."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def narrow(table: Table) -> Table:
    """A table of at most 80 columns, in a pipe, too: its cells have several lines where they must."""
    console = Console(width=100 * COLUMNS)
    if Measurement.get(console, console.options, table).maximum > COLUMNS:
        table.width = COLUMNS
    return table
