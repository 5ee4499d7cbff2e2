# SPDX-License-Identifier: Apache-2.0
"""Draw overview.svg: what goes into a model, what comes out, on which board. Our own work.

The two answers in it are what the shipped models say: the script asks them.
Example: python docs/images/overview.py        (in the folder of the repository)
"""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import bitmar_tiny as bt

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(__file__).with_name("overview.svg")
PICTURE = ROOT / "examples" / "pictures" / "mushroom.png"
TOLD = ("The key is in the drawer.", "The pen is on the shelf.", "The key is in the car.")
ASKED = "The key is"
BOARDS = (
    "your Linux PC (measured)",
    "Raspberry Pi Zero 2 W (emulated)",
    "Cortex-M7, Cortex-M55 (emulated)",
    "ESP32-S3 (not yet run on a chip)",
)
INK, SOFT, BOARD, CHIP, GOLD = "#1f2933", "#66727f", "#1c7c54", "#20262d", "#e3b23c"


def answers() -> tuple[str, str]:
    """What ``demo`` writes under the picture, and what ``recall`` says after it was told ``TOLD``."""
    recall = bt.load("recall")
    with tempfile.TemporaryDirectory() as folder:
        memory = bt.memory_store(Path(folder) / "memory.store", recall)
        for fact in TOLD:
            bt.generate(recall, fact, memory=memory, remember=True)
        answer = bt.generate(recall, ASKED, memory=memory)
    return bt.caption(bt.load("demo"), PICTURE), ASKED + answer


def text(x: int, y: int, words: str, size: int = 17, fill: str = INK, style: str = "") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}"{style}>{escape(words)}</text>'


def bubble(x: int, y: int, width: int, words: str, fill: str) -> str:
    """A rounded box with words in it."""
    box = f'<rect x="{x}" y="{y}" width="{width}" height="36" rx="10" fill="{fill}"/>'
    return box + text(x + 14, y + 24, words)


def arrow(x: int, y: int, length: int) -> str:
    end = x + length
    line = f'<path d="M{x} {y}H{end - 10}" stroke="{SOFT}" stroke-width="3" fill="none"/>'
    return line + f'<path d="M{end} {y}l-12 -7v14z" fill="{SOFT}"/>'


def board(x: int, y: int) -> str:
    """A circuit board with its pins, a chip, a USB socket, and the card that keeps the memory."""
    middle = ' text-anchor="middle"'
    pins = "".join(f'<circle cx="{x + 24 + 16 * i}" cy="{y + 16}" r="4" fill="{GOLD}"/>' for i in range(15))
    return "".join(
        (
            f'<rect x="{x}" y="{y}" width="270" height="170" rx="14" fill="{BOARD}"/>{pins}',
            f'<rect x="{x + 20}" y="{y + 40}" width="138" height="92" rx="6" fill="{CHIP}"/>',
            text(x + 89, y + 76, "C99, ternary", 16, "white", middle),
            text(x + 89, y + 98, "72 kB to 9 MB", 16, "white", middle),
            text(x + 89, y + 118, "no malloc", 13, "#b8c4ce", middle),
            f'<path d="M{x + 180} {y + 52}h44l18 18v62h-62z" fill="#2f3e9e"/>',
            text(x + 211, y + 98, "memory", 14, "white", middle),
            text(x + 211, y + 116, "SD card", 12, "#ccd3f5", middle),
            f'<rect x="{x + 112}" y="{y + 148}" width="46" height="26" rx="4" fill="#b8c4ce"/>',
        )
    )


def drawing(caption: str, answer: str) -> str:
    """The whole picture as SVG."""
    data = base64.b64encode(PICTURE.read_bytes()).decode()
    title = f"A mushroom goes in, '{caption}' comes out; told {len(TOLD)} facts, it says '{answer}'"
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 400" role="img" '
        'font-family="Helvetica, Arial, sans-serif">',
        f"<title>{escape(title)}</title>",
        '<rect width="960" height="400" rx="16" fill="white"/>',
        text(30, 40, "You show it a picture,", 16, SOFT),
        f'<image x="30" y="52" width="92" height="92" href="data:image/png;base64,{data}"/>',
        arrow(140, 124, 190),
        text(30, 186, "or tell it facts, one after the other", 16, SOFT),
        *(bubble(30, 198 + 42 * i, 246, fact, "#e8f1fb") for i, fact in enumerate(TOLD)),
        text(30, 346, "... the power goes off and on ...", 14, SOFT, ' font-style="italic"'),
        bubble(30, 356, 246, f"{ASKED} ...", "#fdf0d5"),
        arrow(290, 216, 40),
        board(345, 88),
        arrow(630, 124, 50),
        arrow(630, 216, 50),
        text(695, 92, "It names what it sees", 16, SOFT),
        bubble(695, 106, 235, caption, "#e3f5e9"),
        text(695, 184, "It remembers", 16, SOFT),
        bubble(695, 198, 235, answer, "#e3f5e9"),
        text(695, 272, "Both answers are what the", 14, SOFT),
        text(695, 292, "two included models say.", 14, SOFT),
        *(text(345, 292 + 25 * i, name, 16) for i, name in enumerate(BOARDS)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    OUT.write_text(drawing(*answers()))
