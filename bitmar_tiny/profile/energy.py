# SPDX-License-Identifier: Apache-2.0
"""Energy of a token: measured, from a power meter's log beside the profile, or estimated, from the board's
power figures.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from .power_log import PowerLog, windows
from .prediction import planned_token_s
from .recording import Recording
from .summary import main_kind, summarize

#: How far the marked time may fall short of the steps' own time, or a log without marker differ from it: two
#: clocks and two edges.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Energy:
    """``label``: measured or estimated. ``mj_per_token`` includes what the board draws anyway;
    ``mj_above_idle`` does not (None where the idle power is not known). ``busy``: share of the marked time in
    which steps ran.
    """

    label: str
    source: str
    mj_per_token: float
    mj_above_idle: float | None
    average_w: float
    peak_w: float | None
    idle_w: float | None
    tokens: int
    seconds: float
    busy: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def measured_energy(recording: Recording, log: PowerLog) -> Energy:
    """The log's energy while the marker was high, shared by the profiled steps. ``DataError`` if log and
    profile cannot belong together.
    """
    if not recording.timed:
        raise DataError(
            f"{log.where}: the profile is of an emulator, which draws no power of its own.",
            "Profile the board itself.",
        )
    found = windows(log)
    seconds, joules = sum(w.seconds for w in found), sum(w.joules for w in found)
    steps_s = float(recording.totals.sum()) / recording.clock_hz
    span_s = float(recording.starts[-1] + recording.totals[-1] - recording.starts[0]) / recording.clock_hz
    if seconds < steps_s * (1 - TOLERANCE):
        what = "The marker is high for" if log.marker is not None else "The log lasts"
        raise DataError(
            f"{log.where}: {what[0].lower()}{what[1:]} {seconds:.3g} s, the profiled steps took "
            f"{steps_s:.3g} s.",
            "Use the log of the same run.",
        )
    if log.marker is None and seconds > span_s * (1 + TOLERANCE):
        raise DataError(
            f"{log.where}: has no marker, and lasts {seconds:.3g} s where the profiled steps took "
            f"{span_s:.3g} s.",
            "Log a marker that is high while the board runs the steps, or cut the log to them.",
        )
    tokens = len(recording.kinds)
    idle = None if log.marker is None else float(np.median(log.power_w[~log.marker]))
    return Energy(
        "measured",
        log.where,
        joules / tokens * 1e3,
        None if idle is None else (joules - idle * seconds) / tokens * 1e3,
        joules / seconds,
        float(max(w.power_w.max() for w in found)),
        idle,
        tokens,
        seconds,
        min(steps_s / seconds, 1.0),
    )


def estimated_energy(
    recording: Recording, active_w: float, idle_w: float | None, source: str
) -> Energy | None:
    """From the board's power figures and the mean time of a token: measured or, for an emulator, the plan's
    estimate of it.

    None where no time is known.
    """
    kind = main_kind(summarize(recording))
    seconds = kind.total.mean / recording.clock_hz if recording.timed else planned_token_s(recording)
    if seconds is None:
        return None
    above = None if idle_w is None else (active_w - idle_w) * seconds * 1e3
    return Energy(
        "estimated",
        source,
        active_w * seconds * 1e3,
        above,
        active_w,
        None,
        idle_w,
        kind.steps,
        kind.steps * seconds,
        1.0,
    )
