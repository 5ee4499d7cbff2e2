# SPDX-License-Identifier: Apache-2.0
"""Two profiles of one model: which medians differ by more than the spread of the steps explains.

Runs that took the same steps are compared step by step, by the median of the differences, so that a growing
window does not blur them; others by the difference of the medians. The interval is a bootstrap's standard
error under Student's t. Blocks of neighbouring steps are drawn, not single ones, because neighbours are alike
where a clock drifts. All intervals of a comparison hold together (Bonferroni): of a hundred comparisons of
equal runs about five at most show a change anywhere. One run of each cannot show what differs between runs
(placement in memory, temperature): ``tolerance``, ``MATTERS`` and ``LEAST_MS`` are for that.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from ..errors import DataError
from .prediction import memory_tier
from .recording import KINDS, STORE, Recording
from .summary import UNACCOUNTED

RESAMPLES, LEAST_STEPS, CONFIDENCE = 1000, 9, 0.95
TOLERANCE = 0.02
MATTERS = 0.01  # of a step: a smaller difference is shown, and not called a change
LEAST_MS = 10.0  # that the steps of a kind took together: what disturbs a computer lasts some milliseconds
CLOCKS = 1e-3  # clocks are alike: some are measured at the start, not known
STEP = "step"
#: Everything that may differ between runs of one model, and should be said.
IDENTITIES = ("board", "kernels", "head_bits", "build_id", "compiler", "port")


@dataclass(frozen=True)
class Change:
    """One median in both profiles, in ``unit``, over the steps in which it is not 0. ``difference`` lies in
    ``low`` to ``high``. ``changed``: that leaves out 0, and the difference is larger than the tolerance and
    matters to the step.
    """

    kind: str
    what: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    changed: bool

    @property
    def relative(self) -> float | None:
        return self.difference / self.a if self.a else None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"relative": self.relative}


@dataclass(frozen=True)
class Comparison:
    """``unit``: us, or cycles where a profile is of an emulator. ``space``: counts that differ, with both
    values; they have no noise.
    """

    unit: str
    identities: dict[str, tuple[Any, Any]]
    changes: list[Change]
    space: dict[str, tuple[Any, Any]]
    notes: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.space) or any(c.changed for c in self.changes)

    def as_dict(self) -> dict[str, Any]:
        return {
            "schema": "bitmar-tiny/comparison",
            "schema_version": 1,
            "changed": self.changed,
            "unit": self.unit,
            "confidence": CONFIDENCE,
            "identities": self.identities,
            "changes": [c.as_dict() for c in self.changes],
            "space": self.space,
            "notes": self.notes,
        }


def compare(a: Recording, b: Recording, tolerance: float = TOLERANCE) -> Comparison:
    """``tolerance``: relative difference of a median that is not worth a word; with 0 every sure one is
    called a change.

    ``DataError`` for profiles of different models.
    """
    if a.identity["model_sha256"] != b.identity["model_sha256"]:
        names = [f"{r.identity['model']} ({r.identity['model_sha256'][:12]})" for r in (a, b)]
        raise DataError(
            f"These are profiles of two models, {names[0]} and {names[1]}.", "Profile the same model twice."
        )
    timed, paired = a.timed and b.timed, a.kinds == b.kinds
    kinds = [k for k in KINDS if not _too_short(a, k) and not _too_short(b, k)]
    series = [(k, *one) for k in kinds for one in _series(a, b, k, timed, paired)]
    series = [(k, what, x, y) for k, what, x, y in series if min(len(x), len(y)) >= LEAST_STEPS]
    steps = {k: float(np.median(x)) for k, what, x, _ in series if what == STEP}
    tail, changes = (1 - CONFIDENCE) / 2 / max(len(series), 1), []
    rng = np.random.default_rng(0)  # the same answer for the same files
    for kind, what, x, y in series:
        difference, width = _paired(y - x, tail, rng) if paired else _apart(x, y, tail, rng)
        before, after, low, high = (
            float(np.median(x)),
            float(np.median(y)),
            difference - width,
            difference + width,
        )
        worth = max(tolerance * before, MATTERS * steps[kind]) if tolerance else 0.0
        changes.append(
            Change(
                kind,
                what,
                before,
                after,
                difference,
                low,
                high,
                (low > 0 or high < 0) and abs(difference) > worth,
            )
        )
    return Comparison(
        "us" if timed else "cycles", _identities(a, b), changes, _space(a, b, tolerance), _notes(a, b)
    )


def _identities(a: Recording, b: Recording) -> dict[str, tuple[Any, Any]]:
    sides = [
        {k: r.identity.get(k) for k in IDENTITIES}
        | {"memory": memory_tier(r), "label": r.label, "clock_hz": r.clock_hz}
        for r in (a, b)
    ]
    if abs(a.clock_hz - b.clock_hz) < CLOCKS * a.clock_hz:
        sides[1]["clock_hz"] = a.clock_hz
    return {k: (v, sides[1][k]) for k, v in sides[0].items() if v != sides[1][k]}


def _too_short(r: Recording, kind: str) -> str:
    """Why the steps of a kind cannot be compared, or nothing."""
    rows = r.steps_of(kind)
    took = float(r.totals[rows].sum()) / r.clock_hz * 1e3
    if len(rows) < LEAST_STEPS:
        return f"{len(rows)} {kind} steps are too few to compare"
    return (
        f"{len(rows)} {kind} steps took {took:.1f} ms together, too short to compare"
        if r.timed and took < LEAST_MS
        else ""
    )


def _notes(a: Recording, b: Recording) -> list[str]:
    """What to know before reading the changes."""
    notes = []
    if not (a.timed and b.timed):
        notes.append(
            "At least one profile is of an emulator: these are counts of cycles, and nothing here is about "
            "time."
        )
    for kind in KINDS:
        n, m = (len(r.steps_of(kind)) for r in (a, b))
        if n != m:
            notes.append(
                f"{n} {kind} steps against {m}: a longer stream has a fuller window, so its steps take "
                "longer."
            )
        if n and m and (why := _too_short(a, kind) or _too_short(b, kind)):
            notes.append(f"{why}; profile more of them.")
    return notes


def _series(
    a: Recording, b: Recording, kind: str, timed: bool, paired: bool
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(what, values of a [n], values of b [m]) of the step, every part, every section that both have, where
    they ran.
    """
    sides = []
    for r in (a, b):
        rows, scale = r.steps_of(kind), 1e6 / r.clock_hz if timed else 1.0
        cycles = r.cycles[rows].astype(np.float64) * scale
        named = {STEP: r.totals[rows] * scale, UNACCOUNTED: r.unaccounted[rows] * scale}
        named |= {f"part {p}": cycles[:, :, j].sum(axis=1) for j, p in enumerate(r.parts)}
        sides.append(named | {f"section {s}": cycles[:, i].sum(axis=1) for i, s in enumerate(r.sections)})
    found = []
    for what in (w for w in sides[0] if w in sides[1]):
        x, y = (side[what] for side in sides)
        mine, other = ((x > 0) | (y > 0),) * 2 if paired else (x > 0, y > 0)
        found.append((what, x[mine], y[other]))
    return found


def _paired(differences: np.ndarray, tail: float, rng: np.random.Generator) -> tuple[float, float]:
    """(median of the differences, half of its interval)."""
    error = np.std(np.median(differences[_blocks(len(differences), rng)], axis=1))
    return float(np.median(differences)), float(error) * _student(tail, math.isqrt(len(differences)) - 1)


def _apart(x: np.ndarray, y: np.ndarray, tail: float, rng: np.random.Generator) -> tuple[float, float]:
    """(difference of the medians, half of its interval)."""
    errors = [np.std(np.median(v[_blocks(len(v), rng)], axis=1)) for v in (x, y)]
    return float(np.median(y) - np.median(x)), math.hypot(*errors) * _student(
        tail, math.isqrt(min(len(x), len(y))) - 1
    )


def _student(tail: float, freedom: int) -> float:
    """How many standard errors leave out ``tail`` at one side, with as many values as blocks: the normal
    quantile, expanded for few of them (Fisher and Cornish).
    """
    z = NormalDist().inv_cdf(1 - tail)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _blocks(n: int, rng: np.random.Generator) -> np.ndarray:
    """Indices [RESAMPLES, n]: circular blocks of sqrt(n) neighbours, at random places."""
    length = math.ceil(math.sqrt(n))
    starts = rng.integers(0, n, (RESAMPLES, math.ceil(n / length)))
    return ((starts[:, :, None] + np.arange(length)) % n).reshape(RESAMPLES, -1)[:, :n]


def _space(a: Recording, b: Recording, tolerance: float) -> dict[str, tuple[Any, Any]]:
    """Bytes and counts that differ. How often a store was read depends on the steps, so it is compared for
    equal steps only; the stack of a program under an operating system is not the same in every run.
    """
    pairs = {f"arena in {r}": (a.arenas.get(r), b.arenas.get(r)) for r in {**a.arenas, **b.arenas}}
    if (
        a.stack_peak is not None
        and b.stack_peak is not None
        and abs(a.stack_peak - b.stack_peak) > tolerance * a.stack_peak
    ):
        pairs["stack"] = (a.stack_peak, b.stack_peak)
    if a.store and b.store and a.kinds == b.kinds:
        pairs |= {f"store {k}": (a.store[k], b.store[k]) for k in STORE if k != "stall_cycles"}
    return {k: v for k, v in pairs.items() if v[0] != v[1]}
