# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny boards"""

from __future__ import annotations

import click
from rich.markup import escape

from ..api.board import board_names, board_speeds, estimate_errors, load_board, neighbours
from ..report.boards import boards_text, errors_table, neighbours_table, speeds_table, speeds_text
from ..report.words import paragraph
from .app import print_json, results
from .common import json_option, model_or_preset


@click.command()
@click.argument("name", required=False)
@click.option("--speed", metavar="MODEL", help="How fast a model, or a preset, would be on each board.")
@json_option
def command(name: str | None, speed: str | None, as_json: bool) -> None:
    """List the board profiles, or show one.

    \b
    Example: bitmar-tiny boards rpi-zero2
             bitmar-tiny boards --speed demo
    """
    boards = [load_board(n) for n in ([name] if name else board_names())]
    if speed is not None:
        found = board_speeds(model_or_preset(speed), boards)
        if as_json:
            said = {"boards": [s.as_dict() for s in found], "neighbours": neighbours(found)}
            print_json(said | {"estimate_errors": estimate_errors()})
            return
        if any(s.short for s in found):
            results.print(speeds_table(found))
        if said := speeds_text(found):
            results.print(escape(said))
        results.print(neighbours_table(neighbours(found)))
        results.print(errors_table(estimate_errors()))
        return
    if as_json:
        print_json([b.model_dump() for b in boards])
        return
    results.print(escape(boards_text(boards)))
    if name and boards[0].notes:
        results.print(escape(paragraph(boards[0].notes, 4)))
