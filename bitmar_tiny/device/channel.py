# SPDX-License-Identifier: Apache-2.0
"""Requests to a board and their answers, and what else a command does with the line: over a link, or out of a
record (record.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from ..errors import DeviceError
from .link import Link, SessionLost
from .protocol import BY_NAME, BY_NUMBER, HEADER

#: Messages that end the answer to a request.
LAST = {BY_NAME[name].number for name in ("result", "identity", "counters")}
RESTART_S = 20.0
SETTLE_S = 0.05  # between an answer and the change of a speed
HOLD_S = 0.1  # a control line is held
LARGEST = 1 << 28  # bytes of a message that can be meant


@dataclass(frozen=True)
class About:
    """What a command knows of a board beside its answers. ``port``: its name; ``when``: ISO 8601; ``powers``:
    it can be switched off and on; ``emulated``: it does not run on its own processor; ``plan``: plan.json of
    its project, where that is at hand.
    """

    port: str
    when: str
    powers: bool = False
    emulated: bool = False
    plan: dict[str, Any] | None = None


class Channel(Protocol):
    """What a board is asked through."""

    about: About

    def exchange(self, request: bytes) -> Iterator[tuple[int, bytes]]:
        """Send a request; yields the messages of its answer, number and payload, up to the last."""

    def restart(self, request: bytes) -> None:
        """Off and on; by ``request``, which asks the board for it, where nothing else can."""

    def set_speed(self, baud: int) -> None:
        """Meet the board, which was told, at another speed."""

    def pulse(self, name: str) -> str:
        """Pulse the control line ``dtr`` or ``rts``; returns what that does to the board: ``restarts it``,
        ``nothing`` or ``silences it``.
        """

    def observe(self, look: Callable[[LinkChannel], Any]) -> Any:
        """What ``look`` sees at this machine's end of a live board, its clock for example: a JSON value."""

    def close(self) -> None: ...


class LinkChannel:
    """A live board. ``reconnect`` begins a session anew, or says what is wrong."""

    def __init__(
        self,
        link: Link,
        reconnect: Callable[[], Link] | None = None,
        emulated: bool = False,
        plan: dict[str, Any] | None = None,
    ) -> None:
        self.link, self._reconnect = link, reconnect
        self.about = About(
            link.line.name,
            datetime.now(UTC).isoformat(timespec="seconds"),
            hasattr(link.line, "restart"),
            emulated,
            plan,
        )

    def exchange(self, request: bytes) -> Iterator[tuple[int, bytes]]:
        self.link.send(request)
        number = None
        while number not in LAST:
            number, size = HEADER.unpack(self.link.receive(HEADER.size))
            if number not in BY_NUMBER or size > LARGEST:
                raise DeviceError(
                    f"{self.about.port}: the board answered with message {number} of {size} bytes, which "
                    "this program does not know.",
                    "Flash firmware of the same version of bitmar-tiny.",
                )
            payload = self.link.receive(size)
            if number in LAST:
                self.link.acknowledge()
            yield number, payload

    def restart(self, request: bytes) -> None:
        if self.about.powers:
            self.link.line.restart()
        else:
            self._ask_for_restart(request)
        if self.link.open(RESTART_S) is None:
            raise DeviceError(
                f"{self.about.port}: the board did not come back within {RESTART_S:.0f} s of its restart.",
                "Reset it by hand and run the command again.",
            )

    def _ask_for_restart(self, request: bytes) -> None:
        """Returns when the board has taken the request: before that a new session would make it forget it.
        Afterwards only the restarted board answers.
        """
        try:
            self.link.send(request)
            self.link.drain()
        except SessionLost:  # the acknowledgement was lost, but the board has restarted
            pass

    def set_speed(self, baud: int) -> None:
        self.link.settle(SETTLE_S)
        self.link.line.set_baud(baud)
        self.link = self._reconnect()

    def pulse(self, name: str) -> str:
        line, pulsed = self.link.line, time.monotonic()
        try:
            line.set_control(**{"dtr": False, "rts": False, name: True})
            time.sleep(HOLD_S)
            line.set_control(dtr=False, rts=False)
        except OSError:
            raise DeviceError(
                f"{self.about.port}: this port has no control lines.", "Leave out --control-lines."
            ) from None
        try:
            self.link = self._reconnect()
        except DeviceError:
            return "silences it"
        return (
            "restarts it" if self.link.opened.uptime_ms <= 1000 * (time.monotonic() - pulsed) else "nothing"
        )

    def observe(self, look: Callable[[LinkChannel], Any]) -> Any:
        return look(self)

    def close(self) -> None:
        self.link.close()
