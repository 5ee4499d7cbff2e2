# SPDX-License-Identifier: Apache-2.0
"""A profile as tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.markup import escape
from rich.table import Table

from ..profile.energy import Energy
from ..profile.prediction import Prediction, Row
from ..profile.recording import Recording
from ..profile.summary import UNACCOUNTED, Kind, Spread, main_kind, summarize


def size(n: float) -> str:
    """Bytes in words, with 10^3 and 10^6 as the rest of the reports have them."""
    return f"{n / 1e6:,.2f} MB" if n >= 1e6 else f"{n / 1e3:,.1f} kB" if n >= 1e3 else f"{n:,.0f} B"


def time(us: float) -> str:
    """Microseconds in words."""
    for unit, scale in (("s", 1e6), ("ms", 1e3), ("us", 1.0)):
        if us >= scale:
            return f"{figures(us / scale)} {unit}"
    return f"{us * 1e3:,.0f} ns" if us else "0"


def figures(value: float) -> str:
    """A number below a thousand with three figures, a larger one whole."""
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def cycles_in_words(recording: Recording) -> Callable[[float], str]:
    """Cycles as time, or as cycles for an emulator."""
    return (lambda n: time(n * _scale(recording))) if recording.timed else (lambda n: f"{n:,.0f}")


def _scale(recording: Recording) -> float:
    return 1e6 / recording.clock_hz if recording.timed else 1.0


def title(recording: Recording) -> str:
    """Which model, board and kernels, and what the figures are worth."""
    i = recording.identity
    what = "measured" if recording.timed else "simulated: cycles of an emulator, no claim about time"
    return f"{i['model']} ({i['model_sha256'][:12]}) on {i['board']}, {i['kernels']} kernels [{what}]"


def profile_tables(recording: Recording, prediction: Prediction, energy: Energy | None) -> list[Table]:
    """Steps, parts, sections, the plan beside them, energy."""
    kinds = summarize(recording)
    tables = [_steps(recording, kinds)]
    for kind in kinds.values():
        tables.append(_spreads(recording, kind, "part", kind.parts | {UNACCOUNTED: kind.unaccounted}))
    kind = main_kind(kinds)
    tables += [
        _spreads(recording, kind, "section", kind.sections | {UNACCOUNTED: kind.unaccounted}),
        _cells(recording, kind),
    ]
    tables += [_prediction(prediction), _traffic(prediction), _store(recording), _energy(energy)]
    return [t for t in tables if t.row_count]


def _steps(recording: Recording, kinds: dict[str, Kind]) -> Table:
    table, words = (
        Table(
            "steps", "n", "tokens/s", "min", "median", "p95", "unaccounted", title=escape(title(recording))
        ),
        cycles_in_words(recording),
    )
    for name, kind in kinds.items():
        rate = f"{kind.tokens_per_s:,.1f}" if kind.tokens_per_s else ""
        table.add_row(
            name,
            f"{kind.steps:,}",
            rate,
            *(words(v) for v in (kind.total.min, kind.total.median, kind.total.p95)),
            f"{kind.unaccounted.share:.1%}",
        )
    return table


def _spreads(recording: Recording, kind: Kind, what: str, spreads: dict[str, Spread]) -> Table:
    table, words = (
        Table(f"{kind.name}: {what}", "share", "min", "median", "p95", "mean"),
        cycles_in_words(recording),
    )
    for name, s in spreads.items():
        if s.max:
            table.add_row(name, f"{s.share:.1%}", *(words(v) for v in (s.min, s.median, s.p95, s.mean)))
    return table


def _cells(recording: Recording, kind: Kind) -> Table:
    """Means by section and part; their quantiles are in the files."""
    parts = [p for p, s in kind.parts.items() if s.max]
    table, scale = (
        Table(f"{kind.name}: mean {'us' if recording.timed else 'cycles'}", *parts),
        _scale(recording),
    )
    for section, spread in kind.sections.items():
        found = [kind.cells.get((section, p)) for p in parts]
        if spread.max:
            table.add_row(section, *("" if s is None else figures(s.mean * scale) for s in found))
    return table


def cell(row: Row, value: float | None) -> str:
    """A figure of a prediction, with its unit."""
    if value is None or row.unit == "MB/s":
        return "" if value is None else f"{value:,.1f} MB/s"
    return time(value) if row.unit == "us" else size(value)


def _prediction(prediction: Prediction) -> Table:
    window = f", {prediction.context} tokens in the window" if prediction.context else ""
    table = Table("", f"predicted \\[estimated{window}]", "found", "found / predicted")
    for r in prediction.rows:
        table.add_row(
            escape(r.what),
            cell(r, r.predicted),
            cell(r, r.found),
            "" if r.ratio is None else f"{r.ratio:.2f}",
        )
    return table


def _traffic(prediction: Prediction) -> Table:
    table = Table("region", "a token reads \\[estimated]", "implied rate")
    for t in prediction.traffic:
        table.add_row(escape(t.region), size(t.bytes), f"{t.mb_s:,.1f} MB/s" if t.mb_s else "")
    return table


def _store(recording: Recording) -> Table:
    table = Table("store of the memory", "times", "bytes", "stalls")
    if recording.store:
        s, words = recording.store, cycles_in_words(recording)
        share = s["stall_cycles"] / (int(recording.totals.sum()) or 1)
        table.add_row(
            "reads",
            f"{s['reads']:,}",
            size(s["bytes"]),
            f"{words(s['stall_cycles'])} ({share:.1%} of all steps)",
        )
        table.add_row("writes", f"{s['writes']:,}", size(s["written_bytes"]), "")
    return table


def _energy(energy: Energy | None) -> Table:
    table = Table("energy", f"\\[{energy.label}]" if energy else "")
    if energy is None:
        return table
    table.add_row("per token", f"{energy.mj_per_token:.3g} mJ")
    if energy.mj_above_idle is not None:
        table.add_row("  above idle", f"{energy.mj_above_idle:.3g} mJ (idle {energy.idle_w:.3g} W)")
    table.add_row("average power", f"{energy.average_w:.3g} W")
    if energy.peak_w is not None:
        table.add_row("peak power", f"{energy.peak_w:.3g} W")
        table.add_row("steps ran", f"{energy.busy:.0%} of {energy.seconds:.3g} s marked")
    table.add_row("from", escape(energy.source))
    return table
