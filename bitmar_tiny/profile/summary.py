# SPDX-License-Identifier: Apache-2.0
"""Statistics of a recording: how the cycles of a section or part spread over the steps, and which share of
them it has.

Quantiles interpolate linearly between order statistics. Medians of parts do not add up to the median of the
step, and a part that runs in few steps (a read of the memory) has a median of 0; means and shares add up,
unaccounted cycles included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .recording import KINDS, Recording

QUANTILE = 0.95
UNACCOUNTED = "unaccounted"


@dataclass(frozen=True)
class Spread:
    """Cycles per step; ``share`` of the cycles of all steps of the kind."""

    min: float
    median: float
    p95: float
    mean: float
    max: float
    share: float

    def as_dict(self, clock_hz: int | None) -> dict[str, float | None]:
        """JSON-ready. Without a clock the microseconds are not known."""
        cycles = {k: getattr(self, k) for k in ("min", "median", "p95", "mean", "max")}
        return {
            "share": self.share,
            "cycles": cycles,
            "us": {k: v / clock_hz * 1e6 for k, v in cycles.items()} if clock_hz else None,
        }


@dataclass(frozen=True)
class Kind:
    """The steps of one kind. ``cells``: section x part, those that any step spent cycles in."""

    name: str
    steps: int
    total: Spread
    unaccounted: Spread
    sections: dict[str, Spread]
    parts: dict[str, Spread]
    cells: dict[tuple[str, str], Spread]
    tokens_per_s: float | None

    def as_dict(self, clock_hz: int | None) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "tokens_per_s": self.tokens_per_s,
            "step": self.total.as_dict(clock_hz),
            "unaccounted": self.unaccounted.as_dict(clock_hz),
            "sections": {k: v.as_dict(clock_hz) for k, v in self.sections.items()},
            "parts": {k: v.as_dict(clock_hz) for k, v in self.parts.items()},
            "section_parts": [
                {"section": s, "part": p} | v.as_dict(clock_hz) for (s, p), v in self.cells.items()
            ],
        }


def summarize(recording: Recording) -> dict[str, Kind]:
    """Statistics by kind of step, those kinds that there are."""
    return {kind: _kind(recording, kind) for kind in KINDS if kind in recording.kinds}


def summary_dict(recording: Recording) -> dict[str, Any]:
    """JSON-ready statistics. Microseconds and tokens/s are null for an emulator."""
    clock = recording.clock_hz if recording.timed else None
    return {
        "label": recording.label,
        **{name: kind.as_dict(clock) for name, kind in summarize(recording).items()},
    }


def main_kind(kinds: dict[str, Kind]) -> Kind:
    """What a report shows first: decoding where there is any."""
    return kinds.get("decode") or kinds["prefill"]


def _kind(recording: Recording, kind: str) -> Kind:
    rows = recording.steps_of(kind)
    totals, cycles = recording.totals[rows].astype(np.float64), recording.cycles[rows].astype(np.float64)
    whole = totals.sum()
    seconds = whole / recording.clock_hz
    sections, parts = cycles.sum(axis=2), cycles.sum(axis=1)
    cells = {
        (s, p): _spread(cycles[:, i, j], whole)
        for i, s in enumerate(recording.sections)
        for j, p in enumerate(recording.parts)
        if cycles[:, i, j].any()
    }
    return Kind(
        kind,
        len(rows),
        _spread(totals, whole),
        _spread(recording.unaccounted[rows].astype(np.float64), whole),
        {s: _spread(sections[:, i], whole) for i, s in enumerate(recording.sections)},
        {p: _spread(parts[:, j], whole) for j, p in enumerate(recording.parts)},
        cells,
        len(rows) / seconds if recording.timed and seconds else None,
    )


def _spread(values: np.ndarray, whole: float) -> Spread:
    median, p95 = np.quantile(values, (0.5, QUANTILE))
    return Spread(
        float(values.min()),
        float(median),
        float(p95),
        float(values.mean()),
        float(values.max()),
        float(values.sum() / whole) if whole else 0.0,
    )
