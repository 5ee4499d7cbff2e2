# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny compare"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from ..api.profile import TOLERANCE, Comparison, compare_profiles
from ..report.tables import figures
from .app import notes, print_json, results
from .common import Real, json_option

path = click.Path(path_type=Path)


@click.command()
@click.argument("before", type=path)
@click.argument("after", type=path)
@click.option(
    "--tolerance",
    type=Real(0, 100),
    default=100 * TOLERANCE,
    show_default=True,
    metavar="PERCENT",
    help="Medians that differ by less, or by less than 1% of a step, are not called changed; 0: all that is "
    "sure is.",
)
@json_option
def command(before: Path, after: Path, tolerance: float, as_json: bool) -> None:
    """Say what changed between two profiles of one model, and leave out what is noise.

    Exit code 1 if something changed, 0 if not.

    \b
    Example: bitmar-tiny profile model.bitmar --json > a.json
             bitmar-tiny compare a.json b.json
    """
    found = compare_profiles(before, after, tolerance / 100)
    if as_json:
        print_json(found.as_dict())
    else:
        show(found)
    if found.changed:
        sys.exit(1)


def show(found: Comparison) -> None:
    """What differs besides, then the medians, then sizes."""
    for key, (a, b) in found.identities.items():
        notes.print(f"Different {key.replace('_', ' ')}: {escape(str(a))} and {escape(str(b))}.")
    for note in found.notes:
        notes.print(note)
    table = Table(
        "steps", "median", "before", "after", "change", "its interval", "", title=f"Medians, {found.unit}"
    )
    for c in found.changes:
        share, interval = (
            ("", "") if not c.a else (f"{c.relative:+.1%}", f"{c.low / c.a:+.1%} to {c.high / c.a:+.1%}")
        )
        mark = "" if not c.changed else "[red]more[/]" if c.difference > 0 else "[green]less[/]"
        table.add_row(c.kind, c.what, figures(c.a), figures(c.b), share, interval, mark)
    if found.changes:
        results.print(table)
    for what, (a, b) in found.space.items():
        results.print(f"{what}: {a if a is None else f'{a:,}'} before, {b if b is None else f'{b:,}'} after")
    results.print(
        f"{sum(c.changed for c in found.changes) + len(found.space)} changed."
        if found.changed
        else "Nothing changed."
    )
