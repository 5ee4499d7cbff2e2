# SPDX-License-Identifier: Apache-2.0
"""The host's end of the link: two reliable streams of bytes over a line that loses, damages and doubles
bytes.

The device's end is firmware_templates/runtime/link/bm_link.c; docs/reference/serial-protocol.md draws both.
"""

from __future__ import annotations

import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import DeviceError
from .frames import AGAIN, CLOSED, DATA, OPEN, OPENED, Deframer, Frame, Garbage
from .lines import Line
from .protocol import VERSION

OPEN_EVERY_S = 0.05
WAIT_S, WAIT_MOST_S = 0.05, 0.4  # for an acknowledgement, beside four round trips
HASTE_S = 0.004  # between two repetitions because of a gap, and two answers to garbage
PATIENCE_S = (
    4.0  # without progress of what was sent, or without a sign of life: the line or the board is gone
)
ASK_S = 1.0  # of silence, before the board is asked for a sign of life
STUCK_S = 600.0  # it lives, but does not answer
LEAST = 16  # smallest segment
ACKNOWLEDGE = 4  # bytes received before they are acknowledged, at most: the board's room over it
OPENED_LAYOUT = struct.Struct("<BHHI")


@dataclass(frozen=True)
class Opened:
    """The device's answer to an OPEN."""

    version: int
    room: int
    segment: int
    uptime_ms: int


@dataclass
class Counts:
    """What went over the line so far."""

    bytes_in: int = 0
    bytes_out: int = 0
    frames: int = 0
    damaged: int = 0
    resent: int = 0
    text: bytearray = field(default_factory=bytearray)

    def noise(self) -> float:
        """Share of damaged frames among those that came."""
        return self.damaged / max(1, self.damaged + self.frames)


class SessionLost(DeviceError):
    """The board knows nothing of the session: it restarted, or another host began one."""


class Link:
    """A session on ``line``. ``log`` gets lines of text that the board prints beside the frames;
    ``patience_s``: how long the board may compute, or the line be silent. What failed once fails again at
    once.
    """

    def __init__(
        self, line: Line, log: Callable[[str], None] = lambda text: None, patience_s: float = PATIENCE_S
    ) -> None:
        self.line, self.log, self.patience_s, self.counts = line, log, patience_s, Counts()
        self.opened: Opened | None = None
        self._failed: DeviceError | None = None
        self.session = 0
        self._deframer, self._tail = Deframer(), bytearray()
        self._wire = bytearray()  # encoded, not yet taken by the operating system

    # -- sessions ----------------------------------------------------------------------------------

    def open(self, limit_s: float) -> Opened | None:
        """Begin a session; None if no firmware of this protocol answers in time. Another version is answered,
        but not opened.
        """
        self.session = secrets.randbelow(0xFFFF) + 1
        self.opened = self._failed = None
        self._out, self._head, self._sent = bytearray(), 0, 0  # of the stream: from its byte _head on
        self._in, self._received, self._acknowledged = bytearray(), 0, 0
        self._segment, self._clean = 1024, 0
        self._wait, self._round = WAIT_S, 0.0
        self._timed: tuple[int, float] | None = None
        self._since = self._progress = self._answered = self._heard = self._asked = time.monotonic()
        self._again, self._repeated = False, self._since
        self._owes: int | None = None  # kind of the frame that the device should get soon
        until = time.monotonic() + limit_s
        while self.opened is None and time.monotonic() < until:
            self._transmit(Frame(OPEN, self.session, payload=bytes([VERSION])).encode())
            again = min(time.monotonic() + OPEN_EVERY_S, until)
            while self.opened is None and time.monotonic() < again:
                self._receive(max(0.0, again - time.monotonic()))
        for piece in self._deframer.rest():
            self._take_garbage(piece)
        return self.opened

    def close(self) -> None:
        """End the session, so that the board waits for nothing, and free the line."""
        try:
            if self.opened:
                self._transmit(Frame(CLOSED, self.session).encode())
        except DeviceError:
            pass  # the line is gone, and the session with it
        self.line.close()

    # -- streams -----------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Append to the stream to the device; returns when most of it is on its way."""
        self._progress = time.monotonic() if not self._out else self._progress
        self._out += data
        self._send_due()
        while len(self._out) > self.opened.room:
            self._pump(0.05)

    def drain(self) -> None:
        """Returns when the device's program has taken everything that was sent. ``SessionLost``: it may have,
        or not.
        """
        while self._out:
            self._pump(0.05)

    def receive(self, n: int) -> bytes:
        """The next ``n`` bytes from the device. ``DeviceError`` if it shows no sign of life for
        ``patience_s``.
        """
        seen = len(self._in)
        begun = time.monotonic() if seen < n else 0.0
        while len(self._in) < n:
            self._pump(0.05)
            now = time.monotonic()
            if len(self._in) != seen:
                begun, seen = now, len(self._in)
            elif now - max(self._heard, begun) > self.patience_s or now - begun > STUCK_S:
                raise self._fail(self._stalled(now - begun))
            elif now - max(self._heard, self._asked, begun) > ASK_S:
                self._asked, self._owes = now, AGAIN
        data = bytes(self._in[:n])
        del self._in[:n]
        return data

    def acknowledge(self) -> None:
        """Acknowledge what has come, so that the board neither repeats it nor takes this host for gone while
        nobody asks it anything.
        """
        if self._received != self._acknowledged:
            self._acknowledge()

    def settle(self, wait_s: float) -> None:
        """Let the line come to rest: everything that arrives meanwhile is acknowledged."""
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            self._pump(until - time.monotonic())

    # -- the machine -------------------------------------------------------------------------------

    def _pump(self, wait_s: float) -> None:
        """Take what has arrived and send what is due; waits for something to arrive, at most so long."""
        if self._failed:
            raise self._failed
        if self._received != self._acknowledged:
            self._receive(0.0)  # more may be there already, and one acknowledgement do for it
            if self._received != self._acknowledged:
                self._acknowledge()
        else:
            self._receive(wait_s)
        self._send_due()

    def _receive(self, wait_s: float) -> None:
        """Take what has arrived, waiting for it at most so long, or until something has to be sent again."""
        if self.opened and self._sent != self._head:
            wait_s = min(wait_s, max(0.0, self._since + self._wait - time.monotonic()))
        if self.opened and (self._owes is not None or self._again):
            wait_s = min(wait_s, HASTE_S)
        self._flush()
        data = self.line.read(wait_s, bool(self._wire))
        self.counts.bytes_in += len(data)
        for piece in self._deframer.feed(data):
            if isinstance(piece, Garbage):
                self._take_garbage(piece)
            else:
                self.counts.frames += 1
                self._take_frame(piece)

    def _take_garbage(self, piece: Garbage) -> None:
        if piece.is_text:
            self.counts.text = (self.counts.text + piece.data)[-2000:]
            *lines, self._tail = (self._tail + piece.data).split(b"\n")
            for text in lines:
                self.log(text.decode(errors="replace").rstrip("\r"))
        else:
            self.counts.damaged += 1
            self._owes = AGAIN

    def _take_frame(self, frame: Frame) -> None:
        if frame.session != self.session:
            return
        self._heard = time.monotonic()
        if frame.kind == OPENED and self.opened is None and len(frame.payload) >= OPENED_LAYOUT.size:
            self.opened = Opened(*OPENED_LAYOUT.unpack_from(frame.payload))
        elif frame.kind == CLOSED and self.opened:
            raise self._fail(
                SessionLost(
                    f"{self.line.name}: the board lost the session: it restarted, or another program spoke "
                    "to it.",
                    "Run the command again; check its supply if that happens often.",
                )
            )
        elif frame.kind in (DATA, AGAIN) and self.opened:
            self._take_acknowledgement(frame)
            self._take_data(frame)
            if frame.kind == AGAIN:
                self._take_again()

    def _take_acknowledgement(self, frame: Frame) -> None:
        more, now = (frame.acknowledged - self._head) & 0xFFFF, time.monotonic()
        if more == 0 or more > len(self._out):
            if (
                not frame.payload
                and self._sent != self._head
                and now - self._since >= HASTE_S + 2 * self._round
            ):
                self._again = True  # it has had the time to arrive, and did not
            return
        del self._out[:more]
        self._head += more
        self._sent = max(self._sent, self._head)
        self._since = self._progress = now
        self._again = False
        if self._timed and self._timed[0] <= self._head:
            self._round = (3 * self._round + now - self._timed[1]) / 4
            self._timed = None
        self._wait = WAIT_S + 4 * self._round
        self._clean += more
        if self._clean >= 4 * self._segment and self._segment < self.opened.segment:
            self._segment, self._clean = self._segment * 2, 0

    def _take_data(self, frame: Frame) -> None:
        if not frame.payload:
            return
        known = (self._received - frame.offset) & 0xFFFF
        if known > 0x7FFF:
            self._owes = AGAIN  # something before it is missing
        elif known >= len(frame.payload):
            self._owes = self._owes or DATA  # the device does not know that it arrived
        else:
            self._in += frame.payload[known:]
            self._received += len(frame.payload) - known
            if self._received - self._acknowledged >= self.opened.room // ACKNOWLEDGE:
                self._acknowledge()

    def _take_again(self) -> None:
        if self._sent == self._head:
            self._owes = self._owes or DATA
        else:
            self._again = True

    def _repeat(self) -> None:
        """Everything not acknowledged is sent again, in smaller pieces."""
        self.counts.resent += 1
        self._again, self._repeated = False, time.monotonic()
        self._sent, self._since, self._clean, self._timed = self._head, time.monotonic(), 0, None
        self._segment = max(LEAST, self._segment // 2)

    def _send_due(self) -> None:
        now = time.monotonic()
        if self._out and now - self._progress > self.patience_s:
            raise self._fail(self._stalled(now - self._progress))
        if self._wire or self.line.unsent():
            self._since = now  # it is not on its way yet: a slow line must not be filled with repetitions
        elif self._sent != self._head and now - self._since >= self._wait:
            self._repeat()
            self._wait = min(2 * self._wait, WAIT_MOST_S)
        elif self._again and now - self._repeated >= HASTE_S + 2 * self._round:
            self._repeat()
        while self._sent < self._head + min(len(self._out), self.opened.room):
            at = self._sent - self._head
            piece = bytes(self._out[at : min(at + self._segment, self.opened.room)])
            if self._sent == self._head:
                self._since = now
            self._transmit(self._frame(self._sent, piece))
            self._sent += len(piece)
            self._timed = self._timed or (self._sent, now)
        if self._owes is not None and now - self._answered >= HASTE_S:
            self._answered = now
            self._acknowledge(self._owes)

    def _acknowledge(self, kind: int = DATA) -> None:
        self._owes = None
        self._transmit(self._frame(self._sent, b"", kind))

    def _frame(self, offset: int, payload: bytes, kind: int = DATA) -> bytes:
        self._acknowledged = self._received
        self._owes = None if self._owes == DATA else self._owes
        return Frame(kind, self.session, offset, self._received, payload).encode()

    def _transmit(self, data: bytes) -> None:
        self.counts.bytes_out += len(data)
        self._wire += data
        self._flush()

    def _flush(self) -> None:
        if self._wire:
            del self._wire[: self.line.write(bytes(self._wire))]

    def _fail(self, error: DeviceError) -> DeviceError:
        self._failed = error
        return error

    def _stalled(self, seconds: float) -> DeviceError:
        if self.counts.noise() > 0.05:
            return DeviceError(
                f"{self.line.name}: the line is too bad to work over: {self.counts.noise():.0%} of what "
                "came was damaged.",
                "Use a shorter cable or a lower speed with --baud; check the ground wire.",
            )
        return DeviceError(
            f"{self.line.name}: the board stopped answering: nothing came for {seconds:.0f} s.",
            "Check cable and power, reset it, and run the command again; if it computes for longer, name a "
            "longer --timeout.",
        )
