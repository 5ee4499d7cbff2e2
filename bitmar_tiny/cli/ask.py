# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny ask"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from ..api.things import ask_thing
from .app import notes, print_json
from .things import Place, image_options, place_options


@click.command()
@image_options("What to look at: a picture (PNG, JPEG, PPM, SVG), .npy features, or - for standard input.")
@place_options
def command(image: Path | bytes, backbone: Path | None, place: Place, as_json: bool) -> None:
    """Say what is on a picture, of all that 'bitmar-tiny teach' showed, and which slots of the memory
    answered. Of a thing that was never shown it should be "I don't know.". Nothing is written.

    \b
    Examples: bitmar-tiny ask --image cup2.png
              bitmar-tiny ask --image - --json < cup2.ppm
    """
    seen = ask_thing(place.model, image, backbone=backbone, **place.where)
    if as_json:
        print_json(place.as_dict() | asdict(seen))
        return
    click.echo(seen.text)
    table = Table("slot", "share of the read", "what it recites")
    for slot in seen.slots:
        recited = slot.name + " (learned)" * slot.learned
        table.add_row(str(slot.slot), f"{slot.share:.1%}", Text(recited))
    notes.print(table)
    notes.print(
        f"Learned slots have {seen.learned_share:.1%} of the read in all. The more, the less the picture is "
        "like anything that was taught."
    )
