# SPDX-License-Identifier: Apache-2.0
"""Things to show that need no package: coloured shapes, each in some views."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from bitmar_tiny.data.backbone_record import FILE, KEY, BackboneRecord
from bitmar_tiny.data.pixels import picture_vectors
from bitmar_tiny.data.things.table import Things, pairs_of, split_things

COLOURS = ("red", "lime", "blue", "orange", "black", "cyan")
SIDE = 16


def shape(kind: int, colour: str, view: int, side: int = SIDE) -> Image.Image:
    """A square, a disc, a cross or a frame, a little elsewhere in every view."""
    picture = Image.new("RGB", (side, side), "white")
    draw, a, b = ImageDraw.Draw(picture), 2 + view % 3, side - 4 + view % 3
    if kind == 0:
        draw.rectangle((a, a, b, b), fill=colour)
    elif kind == 1:
        draw.ellipse((a, a, b, b), fill=colour)
    elif kind == 2:
        draw.rectangle((a, side // 2 - 2, b, side // 2 + 1), fill=colour)
        draw.rectangle((side // 2 - 2, a, side // 2 + 1, b), fill=colour)
    else:
        draw.rectangle((a, a, b, b), outline=colour, width=2)
    return picture


def shapes(views: int = 3, colours: int = 6) -> Things:
    """4 kinds in some colours: 4 * colours things."""
    all_things = [(kind, colour) for kind in range(4) for colour in COLOURS[:colours]]
    pictures = [
        picture_vectors(np.asarray(shape(kind, colour, view)), 1)
        for kind, colour in all_things
        for view in range(views)
    ]
    names = [f"{colour} {kind}" for kind, colour in all_things]
    return Things(
        "shapes",
        np.stack(pictures),
        np.repeat(np.arange(len(names)), views),
        np.tile(np.arange(views), len(names)),
        names,
        [f"view {i}" for i in range(views)],
        split_things(names),
        np.zeros(len(names), np.int64),
        {"another view": pairs_of(views, lambda a, c: a != c)},
        "another view",
        ["another view"],
    )


def save_features(
    folder: Path, things: int = 20, views: int = 3, vectors: int = 1, backbone: BackboneRecord | None = None
) -> Path:
    """What ``bitmar-tiny features`` writes of a folder of things: each with a direction of its own. Without a
    backbone nothing says what made them.
    """
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    of = np.repeat(rng.normal(size=(things, vectors, 768)), views, 0)
    features = of + 0.3 * rng.normal(size=of.shape)
    np.save(folder / "features.npy", features.astype(np.float16))
    names = [f"thing {i}" for i in range(things) for _ in range(views)]
    (folder / "captions.json").write_text(json.dumps(names))
    if backbone:
        (folder / FILE).write_text(json.dumps({KEY: backbone.model_dump(mode="json")}))
    return folder


def save_shapes(folder: Path, things: int = 8, views: int = 2) -> Path:
    """A folder for each thing with its views in it."""
    for i in range(things):
        where = folder / f"thing_{i}"
        where.mkdir(parents=True)
        for view in range(views):
            shape(i % 4, COLOURS[i // 4], view).save(where / f"{view}.png")
    return folder
