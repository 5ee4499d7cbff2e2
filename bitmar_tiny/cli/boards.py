# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny boards"""

from __future__ import annotations

import click
from rich.table import Table

from bitmar_tiny.codegen.boards import board_files, load_board
from bitmar_tiny.codegen.plan import human

from .app import print_json, results
from .common import json_option


@click.command()
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the board profiles, or show one.

    \b
    Example: bitmar-tiny boards rpi-zero2
    """
    boards = [load_board(n) for n in ([name] if name else board_files())]
    if as_json:
        print_json([b.model_dump() for b in boards])
        return
    table = Table("board", "title", "kernels", "memory", "compilers")
    for b in boards:
        regions = "\n".join(f"{r.name}: {human(r.size)} ({', '.join(r.holds)})" for r in b.regions)
        table.add_row(b.name, b.title, ", ".join(b.kernels), regions, ", ".join(b.compilers))
    results.print(table)
    if name and boards[0].notes:
        results.print(boards[0].notes)
