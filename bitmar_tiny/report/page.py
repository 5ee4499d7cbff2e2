# SPDX-License-Identifier: Apache-2.0
"""A profile as one HTML file for people: no script, nothing from the network, light or dark as the reader's
screen is.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from ..profile.energy import Energy
from ..profile.prediction import Prediction
from ..profile.recording import KINDS, Recording
from ..profile.summary import UNACCOUNTED, Kind, Spread, main_kind, summarize
from . import plots
from .plots import Segment
from .tables import cell, cycles_in_words, size, time, title

STRETCHES = 200  # of a run whose steps are too many to draw
COLOURS = 8  # .c0 to .c7; .rest is what no part claims
STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfb; --ink: #22262b; --soft: #6a727c; --line: #dfe2e6;
  --card: #f3f4f1;
  --c0: #9aa3ad; --c1: #2f6fb5; --c2: #d9822b; --c3: #2f9e75; --c4: #8656b8; --c5: #c94f5f; --c6: #b59a1f;
  --c7: #3d9fb0; --rest: #c9cdd2; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e4e7ea; --soft: #98a1ab;
  --line: #30363d; --card: #1d2126;
  --c0: #7c8590; --c1: #5b9bdf; --c2: #eba053; --c3: #4fc296; --c4: #ad84dc; --c5: #e67a88; --c6: #d3bb4c;
  --c7: #62c0d0; --rest: #4a5058; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 960px; padding: 32px 20px 64px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0 0 2px; } h2 { font-size: 18px; margin: 40px 0 6px; }
p { margin: 4px 0 12px; color: var(--soft); }
.badge { font-size: 13px; padding: 2px 9px; border-radius: 10px; background: var(--c3);
  color: var(--paper); vertical-align: 3px; }
.badge.simulated { background: var(--c2); }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 18px 0; }
.tile { flex: 1 1 150px; background: var(--card); border-radius: 8px; padding: 10px 14px; }
.tile b { display: block; font-size: 21px; font-weight: 600; }
.tile span { color: var(--soft); font-size: 13px; }
svg { width: 100%; height: auto; display: block; margin: 8px 0; }
text { font: 13px system-ui, sans-serif; fill: var(--ink); }
.c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .c2 { fill: var(--c2); } .c3 { fill: var(--c3); }
.c4 { fill: var(--c4); }
.c5 { fill: var(--c5); } .c6 { fill: var(--c6); } .c7 { fill: var(--c7); } .rest { fill: var(--rest); }
.grid, .thin { stroke: var(--line); } .thin { stroke-width: 2; }
.mark { stroke: var(--ink); stroke-dasharray: 5 4; }
g .mark { stroke-dasharray: none; stroke-width: 2; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 13px; }
.legend svg { width: 12px; height: 12px; display: inline; margin: 0 5px 0 0; vertical-align: -1px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; }
td, th { padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); }
td + td, th + th { text-align: right; }
details { margin: 12px 0; } summary { cursor: pointer; } .scroll { overflow-x: auto; }
"""


def to_html(recording: Recording, prediction: Prediction, energy: Energy | None) -> str:
    """The whole page."""
    kinds = summarize(recording)
    kind = main_kind(kinds)
    body = [
        _head(recording),
        _tiles(recording, kinds, energy),
        _parts(recording, kind),
        _sections(recording, kind),
        _steps(recording, kinds),
        _prediction(prediction),
        _memory(recording, prediction),
        _energy(energy),
        _figures(recording, kinds),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1">'
        f"<title>{escape(title(recording))}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _head(recording: Recording) -> str:
    i = recording.identity
    rest = " · ".join(
        f"{escape(k.replace('_', ' '))} {escape(str(v))}"
        for k, v in i.items()
        if k not in ("model", "board", "kernels", "head_kb_s") and v
    )
    note = (
        ""
        if recording.timed
        else "<p>Cycles of an emulator: shares are worth a look, nothing here is a claim about time.</p>"
    )
    return (
        f"<h1>{escape(i['model'])} on {escape(i['board'])}, {escape(i['kernels'])} kernels "
        f'<span class="badge {recording.label}">{recording.label}</span></h1><p>{rest} · clock '
        f"{recording.clock_hz / 1e6:,.6g} MHz</p>{note}"
    )


def _tiles(recording: Recording, kinds: dict[str, Kind], energy: Energy | None) -> str:
    tiles = [(f"{k.tokens_per_s:,.1f}", f"tokens/s, {name}") for name, k in kinds.items() if k.tokens_per_s]
    words, kind = cycles_in_words(recording), main_kind(kinds)
    tiles.append(
        (words(kind.total.median), f"{'' if recording.timed else 'cycles, '}one {kind.name} step, median")
    )
    tiles.append((words(kind.total.p95), "95% of them take less"))
    if energy:
        tiles.append((f"{energy.mj_per_token:.3g} mJ", f"a token [{energy.label}]"))
    if recording.stack_peak is not None:
        tiles.append((size(recording.stack_peak), "stack at most"))
    tiles.append((size(sum(recording.arenas.values())), "arenas"))
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{escape(b)}</b><span>{escape(s)}</span></div>' for b, s in tiles)
        + "</div>"
    )


def _css(recording: Recording, part: str) -> str:
    return f"c{recording.parts.index(part) % COLOURS}" if part in recording.parts else "rest"


def _parts(recording: Recording, kind: Kind) -> str:
    spreads = {p: s for p, s in (kind.parts | {UNACCOUNTED: kind.unaccounted}).items() if s.max}
    words, order = cycles_in_words(recording), sorted(spreads, key=lambda p: -spreads[p].mean)
    shares = [
        (
            p,
            [Segment(p, spreads[p].mean, _css(recording, p))],
            f"{spreads[p].share:.1%} · {words(spreads[p].mean)}",
        )
        for p in order
    ]
    spans = [(p, _four(spreads[p]), _css(recording, p)) for p in order]
    return (
        f"<h2>What took the time</h2><p>Mean of a {kind.name} step by kind of work; together they are the "
        "whole step.</p>"
        + plots.bars(shares, words)
        + "<p>Spread over the steps: bar from the least to the 95% quantile, line to the most, mark and "
        "figure at the median.</p>" + plots.ranges(spans, words)
    )


def _four(s: Spread) -> tuple[float, float, float, float]:
    return s.min, s.median, s.p95, s.max


def _sections(recording: Recording, kind: Kind) -> str:
    words, rows = cycles_in_words(recording), []
    for section, spread in kind.sections.items():
        segments = [
            Segment(p, kind.cells[section, p].mean, _css(recording, p))
            for p in recording.parts
            if (section, p) in kind.cells
        ]
        if spread.max:
            rows.append((section, segments, f"{words(spread.mean)} · {spread.share:.0%}"))
    if kind.unaccounted.max:
        rows.append(
            (UNACCOUNTED, [Segment(UNACCOUNTED, kind.unaccounted.mean, "rest")], words(kind.unaccounted.mean))
        )
    legend = "".join(
        f'<span><svg viewBox="0 0 12 12"><rect class="{_css(recording, p)}" width="12" height="12" '
        f'rx="2"/></svg>{escape(p)}</span>'
        for p, s in kind.parts.items()
        if s.max
    )
    return (
        f"<h2>Where it was spent</h2><p>Mean of a {kind.name} step, section by section in the order of the "
        "model.</p>"
        f'<div class="legend">{legend}</div>' + plots.bars(rows, words)
    )


def _steps(recording: Recording, kinds: dict[str, Kind]) -> str:
    words, colour = time if recording.timed else cycles_in_words(recording), {"prefill": "c2", "decode": "c1"}
    scale = 1e6 / recording.clock_hz if recording.timed else 1.0  # so that the marks of the axis are round
    totals, names = recording.totals * scale, recording.kinds
    points = [
        (i, totals[i], colour[names[i]], f"step {i}, {names[i]}: {words(totals[i])}")
        for i in _shown(recording)
    ]
    lines = [(f"{name} median", k.total.median * scale) for name, k in kinds.items()] + [
        ("p95", main_kind(kinds).total.p95 * scale)
    ]
    which = ", ".join(
        f'<span><svg viewBox="0 0 12 12"><circle class="{colour[n]}" cx="6" cy="6" r="5"/></svg>{n}, '
        f"{k.steps:,} steps</span>"
        for n, k in kinds.items()
    )
    thinned = (
        ""
        if len(points) == len(names)
        else f"<p>{len(points):,} of {len(names):,} steps: the least, the middle, the largest of each "
        "stretch.</p>"
    )
    return f'<h2>Step by step</h2><div class="legend">{which}</div>{thinned}' + plots.steps(
        points, lines, words
    )


def _shown(recording: Recording) -> list[int]:
    """Steps to draw: all, or of each of ``STRETCHES`` of a long run and each kind the least, the middle and
    the largest.
    """
    count, shown = len(recording.kinds), set()
    if count <= 3 * STRETCHES:
        return list(range(count))
    for rows in (recording.steps_of(kind) for kind in KINDS):
        for stretch in np.array_split(rows, STRETCHES):
            order = stretch[np.argsort(recording.totals[stretch])]
            shown |= {int(order[i]) for i in (0, len(order) // 2, -1)} if len(order) else set()
    return sorted(shown)


def _prediction(prediction: Prediction) -> str:
    rows = [r for r in prediction.rows if r.ratio]
    if not rows:
        return ""
    window = f" with {prediction.context} tokens in the window" if prediction.context else ""
    bars = [
        (
            r.what.strip(),
            r.ratio,
            "c2" if r.ratio > 1 else "c3",
            f"{cell(r, r.found)}, predicted {cell(r, r.predicted)}",
        )
        for r in rows
    ]
    return (
        f"<h2>Predicted and found</h2><p>What the plan said before anything was built (estimated{window}), "
        "and this run: "
        "to the right is more than predicted.</p>" + plots.ratios(bars)
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [
        "<tr>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in row) + "</tr>"
        for tag, group in (("th", [head]), ("td", rows))
        for row in group
    ]
    return '<div class="scroll"><table>' + "".join(lines) + "</table></div>"


def _memory(recording: Recording, prediction: Prediction) -> str:
    space = [r for r in prediction.rows if r.what.startswith(("arena", "stack"))]
    rows = [(r.what, cell(r, r.predicted), cell(r, r.found)) for r in space]
    text = "<h2>Memory</h2>" + _table(("", "planned", "found"), rows) if rows else ""
    if prediction.traffic:
        text += (
            "<p>Bytes that a token reads by region (estimated by the plan), and the rate that follows from "
            "the time of a token.</p>"
        )
        text += plots.bars(
            [
                (
                    t.region,
                    [Segment("reads", t.bytes, "c1")],
                    size(t.bytes) + (f" · {t.mb_s:,.0f} MB/s" if t.mb_s else ""),
                )
                for t in prediction.traffic
            ],
            size,
        )
    if recording.store:
        s, words = recording.store, cycles_in_words(recording)
        text += _table(
            ("store of the memory", "times", "bytes", "stalled"),
            [
                ("reads", f"{s['reads']:,}", size(s["bytes"]), words(s["stall_cycles"])),
                ("writes", f"{s['writes']:,}", size(s["written_bytes"]), ""),
            ],
        )
    return text


def _energy(energy: Energy | None) -> str:
    if energy is None:
        return ""
    rows = [("per token", f"{energy.mj_per_token:.3g} mJ"), ("average power", f"{energy.average_w:.3g} W")]
    if energy.mj_above_idle is not None:
        rows.insert(
            1, ("per token, above idle", f"{energy.mj_above_idle:.3g} mJ (idle {energy.idle_w:.3g} W)")
        )
    if energy.peak_w is not None:
        rows += [
            ("peak power", f"{energy.peak_w:.3g} W"),
            ("steps ran", f"{energy.busy:.0%} of the {energy.seconds:.3g} s that were marked"),
        ]
    return f"<h2>Energy</h2><p>{energy.label.capitalize()}: {escape(energy.source)}.</p>" + _table(
        ("", ""), rows
    )


def _figures(recording: Recording, kinds: dict[str, Kind]) -> str:
    words, text = cycles_in_words(recording), ["<h2>All figures</h2>"]
    for name, kind in kinds.items():
        named = [
            ("step", kind.total),
            *((f"part {p}", s) for p, s in kind.parts.items()),
            *((f"section {n}", s) for n, s in kind.sections.items()),
            *((f"{n}, {p}", s) for (n, p), s in kind.cells.items()),
            (UNACCOUNTED, kind.unaccounted),
        ]
        rows = [
            (what, f"{s.share:.1%}", *(words(v) for v in (s.min, s.median, s.p95, s.mean, s.max)))
            for what, s in named
            if s.max
        ]
        text.append(
            f"<details><summary>{name}, {kind.steps:,} steps</summary>"
            + _table(("", "share", "min", "median", "p95", "mean", "max"), rows)
            + "</details>"
        )
    return "".join(text)
