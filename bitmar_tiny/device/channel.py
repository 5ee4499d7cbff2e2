"""Requests and their answers: over a link, recorded, or replayed from a record."""

from __future__ import annotations

import base64
import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator, Protocol

from ..errors import DataError, DeviceError
from .link import Link
from .protocol import BY_NAME, BY_NUMBER, HEADER

SCHEMA, SCHEMA_VERSION = "bitmar-tiny/exchange", 1
#: Messages that end the answer to a request.
LAST = {BY_NAME[name].number for name in ("result", "identity", "counters")}
RESTART_S, OPEN_S = 10.0, 0.5
LARGEST = 1 << 28                        # bytes of a message that can be meant


class Channel(Protocol):
    """What a board is asked through."""

    name: str
    powers: bool                         # it can switch the board off and on

    def exchange(self, request: bytes, limit_s: float) -> Iterator[tuple[int, bytes]]:
        """Send a request; yields the messages of its answer, number and payload, up to the last."""

    def restart(self, request: bytes) -> None:
        """Off and on; by ``request``, which asks the board for it, where ``powers`` is false."""

    def close(self) -> None: ...


class LinkChannel:
    """A live board."""

    def __init__(self, link: Link) -> None:
        self.link, self.name, self.powers = link, link.line.name, hasattr(link.line, "restart")

    def exchange(self, request: bytes, limit_s: float) -> Iterator[tuple[int, bytes]]:
        self.link.send(request)
        number = None
        while number not in LAST:
            number, size = HEADER.unpack(self.link.receive(HEADER.size, limit_s))
            if number not in BY_NUMBER or size > LARGEST:
                raise DeviceError(f"{self.name}: the board answered with message {number} of {size} bytes, which this program does not know.",
                                  "Flash firmware of the same version of bitmar-tiny.")
            yield number, self.link.receive(size, limit_s)

    def restart(self, request: bytes) -> None:
        up = 0 if self.powers else self.link.opened.uptime_ms
        if self.powers:
            self.link.line.restart()
        else:
            self.link.send(request)
        until = time.monotonic() + RESTART_S
        while time.monotonic() < until:
            opened = self.link.open(OPEN_S)
            if opened and (self.powers or opened.uptime_ms <= up + 1000 * OPEN_S):
                return
        raise DeviceError(f"{self.name}: the board did not come back within {RESTART_S:.0f} s of its restart.", "Reset it by hand and run the command again.")

    def close(self) -> None:
        self.link.close()


class RecordingChannel:
    """Passes everything on and writes it to a file, a line for every message."""

    def __init__(self, inner: Channel, path: Path) -> None:
        self.inner, self.name, self.powers = inner, inner.name, inner.powers
        try:
            self._file = open(path, "w")
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror}.", "Choose another file for --record.") from None
        self._write({"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "port": inner.name, "powers": inner.powers,
                     "when": datetime.now(timezone.utc).isoformat(timespec="seconds")})

    def exchange(self, request: bytes, limit_s: float) -> Iterator[tuple[int, bytes]]:
        self._write({"request": base64.b64encode(request).decode()})
        for number, payload in self.inner.exchange(request, limit_s):
            self._write({"answer": number, "payload": base64.b64encode(payload).decode()})
            yield number, payload

    def restart(self, request: bytes) -> None:
        self.inner.restart(request)
        self._write({"restart": True})

    def close(self) -> None:
        self._file.close()
        self.inner.close()

    def _write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()


class ReplayChannel:
    """A recorded exchange in place of a board: the same questions get the same answers."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, f"replay:{path}"
        try:
            records = [json.loads(line) for line in path.read_text().splitlines()]
            head, self._records = records[0], records[1:]
            if (head["schema"], head["schema_version"]) != (SCHEMA, SCHEMA_VERSION):
                raise KeyError
            self.port, self.powers = str(head["port"]), bool(head["powers"])
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}.", "Record an exchange with --record FILE.") from None
        except (ValueError, LookupError, TypeError):
            raise DataError(f"{path}: not a recorded exchange of this version.", "Record one with --record FILE.") from None
        self._next = 0

    def exchange(self, request: bytes, limit_s: float) -> Iterator[tuple[int, bytes]]:
        if base64.b64encode(request).decode() != self._take("request"):
            name = BY_NUMBER[request[0]].name
            raise DataError(f"{self.path}: this command asks something else ('{name}') than what was recorded as exchange {self._next}.",
                            "Replay a record with the command, the options and the model that made it.")
        number = None
        while number not in LAST:
            number = self._take("answer")
            yield number, base64.b64decode(self._records[self._next - 1]["payload"])

    def restart(self, request: bytes) -> None:
        self._take("restart")

    def close(self) -> None:
        pass

    def _take(self, key: str) -> Any:
        try:
            self._next += 1
            return self._records[self._next - 1][key]
        except (LookupError, TypeError):
            raise DataError(f"{self.path}: the record ends early, at line {self._next + 1}.",
                            "Replay a record with the command, the options and the model that made it.") from None
