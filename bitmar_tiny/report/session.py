# SPDX-License-Identifier: Apache-2.0
"""A picture of one session of "show once" (SVG): what was shown, which slots were written, what the question
read and what was said.
"""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BitmarError
from ..files import atomic_file

WIDTH, MARGIN, CELL, BAR = 900, 20, 30, 70
INK, SOFT, LINE, GOLD, GREEN, RED = "#1f2933", "#66727f", "#c3cad1", "#e3b23c", "#1c7c54", "#b3392f"
#: Shares of a read from which a weight is written beside its bar.
TOLD = 0.01


def session_svg(session: Any) -> str:
    """The session (``evaluate.one_session.OneSession``) as one SVG file, readable on light and dark pages."""
    shown = session.shown
    step = (WIDTH - 2 * MARGIN) / max(len(shown), 4)
    tile = min(96.0, step - 12)
    slots = max([session.fixed, *(s.slot for s in shown)]) + 2  # and an empty one
    wide = min(CELL, (WIDTH - 2 * MARGIN) / slots)
    left = (WIDTH - slots * wide) / 2
    cells = MARGIN + 30 + tile + 40 + 60  # top of the slots
    body = [_text(MARGIN, MARGIN + 10, "Shown once, one after the other", SOFT)]
    for i, episode in enumerate(shown):
        middle, top = MARGIN + (i + 0.5) * step, MARGIN + 30
        body.append(_picture(episode.picture, middle - tile / 2, top, tile))
        body.append(_text(middle, top + tile + 18, episode.text, INK, "middle", 13 if step > 110 else 10))
        into = left + (episode.slot + 0.5) * wide
        body.append(_line(middle, top + tile + 26, into, cells - 3, LINE))
    body.append(_text(MARGIN, cells - 14, "slots (green: learned, white: empty)", SOFT))
    for slot in range(slots):
        used = slot < session.fixed or any(e.slot == slot for e in shown)
        body.append(_cell(left + slot * wide, cells, wide, str(slot), used, slot < session.fixed))
    body += _weights(session, left, wide, cells + CELL + 6)
    return _whole(body + _question(session, cells + CELL + BAR + 46), cells + CELL + BAR + 190, session)


def _weights(session: Any, left: float, wide: float, top: float) -> list[str]:
    """A bar below each slot that was read, as long as its share."""
    body = [_text(MARGIN, top + 14, "share of the read", SOFT)]
    for slot, share in session.weights.items():
        x, long = left + slot * wide, share * BAR
        body.append(
            f'<rect x="{x + 4:.1f}" y="{top:.1f}" width="{wide - 8:.1f}" height="{long:.1f}" fill="{GOLD}">'
            f"<title>slot {slot}: {share:.1%}</title></rect>"
        )
        if share >= TOLD:
            body.append(_text(x + wide / 2, top + long + 13, f"{100 * share:.0f}%", INK, "middle", 11))
    return body


def _question(session: Any, top: float) -> list[str]:
    """The question's picture, and what was said."""
    right, size = session.said == session.right, 96.0
    x = MARGIN + 120
    said = f"This is{session.said}"
    body = [_text(MARGIN, top + 14, "Asked later", SOFT), _picture(session.asked, x, top, size)]
    body.append(_text(x + size + 24, top + 40, said, GREEN if right else RED, size=20))
    if not right:
        body.append(_text(x + size + 24, top + 64, f"(it is{session.right.rstrip('.')})", SOFT))
    return body


def _whole(body: list[str], height: float, session: Any) -> str:
    credits = [
        _text(MARGIN, height + 14 * i, words, SOFT, size=10)
        for i, words in enumerate(["Pictures:", *session.credits])
    ]
    height += 14 * (len(credits) + 1)
    names = ", ".join(episode.text for episode in session.shown)
    title = f"A session: {names} Asked: This is{session.said}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'font-family="sans-serif" role="img"><title>{_xml(title)}</title>'
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>{"".join(body + credits)}</svg>\n'
    )


def write_session(session: Any, path: Path) -> None:
    """Draw it into a file."""
    with atomic_file(path, BitmarError, make_folder=False) as f:
        f.write(session_svg(session).encode())


def _cell(x: float, y: float, wide: float, label: str, used: bool, learned: bool) -> str:
    fill = GREEN if learned else INK if used else "white"
    what = "learned in training" if learned else "written" if used else "empty"
    return (
        f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{wide - 2:.1f}" height="{CELL}" fill="{fill}" '
        f'stroke="{INK}"><title>slot {label}: {what}</title></rect>'
        + _text(x + wide / 2, y + CELL / 2 + 4, label, "white" if used else SOFT, "middle", 11)
    )


def _picture(pixels: np.ndarray, x: float, y: float, size: float) -> str:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode()
    return (
        f'<image x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}" fill="none" stroke="{LINE}"/>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    bend = (y1 + y2) / 2
    return (
        f'<path d="M{x1:.1f} {y1:.1f}C{x1:.1f} {bend:.1f} {x2:.1f} {bend:.1f} {x2:.1f} {y2:.1f}" '
        f'fill="none" stroke="{colour}" stroke-width="2"/>'
    )


def _text(x: float, y: float, text: str, colour: str = INK, anchor: str = "start", size: int = 13) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" text-anchor="{anchor}">'
        f"{_xml(text)}</text>"
    )


def _xml(text: str) -> str:
    """What a model writes may hold characters that XML has none for."""
    return escape("".join(c if c.isprintable() else "\ufffd" for c in text))
