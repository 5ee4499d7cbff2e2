# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny boards"""

from __future__ import annotations

import click
from rich.markup import escape

from ..api.board import board_names, load_board
from ..report.plan import boards_text
from ..report.words import paragraph
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
    boards = [load_board(n) for n in ([name] if name else board_names())]
    if as_json:
        print_json([b.model_dump() for b in boards])
        return
    results.print(escape(boards_text(boards)))
    if name and boards[0].notes:
        results.print(escape(paragraph(boards[0].notes, 4)))
