# SPDX-License-Identifier: Apache-2.0
"""Draw the pictures of this folder: simple things on white, as emoji are. Our own work.

Example: python examples/pictures/draw.py        (needs pillow)
"""

from pathlib import Path

from PIL import Image, ImageDraw

SIDE, FINE = 128, 8  # drawn eight times as large and scaled down, so that edges are smooth
RED, CREAM, BROWN, VIOLET, LINE = "#ea5a47", "#ffe5c0", "#a57939", "#8967aa", "black"


class Canvas:
    """Shapes in a square of SIDE x SIDE, with black outlines."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (SIDE * FINE, SIDE * FINE), "white")
        self.pen = ImageDraw.Draw(self.image)

    def box(self, *corners: int, fill: str, round: int = 0) -> None:
        self.pen.rounded_rectangle(self._fine(corners), round * FINE, fill, LINE, 4 * FINE)

    def dome(self, *corners: int, fill: str) -> None:
        self.pen.pieslice(self._fine(corners), 180, 360, fill, LINE, 4 * FINE)

    def spot(self, x: int, y: int, r: int, fill: str) -> None:
        self.pen.ellipse(self._fine((x - r, y - r, x + r, y + r)), fill)

    def line(self, *points: int) -> None:
        self.pen.line(self._fine(points), LINE, 4 * FINE, joint="curve")

    def triangle(self, *points: int, fill: str) -> None:
        self.pen.polygon(self._fine(points), fill)
        self.line(*points, *points[:2])

    def hook(self, *corners: int) -> None:
        self.pen.arc(self._fine(corners), 0, 180, LINE, 4 * FINE)

    def save(self, name: str) -> None:
        path = Path(__file__).with_name(f"{name}.png")
        self.image.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(path, optimize=True)

    @staticmethod
    def _fine(values: tuple[int, ...]) -> list[int]:
        return [v * FINE for v in values]


def mushroom() -> None:
    c = Canvas()
    c.box(46, 60, 82, 112, fill=CREAM, round=14)
    c.dome(14, 14, 114, 118, fill=RED)
    for x, y, r in ((44, 44, 8), (70, 34, 9), (92, 52, 7)):
        c.spot(x, y, r, "white")
    c.save("mushroom")


def house() -> None:
    c = Canvas()
    c.box(30, 58, 98, 110, fill=CREAM)
    c.triangle(64, 18, 16, 62, 112, 62, fill=RED)
    c.box(54, 78, 74, 110, fill=BROWN)
    c.save("house")


def umbrella() -> None:
    c = Canvas()
    c.line(64, 20, 64, 100)
    c.hook(44, 90, 64, 112)
    c.dome(14, 18, 114, 118, fill=VIOLET)
    c.save("umbrella")


if __name__ == "__main__":
    mushroom()
    house()
    umbrella()
