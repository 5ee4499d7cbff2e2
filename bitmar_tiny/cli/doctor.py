# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny doctor"""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.markup import escape

from ..api.doctor import abilities, examine
from ..report.words import listed, paragraph
from .app import print_json, results
from .common import json_option


@click.command()
@json_option
def command(as_json: bool) -> None:
    """What you can do on this machine; which compilers, emulators, packages and ports are missing, and how to
    get them.

    \b
    Example: bitmar-tiny doctor
    """
    rows = examine()
    if as_json:
        print_json(rows)
        return
    results.print(escape(paragraph(f"You can: {', '.join(abilities())}.")))
    lines = list(_missing(rows))
    results.print("\n[bold]Missing, and how to get it[/]" if lines else "\nNothing is missing.")
    for line in lines:
        results.print(line)


def _missing(rows: list[dict[str, str]]) -> Iterator[str]:
    """What one command brings, and below it that command, in a line of its own to be copied."""
    for fix in dict.fromkeys(row["fix"] for row in rows if row["fix"]):
        found = [row for row in rows if row["fix"] == fix]
        what = dict.fromkeys(row["what"].split(": ")[-1] for row in found)
        why = dict.fromkeys(row["for"] for row in found)
        yield escape(paragraph(f"{listed(what)}: {_joined(list(why))}", 2, 2))
        yield f"      [bold]{escape(fix)}[/]"


def _joined(why: list[str]) -> str:
    """Purposes that begin alike, said once: building for a, building for b -> building for a and b."""
    groups: dict[str, list[str]] = {}
    for purpose in why:
        verb, of, name = purpose.partition(" for ")
        groups.setdefault(verb + of, []).extend([name] if of else [])
    return ", ".join(start + (listed(names) if names else "") for start, names in groups.items())
