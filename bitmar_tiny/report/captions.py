# SPDX-License-Identifier: Apache-2.0
"""A contact sheet: held-out pictures with what the model said and what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data.corpus import CaptionSet
from ..data.pixels import PATCH, patches_to_pixels, picture_side
from ..files import atomic_file

COLUMNS, PICTURE, LINE, MARGIN = 4, 96, 15, 12
RIGHT, WRONG, INK = (20, 120, 60), (170, 40, 40), (90, 90, 90)


@dataclass(frozen=True)
class Caption:
    """What a program wrote for picture ``index`` of a caption set."""

    index: int
    truth: str
    text: str


def contact_sheet(captions: Sequence[Caption], source: CaptionSet, path: Path) -> None:
    """Write a PNG of the pictures (raw pixel patches) with captions; green is right, red is not."""
    cell_w, cell_h = 240, PICTURE + 2 * LINE + 2 * MARGIN
    rows = -(-len(captions) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell_w, rows * cell_h), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for n, c in enumerate(captions):
        x, y = n % COLUMNS * cell_w + MARGIN, n // COLUMNS * cell_h + MARGIN
        side = picture_side(source.n_vectors)[0]
        patches = np.asarray(source.features[source.rows[c.index]])[: (side // PATCH) ** 2]
        sheet.paste(Image.fromarray(patches_to_pixels(patches, side)).resize((PICTURE, PICTURE)), (x, y))
        draw.text(
            (x, y + PICTURE + 2), _fit(c.text, 36), font=font, fill=RIGHT if c.text == c.truth else WRONG
        )
        if c.text != c.truth:
            draw.text((x, y + PICTURE + 2 + LINE), _fit(c.truth, 36), font=font, fill=INK)
    data = BytesIO()
    sheet.save(data, "PNG")
    with atomic_file(path) as f:
        f.write(data.getvalue())


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
