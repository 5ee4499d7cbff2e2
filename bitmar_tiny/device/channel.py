"""Requests and their answers: over a link, recorded, or replayed from a record."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator, Protocol

from ..errors import DataError, DeviceError
from .link import Link
from .protocol import BY_NAME, BY_NUMBER, HEADER

SCHEMA, SCHEMA_VERSION = "bitmar-tiny/exchange", 1
#: Messages that end the answer to a request.
LAST = {BY_NAME[name].number for name in ("result", "identity", "counters")}
LARGEST = 1 << 28                        # bytes of a message that can be meant


class Channel(Protocol):
    """What a board is asked through."""

    name: str

    def exchange(self, request: bytes, limit_s: float) -> Iterator[tuple[int, bytes]]:
        """Send a request; yields the messages of its answer, number and payload, up to the last."""

    def close(self) -> None: ...


class LinkChannel:
    """A live board."""

    def __init__(self, link: Link) -> None:
        self.link, self.name = link, link.line.name

    def exchange(self, request: bytes, limit_s: float) -> Iterator[tuple[int, bytes]]:
        self.link.send(request)
        number = None
        while number not in LAST:
            number, size = HEADER.unpack(self.link.receive(HEADER.size, limit_s))
            if number not in BY_NUMBER or size > LARGEST:
                raise DeviceError(f"{self.name}: the board answered with message {number} of {size} bytes, which this program does not know.",
                                  "Flash firmware of the same version of bitmar-tiny.")
            yield number, self.link.receive(size, limit_s)

    def close(self) -> None:
        self.link.close()


class RecordingChannel:
    """Passes everything on and writes it to a file, a line for every message."""

    def __init__(self, inner: Channel, path: Path) -> None:
        self.inner, self.name, self.path = inner, inner.name, path
        self._file = open(path, "w")
        self._write({"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "port": inner.name, "when": datetime.now(timezone.utc).isoformat(timespec="seconds")})

    def exchange(self, request: bytes, limit_s: float) -> Iterator[tuple[int, bytes]]:
        self._write({"request": base64.b64encode(request).decode()})
        for number, payload in self.inner.exchange(request, limit_s):
            self._write({"answer": number, "payload": base64.b64encode(payload).decode()})
            yield number, payload

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
            self.port: str = head["port"]
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
            number = self._take("answer", keep=True)
            yield number, base64.b64decode(self._records[self._next - 1]["payload"])

    def close(self) -> None:
        pass

    def _take(self, key: str, keep: bool = False) -> Any:
        try:
            self._next += 1
            return self._records[self._next - 1][key]
        except (LookupError, TypeError):
            raise DataError(f"{self.path}: the record ends early, at line {self._next + 1}.",
                            "Replay a record with the command, the options and the model that made it.") from None
