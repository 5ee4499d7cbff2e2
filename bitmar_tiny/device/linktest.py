"""What a line is worth: round trips, throughput, errors; which speeds a board takes; what the control lines do."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, Callable

import numpy as np

from ..errors import DeviceError
from .board import Board
from .channel import LinkChannel
from .connect import SETTLE_S, connect
from .lines import SerialLine
from .protocol import pattern

ROUND_TRIPS = 50
BITS_PER_BYTE = 10                       # start, eight, stop
HOLD_S = 0.1                             # a control line is held


@dataclass(frozen=True)
class LineTest:
    """Measured over one session. Rates in bytes of payload per second; ``share``: of what the line carries at ``baud``, if it has one."""

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


def run(board: Board, size: int, progress: Callable[[str], None] = lambda what: None) -> LineTest:
    """Send ``size`` bytes each way and look at every one."""
    link, data = board.channel.link, pattern(size)
    before, counted = board.counters(), (link.counts.damaged, link.counts.resent)
    progress("round trips")
    trips = [_timed(board.counters)[0] for _ in range(ROUND_TRIPS)]
    progress("from the board")
    down, got = _timed(lambda: board.source(size))
    progress("to the board")
    up, wrong = _timed(lambda: board.sink(data))
    after = board.counters()
    wrong += int((np.frombuffer(got, np.uint8) != np.frombuffer(data, np.uint8)).sum()) if len(got) == size else size
    spread = [1e3 * float(np.quantile(trips, q)) for q in (0, 0.5, 0.95)]
    return LineTest(getattr(link.line, "baud", None), size, size / down, size / up, tuple(spread), wrong,
                    after["damaged"] - before["damaged"] + link.counts.damaged - counted[0],
                    after["resent"] - before["resent"] + link.counts.resent - counted[1], after["lost"] - before["lost"])


def change_speed(board: Board, baud: int) -> None:
    """Board and port at another speed. ``DeviceError`` if they do not meet again there."""
    link = board.channel.link
    if "baud" not in board.identity.flags or not isinstance(link.line, SerialLine):
        raise DeviceError(f"{board.name}: the speed of this line cannot be changed.")
    board.request("baud", baud)
    link.settle(SETTLE_S)
    link.line.set_baud(baud)
    board.channel = LinkChannel(connect(link.line, link.log))


def control_lines(board: Board) -> dict[str, str]:
    """What a pulse on DTR and on RTS does to the board: ``restarts it``, ``nothing``, or ``silences it``."""
    line = board.channel.link.line
    if not isinstance(line, SerialLine):
        raise DeviceError(f"{board.name}: this line has no control lines.", "Leave out --control-lines.")
    found = {}
    for name in ("dtr", "rts"):
        up = board.channel.link.opened.uptime_ms
        try:
            line.set_control(**{"dtr": False, "rts": False, name: True})
            time.sleep(HOLD_S)
            line.set_control(dtr=False, rts=False)
        except OSError:
            raise DeviceError(f"{board.name}: this port has no control lines.", "Leave out --control-lines.") from None
        try:
            board.channel = LinkChannel(connect(line))
            found[name] = "restarts it" if board.channel.link.opened.uptime_ms < up else "nothing"
        except DeviceError:
            found[name] = "silences it"
            break
    return found


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result
