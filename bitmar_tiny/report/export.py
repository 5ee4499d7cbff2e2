# SPDX-License-Identifier: Apache-2.0
"""A recording for other programs: CSV for spreadsheets, trace events for ui.perfetto.dev and
chrome://tracing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from ..profile.recording import Recording
from ..profile.summary import UNACCOUNTED

COLUMNS = ("step", "kind", "section", "part", "cycles", "us")


def to_csv(recording: Recording) -> str:
    """A row for each step x section x part, and for each step's unaccounted cycles: the rows of a step add up
    to it.

    ``us`` is empty for an emulator.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    us, rest = 1e6 / recording.clock_hz, recording.unaccounted
    for step, kind in enumerate(recording.kinds):
        for i, section in enumerate(recording.sections):
            for j, part in enumerate(recording.parts):
                n = int(recording.cycles[step, i, j])
                writer.writerow((step, kind, section, part, n, f"{n * us:.4f}" if recording.timed else ""))
        n = int(rest[step])
        writer.writerow((step, kind, UNACCOUNTED, "", n, f"{n * us:.4f}" if recording.timed else ""))
    return out.getvalue()


def to_trace(recording: Recording) -> str:
    """Trace event format (JSON): a slice for each step, in it one for each section, in it one for each part.

    The record has sums, so a section's parts stand one after the other in the order of ``parts``, and what is
    unaccounted at the end of its step. Times are microseconds from the first step on, to the nanosecond; for
    an emulator, a cycle is drawn as one microsecond.
    """
    name = (
        f"{recording.identity['model']} on {recording.identity['board']}, {recording.identity['kernels']} "
        f"kernels [{recording.label}]"
    )
    events = [
        {"ph": "M", "pid": 1, "tid": 1, "name": "process_name", "args": {"name": name}},
        {"ph": "M", "pid": 1, "tid": 1, "name": "thread_name", "args": {"name": "steps"}},
        *_slices(recording),
    ]
    document = {
        "displayTimeUnit": "ns",
        "otherData": recording.identity | {"label": recording.label, "clock_hz": recording.clock_hz},
        "traceEvents": events,
    }
    lines = ",\n".join(json.dumps(e) for e in events)
    head = json.dumps({k: v for k, v in document.items() if k != "traceEvents"})
    return f'{head[:-1]}, "traceEvents": [\n{lines}\n]}}\n'


def _slices(recording: Recording) -> Iterator[dict[str, Any]]:
    first, rest = int(recording.starts[0]), recording.unaccounted
    for step, kind in enumerate(recording.kinds):
        at = int(recording.starts[step]) - first
        yield _slice(recording, f"{kind} {step}", "step", at, int(recording.totals[step]))
        for i, section in enumerate(recording.sections):
            row = [int(n) for n in recording.cycles[step, i]]
            if sum(row):
                yield _slice(recording, section, "section", at, sum(row))
            for part, n in zip(recording.parts, row, strict=True):
                if n:
                    yield _slice(recording, part, "part", at, n)
                at += n
        if rest[step]:
            yield _slice(recording, UNACCOUNTED, "section", at, int(rest[step]))


def _slice(recording: Recording, name: str, category: str, at: int, cycles: int) -> dict[str, Any]:
    """Both ends are rounded, not the length: a slice never sticks out of the one around it."""
    scale = 1e6 / recording.clock_hz if recording.timed else 1.0
    start, end = (round(n * scale, 3) for n in (at, at + cycles))
    return {
        "ph": "X",
        "pid": 1,
        "tid": 1,
        "name": name,
        "cat": category,
        "ts": start,
        "dur": round(end - start, 3),
        "args": {"cycles": cycles},
    }
