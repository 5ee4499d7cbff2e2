# SPDX-License-Identifier: Apache-2.0
"""Exchanges with a board, written to a file and played back in its place: a line of JSON for everything that
happens.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import DataError, DeviceError
from ..files import parse_json
from .channel import LAST, About, Channel, LinkChannel
from .protocol import BY_NUMBER

SCHEMA, SCHEMA_VERSION = "bitmar-tiny/exchange", 2
OTHER = "Replay a record with the command, the options and the model that made it."


class Record:
    """A file that is written. ``DataError`` if it cannot be."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = open(path, "w")
        except OSError as error:
            raise DataError(
                f"{path}: cannot be written: {(error.strerror or '').lower()}.",
                "Choose another file for --record.",
            ) from None

    def begin(self, about: dict[str, Any]) -> None:
        self.write({"schema": SCHEMA, "schema_version": SCHEMA_VERSION} | about)

    def write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def act(self, what: str, call: Callable[[], Any]) -> Any:
        """``call()``; what it returns, a JSON value, or its error is written."""
        with self.errors():
            value = call()
        self.write({what: value})
        return value

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except DeviceError as error:
            self.write({"error": error.message, "hint": error.hint})
            raise

    def close(self) -> None:
        self._file.close()


class Playback:
    """A record that is read, line by line; its errors are raised again. ``head``: what ``begin`` was told."""

    def __init__(self, path: Path) -> None:
        self.path, self._next = path, 0
        try:
            self.head, *self._lines = [parse_json(line) for line in path.read_bytes().splitlines()]
            if (self.head.pop("schema"), self.head.pop("schema_version")) != (
                SCHEMA,
                SCHEMA_VERSION,
            ) or not all(isinstance(line, dict) for line in self._lines):
                raise ValueError
            for line in (self.head, *self._lines):
                if not all(isinstance(line.get(key, ""), str) for key in ("error", "hint")):
                    raise ValueError
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read: {(error.strerror or '').lower()}.",
                "Record an exchange with --record FILE.",
            ) from None
        except (ValueError, LookupError, TypeError, AttributeError):
            raise self.broken() from None
        if "error" in self.head:
            raise DeviceError(self.head["error"], self.head.get("hint", ""))

    def take(self, key: str) -> Any:
        """The value under ``key`` in the next line."""
        return self.line(key)[key]

    def line(self, key: str) -> dict[str, Any]:
        """The next line, which has ``key``."""
        self._next += 1
        line = self._lines[self._next - 1] if self._next <= len(self._lines) else {}
        if "error" in line:
            raise DeviceError(line["error"], line.get("hint", ""))
        if not line:
            raise DataError(f"{self.path}: the record ends early, at line {self._next + 1}.", OTHER)
        if key not in line:
            raise self.other()
        return line

    def other(self) -> DataError:
        return DataError(
            f"{self.path}: this command asks something else than what was recorded in line {self._next + 1}.",
            OTHER,
        )

    def broken(self) -> DataError:
        return DataError(
            f"{self.path}: not a recorded exchange of this version.", "Record one with --record FILE."
        )


class RecordingChannel:
    """Passes everything on and writes it down."""

    def __init__(self, inner: Channel, record: Record) -> None:
        self.inner, self.record, self.about = inner, record, inner.about
        record.begin(asdict(inner.about))

    def exchange(self, request: bytes) -> Iterator[tuple[int, bytes]]:
        self.record.write({"request": base64.b64encode(request).decode()})
        with self.record.errors():
            for number, payload in self.inner.exchange(request):
                self.record.write({"answer": number, "payload": base64.b64encode(payload).decode()})
                yield number, payload

    def restart(self, request: bytes) -> None:
        self.record.act("restart", lambda: self.inner.restart(request))

    def set_speed(self, baud: int) -> None:
        self.record.act("speed", lambda: self.inner.set_speed(baud))

    def pulse(self, name: str) -> str:
        return self.record.act("pulse", lambda: self.inner.pulse(name))

    def observe(self, look: Callable[[LinkChannel], Any]) -> Any:
        return self.record.act("seen", lambda: self.inner.observe(look))

    def close(self) -> None:
        self.record.close()
        self.inner.close()


class ReplayChannel:
    """A record in place of a board: the same questions get the same answers, and the same errors."""

    def __init__(self, path: Path) -> None:
        self._play = Playback(path)
        try:
            self.about = About(**self._play.head)
        except TypeError:
            raise self._play.broken() from None

    def exchange(self, request: bytes) -> Iterator[tuple[int, bytes]]:
        if base64.b64encode(request).decode() != self._play.take("request"):
            raise self._play.other()
        number = None
        while number not in LAST:
            line = self._play.line("answer")
            number = line["answer"]
            try:
                payload = base64.b64decode(line["payload"], validate=True)
            except (ValueError, LookupError, TypeError):
                raise self._play.broken() from None
            if not isinstance(number, int) or number not in BY_NUMBER:
                raise self._play.broken()
            yield number, payload

    def restart(self, request: bytes) -> None:
        self._play.take("restart")

    def set_speed(self, baud: int) -> None:
        self._play.take("speed")

    def pulse(self, name: str) -> str:
        return self._play.take("pulse")

    def observe(self, look: Callable[[LinkChannel], Any]) -> Any:
        return self._play.take("seen")

    def close(self) -> None:
        pass
