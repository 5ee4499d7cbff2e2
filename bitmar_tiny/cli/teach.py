# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny teach"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ..api.things import Taught, teach_thing
from .app import notes, print_json
from .things import Place, image_options, place_options


@click.command()
@click.argument("name")
@image_options(
    "The thing: a picture (PNG, JPEG, PPM, SVG), .npy features, or - for a picture on standard input."
)
@place_options
def command(name: str, image: Path | bytes, backbone: Path | None, place: Place, as_json: bool) -> None:
    """Show a thing once, by its NAME. From then on 'bitmar-tiny ask' knows it.

    One episode is written into the memory. A name that the model could not say again is refused before.

    \b
    Examples: bitmar-tiny teach "my cup" --image cup.png
              bitmar-tiny teach dax --image - --store things.store < dax.ppm
              bitmar-tiny teach "my cup" --image cup.png --on /dev/ttyUSB0
              bitmar-tiny teach "my cup" --image cup.jpg --model photos.bitmar --backbone vit_s_focus.onnx
    """
    made = place.store is not None and not place.store.exists()
    done = teach_thing(place.model, name, image, backbone=backbone, **place.where)
    if as_json:
        shown = asdict(done.thing), done.replaced and asdict(done.replaced)
        print_json(
            place.as_dict()
            | {"taught": shown[0], "replaced": shown[1], "alike": done.alike, "known": done.known}
        )
        return
    if made:
        notes.print(f"Made {place.store}, with the memory that the model was trained to.", markup=False)
    click.echo(_said(done))


def _said(done: Taught) -> str:
    thing, before = done.thing, done.replaced
    things = "1 thing is" if done.known == 1 else f"{done.known} things are"
    said = f"Taught: {thing.name} (slot {thing.slot}, {things} known now)."
    if before is None:
        return said
    ago = f"{before.name}, taught {episodes(before.episodes_ago + 1)} ago"
    if not done.alike:
        return f"{said} The memory was full: it forgot {ago}."
    if before.name == thing.name:
        return f"{said} It was known by this name."
    return f"{said} It takes the place of {ago}: the pictures are alike."


def episodes(count: int) -> str:
    return "1 episode" if count == 1 else f"{count} episodes"
