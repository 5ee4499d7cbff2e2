# SPDX-License-Identifier: Apache-2.0
"""What a line is worth: round trips, throughput, errors; which speeds a board takes; what the control lines
do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..device.channel import LinkChannel
from ..device.protocol import pattern
from ..errors import DeviceError
from .device import DeviceSession, firmware_of
from .session import Session

ROUND_TRIPS = 50
BITS_PER_BYTE = 10  # start, eight, stop


@dataclass(frozen=True)
class LineTest:
    """Measured over one session. Rates in bytes of payload per second; ``share``: of what the line carries at
    ``baud``, if it has one.
    """

    baud: int | None
    bytes: int
    down: float
    up: float
    round_ms: tuple[float, float, float]
    wrong_bytes: int
    damaged: int
    resent: int
    lost: int

    def share(self, rate: float) -> float | None:
        return rate * BITS_PER_BYTE / self.baud if self.baud else None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"down_share": self.share(self.down), "up_share": self.share(self.up)}


def line_test(
    session: Session,
    size: int = 200_000,
    speeds: Sequence[int] = (),
    progress: Callable[[str], None] = lambda what: None,
) -> tuple[list[LineTest], dict[int, str]]:
    """Send ``size`` bytes each way over the line to a board, at its speed, then at other ``speeds`` until one
    fails: what was measured, and why a speed failed.
    """
    board = firmware_of(session)
    tests = [run(board, size, progress)]
    for speed in speeds:
        try:
            change_speed(board, speed)
        except DeviceError as error:
            return tests, {speed: error.message}
        tests.append(run(board, size, lambda what, speed=speed: progress(f"{speed} baud: {what}")))
    return tests, {}


def run(board: DeviceSession, size: int, progress: Callable[[str], None] = lambda what: None) -> LineTest:
    """Send ``size`` bytes each way and look at every one."""
    data = pattern(size)
    before, ours = board.counters(), _ours(board)
    progress("round trips")
    trips = [_timed(board, board.counters)[0] for _ in range(ROUND_TRIPS)]
    progress("from the board")
    down, got = _timed(board, lambda: board.source(size))
    progress("to the board")
    up, wrong = _timed(board, lambda: board.sink(data))
    after, ours_after = board.counters(), _ours(board)
    wrong += (
        int((np.frombuffer(got, np.uint8) != np.frombuffer(data, np.uint8)).sum())
        if len(got) == size
        else size
    )
    spread = [1e3 * float(np.quantile(trips, q)) for q in (0, 0.5, 0.95)]
    return LineTest(
        ours["baud"],
        size,
        size / down,
        size / up,
        tuple(spread),
        wrong,
        *(after[k] - before[k] + ours_after[k] - ours[k] for k in ("damaged", "resent")),
        after["lost"] - before["lost"],
    )


def change_speed(board: DeviceSession, baud: int) -> None:
    """Board and port at another speed. ``DeviceError`` if they do not meet again there."""
    if "baud" not in board.identity.flags or _ours(board)["baud"] is None:
        raise DeviceError(f"{board.name}: the speed of this line cannot be changed.")
    board.request("baud", baud)
    board.channel.set_speed(baud)


def pulses(board: DeviceSession) -> dict[str, str]:
    """What a pulse on DTR and on RTS does to the board: ``restarts it``, ``nothing``, or ``silences it``."""
    if _ours(board)["baud"] is None:
        raise DeviceError(f"{board.name}: this line has no control lines.", "Leave out --control-lines.")
    found = {}
    for name in ("dtr", "rts"):
        found[name] = board.channel.pulse(name)
        if found[name] == "silences it":
            break
    return found


def _ours(board: DeviceSession) -> dict[str, int | None]:
    """Counters of this end, and the speed of the line, if it has one."""
    return board.channel.observe(
        lambda live: {
            "baud": getattr(live.link.line, "baud", None),
            "damaged": live.link.counts.damaged,
            "resent": live.link.counts.resent,
        }
    )


def _timed(board: DeviceSession, call: Callable[[], Any]) -> tuple[float, Any]:
    start = board.channel.observe(_now)
    result = call()
    return board.channel.observe(_now) - start, result


def _now(live: LinkChannel) -> float:
    return time.perf_counter()
