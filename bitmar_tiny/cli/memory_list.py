# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny memory list"""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table
from rich.text import Text

from ..api.things import taught_things
from .app import notes, print_json, results
from .common import progress_bars
from .things import Place, place_options


@click.command()
@place_options
def command(place: Place, as_json: bool) -> None:
    """List what a model was taught, the latest first: which slot holds it, and how many episodes ago it was.

    \b
    Example: bitmar-tiny memory list --store things.store
    """
    with progress_bars() as bar:
        known = taught_things(place.model, progress=bar("Reciting"), **place.where)
    if as_json:
        print_json(place.as_dict() | {"things": [asdict(thing) for thing in known]})
        return
    if not known:
        notes.print("Nothing was taught yet.")
        return
    table = Table("slot", "thing", "taught, episodes ago")
    for thing in known:
        table.add_row(str(thing.slot), Text(thing.name), str(thing.episodes_ago))
    results.print(table)
