# SPDX-License-Identifier: Apache-2.0
"""What the commands print: never cut off, on a narrow terminal or in a pipe."""

from __future__ import annotations

from typing import Any

from rich.console import Console, ConsoleDimensions
from rich.table import Table

#: Of a pipe: a line is as long as it is.
ENDLESS = 10_000


class Screen(Console):
    """A terminal, or a file or pipe, whose lines have no end.

    Text is not broken into lines, so that a command in it can be copied. A cell of a table that is too narrow
    for a word goes on in the next line.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(highlight=False, **settings)

    @property
    def size(self) -> ConsoleDimensions:
        found = super().size
        return found if self.is_terminal else ConsoleDimensions(ENDLESS, found.height)

    def print(self, *objects: Any, soft_wrap: bool | None = None, **settings: Any) -> None:
        for table in (o for o in objects if isinstance(o, Table)):
            for column in table.columns:
                column.overflow = "fold"
        if soft_wrap is None:
            soft_wrap = all(isinstance(o, str) for o in objects)
        super().print(*objects, soft_wrap=soft_wrap, **settings)

    def on_broken_pipe(self) -> None:
        """Rich ends the program with status 1, which is "a difference was found"."""
        raise BrokenPipeError
