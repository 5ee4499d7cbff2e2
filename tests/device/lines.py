# SPDX-License-Identifier: Apache-2.0
"""Lines that do harm, between a link and a real one."""

import random
import struct
import time

from bitmar_tiny.device.frames import AGAIN, CLOSED, DATA, OPEN, OPENED, Deframer, Frame
from bitmar_tiny.device.protocol import BY_NAME, VERSION


class NoisyLine:
    """Drops, doubles, flips or inserts a share ``rate`` of the bytes in both directions."""

    def __init__(self, inner, rate: float, seed: int = 0) -> None:
        self.inner, self.rate, self.name, self.random = (
            inner,
            rate,
            f"noisy {inner.name}",
            random.Random(seed),
        )
        self.harmed = 0

    def read(self, wait_s, writable=False):
        return self._harm(self.inner.read(wait_s, writable or bool(getattr(self, "_rest", b""))))

    def write(self, data):
        """What the inner line does not take at once must not be harmed twice, so it waits here."""
        self._rest = getattr(self, "_rest", b"") + self._harm(data)
        self._rest = self._rest[self.inner.write(self._rest) :]
        return len(data)

    def unsent(self):
        return self.inner.unsent()

    def close(self):
        self.inner.close()

    def _harm(self, data):
        if not data:
            return data
        out, draw = bytearray(), self.random.random
        for byte in data:
            if draw() >= self.rate:
                out.append(byte)
                continue
            self.harmed += 1
            kind = self.random.randrange(4)
            if kind == 1:
                out += bytes([byte, byte])
            elif kind == 2:
                out.append(byte ^ 1 << self.random.randrange(8))
            elif kind == 3:
                out += bytes([byte, self.random.randrange(256)])
        return bytes(out)


class SlowLine:
    """A line of ``baud`` in both directions (ten bits a byte) and ``latency_s`` each way."""

    def __init__(self, inner, baud: int, latency_s: float = 0.001) -> None:
        self.inner, self.name, self.rate, self.latency_s = inner, inner.name, baud / 10, latency_s
        self.out, self.incoming = [], []  # (when, bytes)
        self.out_free = self.in_free = 0.0
        self.sent = self.received = 0

    def unsent(self):
        return sum(len(data) for _, data in self.out)

    def _schedule(self, queue, free, data):
        now = time.monotonic()
        free = max(free, now) + len(data) / self.rate
        queue.append((free + self.latency_s, data))
        return free

    def write(self, data):
        pieces = [data[i : i + 64] for i in range(0, len(data), 64)]
        for piece in pieces:
            self.out_free = self._schedule(self.out, self.out_free, piece)
        self.sent += len(data)
        self._move()
        return len(data)

    def _move(self):
        now = time.monotonic()
        while self.out and self.out[0][0] <= now:
            when, data = self.out.pop(0)
            taken = self.inner.write(data)
            if taken < len(data):
                self.out.insert(0, (when, data[taken:]))
                break

    def read(self, wait_s, writable=False):
        until = time.monotonic() + wait_s
        while True:
            self._move()
            data = self.inner.read(0.0)
            for i in range(0, len(data), 64):
                self.in_free = self._schedule(self.incoming, self.in_free, data[i : i + 64])
            now, ready = time.monotonic(), b""
            while self.incoming and self.incoming[0][0] <= now:
                ready += self.incoming.pop(0)[1]
            self.received += len(ready)
            if ready or now >= until:
                return ready
            due = [q[0][0] for q in (self.out, self.incoming) if q]
            time.sleep(max(0.0, min([until - now, 0.0005, *(d - now for d in due)])))

    def close(self):
        self.inner.close()


class RestartingLine:
    """A board that can only restart. It looks at what it was sent every ``busy_s``, all at once; starting
    takes ``boot_s``, while its clock runs; ``mute``: its acknowledgement of the request is lost.
    """

    def __init__(self, busy_s: float = 0.0, boot_s: float = 0.0, mute: bool = False) -> None:
        self.busy_s, self.boot_s, self.mute, self.name, self.restarts = busy_s, boot_s, mute, "restarting", 0
        self.deframer, self.inbox, self.session, self.asked = Deframer(), b"", 0, b""
        self.started = self.next = time.monotonic()

    def write(self, data):
        self.inbox += data
        return len(data)

    def unsent(self):
        return 0

    def read(self, wait_s, writable=False):
        time.sleep(min(wait_s, 0.005))
        now = time.monotonic()
        if now < self.next:
            return b""
        self.next, data, self.inbox = now + self.busy_s, self.inbox, b""
        out = b"".join(self._take(frame, now) for frame in self.deframer.feed(data))
        if self.asked == BY_NAME["reset"].pack():
            out = b"" if self.mute else out + Frame(DATA, self.session, 0, len(self.asked)).encode()
            self.started, self.next, self.session, self.asked = now, now + self.boot_s, 0, b""
            self.restarts += 1
        return out

    def _take(self, frame, now):
        if frame.kind == OPEN:
            if frame.session != self.session:
                self.session, self.asked = frame.session, b""
            return Frame(
                OPENED,
                self.session,
                payload=struct.pack("<BHHI", VERSION, 4096, 1024, int(1000 * (now - self.started))),
            ).encode()
        if frame.session != self.session:
            return Frame(CLOSED, frame.session).encode()
        if frame.offset == len(self.asked):
            self.asked += frame.payload
        return b""

    def close(self):
        pass


class ThinkingLine(RestartingLine):
    """A board that answers any request after ``think_s``, or never, and shows meanwhile that it lives."""

    def __init__(self, think_s: float | None) -> None:
        super().__init__()
        self.think_s, self.since = think_s, None

    def read(self, wait_s, writable=False):
        out = super().read(wait_s, writable)
        if self.since and self.think_s and time.monotonic() - self.since > self.think_s:
            self.since = None
            out += Frame(DATA, self.session, 0, len(self.asked), BY_NAME["result"].pack(0, 7)).encode()
        return out

    def _take(self, frame, now):
        out = super()._take(frame, now)
        if frame.kind in (DATA, AGAIN) and frame.session == self.session:
            self.since = self.since or now
            out += Frame(DATA, self.session, 0, len(self.asked)).encode()
        return out
