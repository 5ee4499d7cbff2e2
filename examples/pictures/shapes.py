# SPDX-License-Identifier: Apache-2.0
"""Draw 200 pictures to train on: five shapes in four colours, ten of each, a folder for each name. Our own.

Example: python examples/pictures/shapes.py pictures        (needs pillow)
"""

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {"red": "#ea5a47", "blue": "#61b2e4", "green": "#5c9e31", "yellow": "#fcea2b"}
#: Corners on a square of side 2 around the middle; None: round.
SHAPES = {
    "circle": None,
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "triangle": ((0, -1), (1, 1), (-1, 1)),
    "cross": tuple(
        (x / 3, y / 3)
        for x, y in ((-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1))
        + ((1, 3), (-1, 3), (-1, 1), (-3, 1), (-3, -1), (-1, -1))
    ),
    "arrow": ((-1, -0.4), (0, -0.4), (0, -1), (1, 0), (0, 1), (0, 0.4), (-1, 0.4)),
}
SIDE, EACH = 128, 10


def draw(shape: str, colour: str, chance: random.Random) -> Image.Image:
    """One picture; where the shape stands and how large it is, is left to chance."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    x, y = (SIDE / 2 + chance.uniform(-12, 12) for _ in range(2))
    size, pen = chance.uniform(28, 46), ImageDraw.Draw(image)
    corners = SHAPES[shape]
    if corners is None:
        pen.ellipse((x - size, y - size, x + size, y + size), COLOURS[colour], "black", 4)
    else:
        points = [(x + size * a, y + size * b) for a, b in corners]
        pen.polygon(points, COLOURS[colour])
        pen.line([*points, *points[:2]], "black", 4, joint="curve")
    return image


def main(folder: Path) -> None:
    chance = random.Random(0)
    for shape in SHAPES:
        for colour in COLOURS:
            place = folder / f"{colour} {shape}"
            place.mkdir(parents=True, exist_ok=True)
            for number in range(EACH):
                draw(shape, colour, chance).save(place / f"{number}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
