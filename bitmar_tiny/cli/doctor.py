# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny doctor"""

from __future__ import annotations

import click
from rich.markup import escape
from rich.table import Table

from ..api.doctor import examine
from .app import print_json, results
from .common import json_option


@click.command()
@json_option
def command(as_json: bool) -> None:
    """What this machine has: compilers, emulators, packages, ports; what is missing and how to get it.

    \b
    Example: bitmar-tiny doctor
    """
    rows = examine()
    if as_json:
        print_json(rows)
        return
    table = Table("", "what", "for", "fix")
    for row in rows:
        mark = "[green]ok[/]" if row["state"] == "ok" else "[red]missing[/]"
        table.add_row(mark, row["what"], row["for"], escape(row["fix"]))
    results.print(table)
