# SPDX-License-Identifier: Apache-2.0
"""Draw the pictures of this folder: simple things on white, as emoji are; in `another` by another hand,
without outlines and in other colours. Our own work.

Example: python examples/pictures/draw.py        (needs pillow)
"""

from pathlib import Path

from PIL import Image, ImageDraw

SIDE, FINE = 128, 8  # drawn eight times as large and scaled down, so that edges are smooth
RED, CREAM, BROWN, VIOLET, LINE = "#ea5a47", "#ffe5c0", "#a57939", "#8967aa", "black"


class Canvas:
    """Shapes in a square of SIDE x SIDE, with outlines of ``width`` pixels."""

    def __init__(self, width: int = 4) -> None:
        self.width, self.edge = width * FINE, LINE if width else None
        self.image = Image.new("RGB", (SIDE * FINE, SIDE * FINE), "white")
        self.pen = ImageDraw.Draw(self.image)

    def box(self, *corners: int, fill: str, round: int = 0) -> None:
        self.pen.rounded_rectangle(self._fine(corners), round * FINE, fill, self.edge, self.width)

    def dome(self, *corners: int, fill: str) -> None:
        self.pen.pieslice(self._fine(corners), 180, 360, fill, self.edge, self.width)

    def spot(self, x: int, y: int, r: int, fill: str) -> None:
        self.pen.ellipse(self._fine((x - r, y - r, x + r, y + r)), fill)

    def line(self, *points: int, fill: str = LINE, width: int = 4) -> None:
        self.pen.line(self._fine(points), fill, width * FINE, joint="curve")

    def triangle(self, *points: int, fill: str) -> None:
        self.pen.polygon(self._fine(points), fill)
        if self.edge:
            self.line(*points, *points[:2])

    def hook(self, *corners: int, fill: str = LINE, width: int = 4) -> None:
        self.pen.arc(self._fine(corners), 0, 180, fill, width * FINE)

    def save(self, name: str) -> None:
        path = Path(__file__).parent / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
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


def another_mushroom() -> None:
    c = Canvas(0)
    c.box(50, 62, 76, 116, fill="#e8d3b0", round=10)
    c.dome(8, 22, 118, 110, fill="#c8322b")
    for x, y, r in ((34, 50, 6), (58, 36, 7), (80, 50, 9), (98, 58, 5)):
        c.spot(x, y, r, "#f5ece0")
    c.save("another/mushroom")


def another_house() -> None:
    c = Canvas(0)
    c.box(22, 56, 106, 114, fill="#f2e3c6")
    c.triangle(64, 26, 8, 60, 120, 60, fill="#b5443a")
    c.box(34, 74, 54, 92, fill="#9fc4dd")
    c.box(70, 76, 92, 114, fill="#7d5a34")
    c.save("another/house")


def another_umbrella() -> None:
    c = Canvas(0)
    c.line(62, 14, 62, 104, fill="#5b5b66", width=5)
    c.hook(42, 92, 65, 116, fill="#5b5b66", width=5)
    c.dome(6, 22, 118, 112, fill="#6d4fb3")
    c.save("another/umbrella")


if __name__ == "__main__":
    another_mushroom()
    another_house()
    another_umbrella()
    mushroom()
    house()
    umbrella()
