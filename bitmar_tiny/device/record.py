"""Exchanges with a board, written to a file and played back in its place: a line of JSON for everything that happens."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Iterator

from ..errors import DataError, DeviceError
from .channel import LAST, About, Channel
from .protocol import BY_NUMBER

SCHEMA, SCHEMA_VERSION = "bitmar-tiny/exchange", 2
OTHER = "Replay a record with the command, the options and the model that made it."


class Record:
    """A file that is written. ``DataError`` if it cannot be."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = open(path, "w")
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror}.", "Choose another file for --record.") from None

    def begin(self, about: dict[str, Any]) -> None:
        self.write({"schema": SCHEMA, "schema_version": SCHEMA_VERSION} | about)

    def write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def error(self, error: DeviceError) -> None:
        self.write({"error": error.message, "hint": error.hint})

    def close(self) -> None:
        self._file.close()


class RecordingChannel:
    """Passes everything on and writes it down."""

    def __init__(self, inner: Channel, record: Record) -> None:
        self.inner, self.record, self.about = inner, record, inner.about
        record.begin(asdict(inner.about))

    def exchange(self, request: bytes) -> Iterator[tuple[int, bytes]]:
        self.record.write({"request": base64.b64encode(request).decode()})
        try:
            for number, payload in self.inner.exchange(request):
                self.record.write({"answer": number, "payload": base64.b64encode(payload).decode()})
                yield number, payload
        except DeviceError as error:
            self.record.error(error)
            raise

    def restart(self, request: bytes) -> None:
        self._written("restart", lambda: self.inner.restart(request))

    def set_speed(self, baud: int) -> None:
        self._written("speed", lambda: self.inner.set_speed(baud))

    def pulse(self, name: str) -> str:
        return self._written("pulse", lambda: self.inner.pulse(name))

    def observe(self, look: Callable[[], Any]) -> Any:
        return self._written("seen", lambda: self.inner.observe(look))

    def close(self) -> None:
        self.record.close()
        self.inner.close()

    def _written(self, what: str, act: Callable[[], Any]) -> Any:
        try:
            value = act()
        except DeviceError as error:
            self.record.error(error)
            raise
        self.record.write({what: value})
        return value


class ReplayChannel:
    """A record in place of a board: the same questions get the same answers, and the same errors."""

    def __init__(self, path: Path) -> None:
        self.path, self._next = path, 0
        head, self._lines = read(path)
        if "error" in head:
            raise DeviceError(head["error"], head["hint"])
        try:
            self.about = About(**head)
        except TypeError:
            raise _none(path) from None

    def exchange(self, request: bytes) -> Iterator[tuple[int, bytes]]:
        if base64.b64encode(request).decode() != self._take("request"):
            name = BY_NUMBER[request[0]].name
            raise DataError(f"{self.path}: this command asks something else ('{name}') than what was recorded in line {self._next + 1}.", OTHER)
        number = None
        while number not in LAST:
            number = self._take("answer")
            try:
                payload = base64.b64decode(self._lines[self._next - 1]["payload"], validate=True)
            except (ValueError, LookupError, TypeError):
                raise _none(self.path) from None
            if number not in BY_NUMBER:
                raise _none(self.path)
            yield number, payload

    def restart(self, request: bytes) -> None:
        self._take("restart")

    def set_speed(self, baud: int) -> None:
        self._take("speed")

    def pulse(self, name: str) -> str:
        return self._take("pulse")

    def observe(self, look: Callable[[], Any]) -> Any:
        return self._take("seen")

    def close(self) -> None:
        pass

    def _take(self, key: str) -> Any:
        self._next += 1
        line = self._lines[self._next - 1] if self._next <= len(self._lines) else {}
        if "error" in line:
            raise DeviceError(line["error"], line["hint"])
        if key not in line:
            what = f"this command asks something else than what was recorded in line {self._next + 1}" if line else f"the record ends early, at line {self._next + 1}"
            raise DataError(f"{self.path}: {what}.", OTHER)
        return line[key]


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Head, without its schema, and lines of a record. ``DataError`` if it is none."""
    try:
        head, *lines = [json.loads(line) for line in path.read_text().splitlines()]
        if (head.pop("schema"), head.pop("schema_version")) != (SCHEMA, SCHEMA_VERSION) or not all(isinstance(line, dict) for line in lines):
            raise ValueError
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {(error.strerror or '').lower()}.", "Record an exchange with --record FILE.") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise _none(path) from None
    return head, lines


def _none(path: Path) -> DataError:
    return DataError(f"{path}: not a recorded exchange of this version.", "Record one with --record FILE.")
