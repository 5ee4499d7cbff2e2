# SPDX-License-Identifier: Apache-2.0
"""Text that somebody hands in: plain or compressed, one file or a folder of them, one line is one sample.

Compression is recognised by content. A byte order mark is no text. A line that is not UTF-8 is refused by
its number before anything is trained, and what is no text at all by name.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import DataError
from ..extras import install, installed
from .frontend.kinds import HEAD, kind_of

#: Endings of compressed text: what a folder is searched for; a file that is named may have any name.
COMPRESSED = (".gz", ".zst")
_GZIP, _ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def text_files(path: Path | str, suffix: str = "") -> list[Path]:
    """The files that ``path`` stands for: itself, or all of a folder and the folders in it, sorted.

    suffix: of the files of a folder, compressed ones have ``.gz`` or ``.zst`` behind it. Without: ``.train``
    where there are such files (a BabyLM corpus), else ``.txt``. ``DataError`` where there is none.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    for ending in (suffix,) if suffix else (".train", ".txt"):
        found = sorted(f for f in path.rglob("*") if _plain_name(f).endswith(ending)) if path.is_dir() else []
        if found := [f for f in found if f.is_file() and not f.name.startswith(".")]:
            return found
    wanted = f"*{suffix}" if suffix else "*.train or *.txt"
    what = f"holds no {wanted} file" if path.is_dir() else "does not exist"
    raise DataError(f"{path}: {what}.", "Give a text file, or a folder of .txt or .train files (.gz, .zst).")


def _plain_name(path: Path) -> str:
    return path.name.removesuffix(path.suffix) if path.suffix in COMPRESSED else path.name


def is_compressed(path: Path | str) -> bool:
    """Whether a text file has to be unpacked. ``DataError`` where it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read(4).startswith((_GZIP, _ZSTANDARD))
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise DataError(f"{path}: cannot be read ({why}).") from None


@contextlib.contextmanager
def open_text(path: Path | str) -> Iterator[BinaryIO]:
    """The bytes of a text file, unpacked, behind the byte order mark if it has one.

    ``DataError`` for what is missing, damaged, or no text, and where the package for its compression is
    missing.
    """
    try:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(open(path, "rb"))
            if (head := stream.peek(HEAD)).startswith(_GZIP):
                stream = stack.enter_context(gzip.open(stream))
            elif head.startswith(_ZSTANDARD):
                stream = stack.enter_context(_zstandard(stream, path))
            if not isinstance(stream, io.BufferedReader):
                stream = io.BufferedReader(stream)
            _refuse_others(stream.peek(HEAD)[:HEAD], path)
            if stream.peek(3).startswith(codecs.BOM_UTF8):
                stream.read(3)
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{path}: a gzip file that is damaged or cut short.", "Copy it again.") from None
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise DataError(f"{path}: cannot be read ({why}).") from None


@contextlib.contextmanager
def _zstandard(stream: BinaryIO, path: Path | str) -> Iterator[BinaryIO]:
    if not installed("zstandard"):
        raise DataError(
            f"{path}: a Zstandard file, which needs the package zstandard.", f"Run: {install('zstandard')}"
        )
    import zstandard

    try:
        yield _Frames(stream, zstandard.ZstdDecompressor())
    except (zstandard.ZstdError, EOFError):
        raise DataError(f"{path}: a Zstandard file that is damaged or cut short.", "Copy it again.") from None


class _Frames(io.RawIOBase):
    """What Zstandard frames, one behind the other, unpack to; ``EOFError`` where the last is cut short."""

    #: Bytes read at once: they may unpack to 32,000 times as many.
    AT_ONCE = 4096

    def __init__(self, stream: BinaryIO, unpacker: Any) -> None:
        self.stream, self.unpacker, self.data = stream, unpacker, b""
        self.frame = unpacker.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.data:
            packed = self.frame.unused_data or self.stream.read(self.AT_ONCE)
            if not packed and self.frame.eof:
                return 0
            if not packed:
                raise EOFError
            if self.frame.eof:
                self.frame = self.unpacker.decompressobj()
            self.data = self.frame.decompress(packed)
        part, self.data = self.data[: len(buffer)], self.data[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _refuse_others(head: bytes, path: Path | str) -> None:
    kind = kind_of(head)
    if kind.startswith("UTF"):
        raise DataError(
            f"{path}: {kind}, expected UTF-8.", f"Convert it: iconv -f {kind.split()[0]} -t UTF-8."
        )
    if kind and kind not in ("a web page", "an SVG drawing"):
        raise DataError(
            f"{path}: {kind}, not text.", "Unpack or convert it to .txt first; .gz and .zst are read."
        )
    if head.count(0) * 8 > len(head):
        raise DataError(f"{path}: bytes that are no text.", "Give text in UTF-8.")


def read_lines(path: Path | str, suffix: str = "") -> Iterator[str]:
    """Yield the samples of a text, or of all files of a folder (:func:`text_files`): one non-blank line each,
    ends trimmed. Only newline separates, not the dozen other characters of ``str.splitlines``.
    """
    for file in text_files(path, suffix):
        with open_text(file) as stream:
            for number, line in enumerate(stream, 1):
                if text := decoded(line, file, number).strip():
                    yield text


def decoded(line: bytes, path: Path | str, number: int) -> str:
    """A line's text. ``DataError`` names file and line where it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        excel = ' ("CSV UTF-8" in Excel)' * (Path(path).suffix.lower() == ".csv")
        raise DataError(f"{path}: line {number} is not UTF-8.", f"Save it as UTF-8{excel}.") from None
