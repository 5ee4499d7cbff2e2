# SPDX-License-Identifier: Apache-2.0
"""What the plan predicted beside what the board did: time of a token, arenas, stack, reads of the memory,
bytes by region.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from ..errors import DataError
from .recording import Recording
from .summary import main_kind, summarize

PLAN, PLAN_VERSION = "bitmar-tiny/plan", 2
#: Parts of the plan's estimate -> parts of a recording.
PARTS = {
    "layers": ("gemv",),
    "attention": ("attention",),
    "memory": ("memory",),
    "vectors": ("other",),
    "head": ("head", "pick"),
}
#: The plan's estimates that are about the plan as it is; the others say what would be.
OWN = ("this plan", "this plan, full window")
#: The one of a plan that streams the head for reading it where it lies, and how firmware calls that.
UNSTREAMED, IN_PLACE = "if the head were not streamed", "read"
ALIGN = 64  # of everything in an arena, as the plan counts it


Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    name: str
    ms: Amount
    bytes: dict[str, Amount] = {}


class _Estimate(BaseModel):
    what: str
    context: int
    ms: Amount
    bytes: dict[str, Amount]
    parts: list[_Part]


class _Placement(BaseModel):
    kind: str
    region: str
    size: int = Field(ge=0)


class _Region(BaseModel):
    name: str
    per_token: Amount


class _Memory(BaseModel):
    read_bytes: int = Field(ge=0)
    read_ms: Amount | None
    write_least: int = Field(ge=0)
    write_most: int = Field(ge=0)
    write_ms_least: Amount | None
    write_ms_most: Amount | None


class _Plan(BaseModel):
    """What is read of ``plan.json`` (codegen/emit.py)."""

    regions: list[_Region]
    placements: list[_Placement]
    estimates: list[_Estimate]
    memory: _Memory


@dataclass(frozen=True)
class Row:
    """One figure: predicted is estimated, found is recorded. None: not known. ``unit``: us, bytes or MB/s."""

    what: str
    predicted: float | None
    found: float | None
    unit: str

    @property
    def ratio(self) -> float | None:
        """Found over predicted."""
        return self.found / self.predicted if self.predicted and self.found is not None else None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio}


@dataclass(frozen=True)
class Traffic:
    """Bytes that one token reads from a region (estimated), and the rate that follows for the mean decode
    step.
    """

    region: str
    bytes: float
    mb_s: float | None


@dataclass(frozen=True)
class Prediction:
    """Everything that the plan foretold. ``context``: tokens in the window for its time and traffic."""

    context: int | None
    rows: list[Row]
    traffic: list[Traffic]

    def as_dict(self) -> dict[str, Any]:
        return {
            "context": self.context,
            "rows": [r.as_dict() for r in self.rows],
            "traffic": {"label": "estimated", "regions": [asdict(t) for t in self.traffic]},
        }


def predict(recording: Recording) -> Prediction:
    """The plan beside the recording. Without a plan only what was found; ``DataError`` for a plan that cannot
    be read.
    """
    plan = _read(recording.plan)
    estimate = _estimate(recording, plan)
    rows = [
        *_time(recording, estimate),
        *_head(recording, plan),
        *_memory(recording, plan),
        *_space(recording, plan),
    ]
    moved = estimate.bytes if estimate else {r.name: r.per_token for r in plan.regions} if plan else {}
    seconds = main_kind(summarize(recording)).total.mean / recording.clock_hz if recording.timed else 0
    traffic = [
        Traffic(name, size, size / seconds / 1e6 if seconds else None) for name, size in moved.items() if size
    ]
    return Prediction(estimate.context if estimate else None, rows, traffic)


def _read(plan: dict[str, Any] | None) -> _Plan | None:
    if plan is None:
        return None
    if plan.get("schema") != PLAN or plan.get("schema_version") != PLAN_VERSION:
        raise DataError(
            f"The plan inside the profile is no {PLAN} of version {PLAN_VERSION}.",
            "Generate the project again, then profile it.",
        )
    try:
        return _Plan(**plan)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise DataError(
            f"The plan inside the profile is damaged ({where}: {error.errors()[0]['msg'].lower()}).",
            "Generate the project again, then profile it.",
        ) from None


def _estimate(recording: Recording, plan: _Plan | None) -> _Estimate | None:
    """The plan's own estimate whose window is nearest to that of the middle step."""
    own = [e for e in plan.estimates if e.what in OWN] if plan else []
    middle = float(np.median(_window(recording)[recording.steps_of(main_kind(summarize(recording)).name)]))
    return min(own, key=lambda e: abs(e.context - middle), default=None)


def memory_tier(recording: Recording) -> str | None:
    """Where the memory lies (``codegen.lower.MEMORY_TIERS``), or None where it is not said."""
    memory = (recording.plan or {}).get("memory")
    return memory.get("tier") if isinstance(memory, dict) else None


def _window(recording: Recording) -> np.ndarray:
    """[steps]: tokens so far in the stream of each step. A prefill step after a decode step begins a new
    stream.
    """
    decodes = np.array(recording.kinds) == "decode"
    begins = np.flatnonzero(np.concatenate(([True], decodes[:-1] & ~decodes[1:])))
    steps = np.arange(len(decodes))
    return steps - begins[np.searchsorted(begins, steps, side="right") - 1] + 1


def planned_token_s(recording: Recording) -> float | None:
    """Seconds of one token as the plan estimates them, or None without a plan or without figures of the
    board.
    """
    estimate = _estimate(recording, _read(recording.plan))
    return estimate.ms / 1e3 if estimate else None


def _time(recording: Recording, estimate: _Estimate | None) -> list[Row]:
    """Means, because the estimate spreads a read of the memory over the tokens between two reads."""
    if not recording.timed:
        return []
    kind, us = main_kind(summarize(recording)), 1e6 / recording.clock_hz
    if (
        estimate is None or kind.name != "decode"
    ):  # the estimate includes the head, which a prefill step leaves out
        return [Row(f"one token ({kind.name}, mean)", None, kind.total.mean * us, "us")]
    rows = [Row("one token (decode, mean)", estimate.ms * 1e3, kind.total.mean * us, "us")]
    for part in estimate.parts:
        names = [n for n in PARTS.get(part.name, ()) if n in kind.parts]
        rows.append(
            Row(
                f"  {part.name}",
                part.ms * 1e3,
                sum(kind.parts[n].mean for n in names) * us if names else None,
                "us",
            )
        )
    return rows


def _head(recording: Recording, plan: _Plan | None) -> list[Row]:
    """Rates at which the head was read when the board started, by each way; the plan assumes one for the
    best, and one for reading it where it lies.
    """
    ways = recording.identity.get("head_kb_s", {}) if recording.timed else {}
    rates = {e.what: _head_mb_s(e) for e in plan.estimates} if plan else {}
    return [
        Row(
            f"head by '{way}'{', which is taken' if i == 0 else ''}, at start",
            rates.get(UNSTREAMED if way == IN_PLACE else OWN[0]) if i == 0 or way == IN_PLACE else None,
            kb_s / 1e3,
            "MB/s",
        )
        for i, (way, kb_s) in enumerate(ways.items())
    ]


def _head_mb_s(estimate: _Estimate) -> float | None:
    head = next((p for p in estimate.parts if p.name == "head"), None)
    return max(head.bytes.values(), default=0) / head.ms / 1e3 if head and head.ms else None


def memory_reads(recording: Recording) -> np.ndarray:
    """float64: the cycles of the part ``memory`` in each step that read the memory."""
    if "memory" not in recording.parts:
        return np.zeros(0)
    spent = recording.cycles[:, :, recording.parts.index("memory")].sum(axis=1)
    return spent[spent > 0].astype(np.float64)


def _memory(recording: Recording, plan: _Plan | None) -> list[Row]:
    rows, reads = [], memory_reads(recording)
    if reads.size and recording.timed:
        rows.append(
            Row(
                "read of the memory, median",
                plan and plan.memory.read_ms and plan.memory.read_ms * 1e3,
                float(np.median(reads)) / recording.clock_hz * 1e6,
                "us",
            )
        )
    if recording.store and reads.size:
        rows.append(
            Row(
                "  bytes from the store",
                plan.memory.read_bytes if plan else None,
                recording.store["bytes"] / reads.size,
                "bytes",
            )
        )
    return rows + _episodes(recording, plan.memory if plan else None)


def _episodes(recording: Recording, memory: _Memory | None) -> list[Row]:
    """Writing an episode: between two bounds, since it depends on how many rows change."""
    if not recording.episodes:
        return []
    rows = []
    if recording.timed:
        found = float(np.median(recording.episodes)) / recording.clock_hz * 1e6
        least, most = (memory.write_ms_least, memory.write_ms_most) if memory else (None, None)
        if least is not None and most is not None:
            rows += [
                Row("write of an episode, no row changed", least * 1e3, found, "us"),
                Row("write of an episode, all changed", most * 1e3, found, "us"),
            ]
        else:
            rows.append(Row("write of an episode, median", None, found, "us"))
    if recording.store:
        bytes_each = recording.store["written_bytes"] / len(recording.episodes)
        rows += [
            Row("  bytes to the store, no row changed", memory and memory.write_least, bytes_each, "bytes"),
            Row("  bytes to the store, all changed", memory and memory.write_most, bytes_each, "bytes"),
        ]
    return rows


def _space(recording: Recording, plan: _Plan | None) -> list[Row]:
    planned: dict[str, int] = {}
    for p in plan.placements if plan else ():
        if p.kind in ("arena", "copy"):
            planned[p.region] = planned.get(p.region, 0) + math.ceil(p.size / ALIGN) * ALIGN
    rows = [
        Row(f"arena in {name}", planned.get(name), recording.arenas.get(name), "bytes")
        for name in {**planned, **recording.arenas}
    ]
    stack = next((p.size for p in plan.placements if p.kind == "stack"), None) if plan else None
    return rows + (
        [Row("stack (reserved, peak)", stack, recording.stack_peak, "bytes")]
        if stack or recording.stack_peak
        else []
    )
