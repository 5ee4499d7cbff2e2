# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny forget"""

from __future__ import annotations

from dataclasses import asdict

import click

from ..api.things import forget_thing
from .app import print_json
from .common import progress_bars
from .things import Place, place_options


@click.command()
@click.argument("name")
@place_options
def command(name: str, place: Place, as_json: bool) -> None:
    """Forget the thing that was taught by this NAME: its slots are emptied, all others stay.

    \b
    Example: bitmar-tiny forget "my cup"
    """
    with progress_bars() as bar:
        found = forget_thing(place.model, name, progress=bar("Reciting"), **place.where)
    if as_json:
        print_json(place.as_dict() | {"forgot": [asdict(thing) for thing in found]})
        return
    slots = ", ".join(str(thing.slot) for thing in found)
    click.echo(f"Forgot: {found[0].name} (slot{'s' * (len(found) > 1)} {slots}).")
