# SPDX-License-Identifier: Apache-2.0
"""Plots of a profile as inline SVG. Colours are CSS classes (page.py), so that one file is readable on light
and dark screens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABEL, ROW, RIGHT = 900, 190, 26, 170
Words = Callable[[float], str]


@dataclass(frozen=True)
class Segment:
    """A piece of a bar. ``css``: class of its colour."""

    name: str
    value: float
    css: str


def bars(rows: Sequence[tuple[str, Sequence[Segment], str]], words: Words, most: float | None = None) -> str:
    """Horizontal bars, label at the left, text at the right; the segments of a bar stand one after the other.

    ``most``: value of a full bar (default: the longest).
    """
    most = most or max((sum(s.value for s in segments) for _, segments, _ in rows), default=0) or 1
    body, room = [], WIDTH - LABEL - RIGHT
    for i, (label, segments, right) in enumerate(rows):
        x, y = float(LABEL), i * ROW
        body.append(_text(LABEL - 10, y + 17, label, "end"))
        for s in segments:
            width = s.value / most * room
            body.append(
                f'<rect class="{s.css}" x="{x:.2f}" y="{y + 3}" width="{width:.2f}" height="{ROW - 7}">'
                f"<title>{escape(f'{label}: {s.name} {words(s.value)}')}</title></rect>"
            )
            x += width
        body.append(_text(x + 8, y + 17, right))
    return _svg(len(rows) * ROW, "".join(body))


def ranges(rows: Sequence[tuple[str, tuple[float, float, float, float], str]], words: Words) -> str:
    """Min to max as a line, min to p95 as a bar, the median as a mark; rows are (label, (min, median, p95,
    max), class).
    """
    most, room, body = max((r[1][3] for r in rows), default=0) or 1, WIDTH - LABEL - RIGHT, []
    for i, (label, (least, median, p95, largest), css) in enumerate(rows):
        a, m, b, c = (LABEL + v / most * room for v in (least, median, p95, largest))
        y = i * ROW + ROW / 2
        spread = f"{words(least)} to {words(largest)}, median {words(median)}, 95% below {words(p95)}"
        body.append(
            f"<g><title>{escape(f'{label}: {spread}')}</title>"
            f'<line class="thin" x1="{a:.2f}" x2="{c:.2f}" y1="{y}" y2="{y}"/>'
            f'<rect class="{css}" x="{a:.2f}" y="{y - 6}" width="{max(b - a, 2):.2f}" height="12" rx="3"/>'
            f'<line class="mark" x1="{m:.2f}" x2="{m:.2f}" y1="{y - 9}" y2="{y + 9}"/></g>'
        )
        body += [_text(LABEL - 10, y + 5, label, "end"), _text(c + 8, y + 5, words(median))]
    return _svg(len(rows) * ROW, "".join(body))


def ratios(rows: Sequence[tuple[str, float, str, str]], doublings: int = 3) -> str:
    """Bars to the left (less) and right (more) of 1, on a logarithmic scale that ends at 2^doublings; (label,
    ratio > 0, class, text).
    """
    right = RIGHT + 110  # for both figures
    half, height, body = (WIDTH - LABEL - right) / 2, len(rows) * ROW + 20, []

    def place(ratio):
        return LABEL + half * (1 + max(-1.0, min(1.0, math.log2(ratio) / doublings)))

    for power in range(-doublings, doublings + 1):
        at = 2.0**power
        x = place(at)
        body.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 18}"/>'
            + _text(x, height - 4, f"{at:g}x", "middle")
        )
    for i, (label, ratio, css, text) in enumerate(rows):
        x, middle, y = place(ratio), place(1), i * ROW
        body.append(_text(LABEL - 10, y + 17, label, "end") + _text(WIDTH - right + 12, y + 17, text))
        body.append(
            f'<rect class="{css}" x="{min(x, middle):.2f}" y="{y + 3}" '
            f'width="{max(abs(x - middle), 2):.2f}" height="{ROW - 7}">'
            f"<title>{escape(f'{label}: {ratio:.2f} times the prediction')}</title></rect>"
        )
    return _svg(height, "".join(body))


def steps(
    points: Sequence[tuple[int, float, str, str]],
    lines: Sequence[tuple[str, float]],
    words: Words,
    height: int = 260,
) -> str:
    """A dot for each step, (step, value, class, title), and horizontal lines (label, value), from zero on."""
    last, most = max(p[0] for p in points) or 1, max(p[1] for p in points) * 1.05 or 1
    left, right, bottom = 90, WIDTH - 130, height - 30

    def place(step, value):
        return (left + step / last * (right - left), bottom - value / most * (bottom - 12))

    body = []
    for tick in ticks(most):
        y = place(0, tick)[1]
        body.append(
            f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            + _text(left - 8, y + 4, words(tick), "end")
        )
    for tick in ticks(last, whole=True):
        body.append(_text(place(tick, 0)[0], height - 8, f"{tick:,.0f}", "middle"))
    body.append(_text(right + 8, height - 8, "step"))
    for step, value, css, title in points:
        x, y = place(step, value)
        body.append(
            f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(title)}</title></circle>'
        )
    taken: list[float] = []
    for label, value in lines:
        y = place(0, value)[1]
        while any(abs(y - t) < 14 for t in taken):  # labels of lines that lie close together go up
            y -= 14
        taken.append(y)
        at = place(0, value)[1]
        body.append(
            f'<line class="mark" x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
            + _text(right + 8, y + 4, label)
        )
    return _svg(height, "".join(body))


def ticks(most: float, count: int = 5, whole: bool = False) -> list[float]:
    """Round values from 0 to ``most``, about ``count`` of them."""
    rough = most / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough)
    step = max(step, 1.0) if whole else step
    return [i * step for i in range(int(most / step) + 1)]


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, body: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{body}</svg>'
