# SPDX-License-Identifier: Apache-2.0
"""Vectors of many pictures, computed once for each content:

    FOLDER/features.npy      [N, n, 768]: the pictures asked for last that could be read, in their order
    FOLDER/pictures.json     how they were made, the SHA-256 of each row's picture; written last
    FOLDER/features.part     rows computed since, one behind the other, until they are in features.npy
    FOLDER/features.jsonl    first how they are made, then the SHA-256 of each

Whatever is there for a picture's content is not computed again: an interrupted run goes on, and of a changed
list only what is new is computed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import DataError
from ..files import atomic_file, parse_json
from .corpus import Stacked
from .files import read_json, read_npy, write_json

#: A picture: a file, or uint8 [H, W, 3].
Picture = Path | str | np.ndarray
#: Turns pictures into rows [n, 768], one after the other, or into what is wrong with one.
Work = Callable[[Sequence[Picture]], Iterator[np.ndarray | DataError]]
TABLE, RECORD, PART, JOURNAL = "features.npy", "pictures.json", "features.part", "features.jsonl"


@dataclass(frozen=True)
class Made:
    """kept: which of the pictures have a row in features.npy; bad: what is wrong with each other; shape: of
    features.npy.
    """

    kept: list[int]
    bad: list[DataError]
    shape: tuple[int, ...]


def make_rows(
    folder: Path,
    made_with: dict[str, Any],
    pictures: Sequence[Picture],
    work: Work,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Write ``features.npy`` and ``pictures.json`` of those pictures that can be read.

    made_with: all that a row depends on beside its picture. progress: called with (done, total).
    ``DataError`` where no picture can be read, and for a full disk; rows that were computed by then are kept.
    """
    made_with = json.loads(json.dumps(made_with))  # as it is read back
    names = [_content(picture) for picture in pictures]
    bad: dict[str, DataError] = {n: n.error for n in names if isinstance(n, _Unreadable)}
    with contextlib.closing(_Store(folder, made_with)) as store:
        todo = {n: p for n, p in zip(names, pictures, strict=True) if n not in store.known and n not in bad}
        done = len(pictures) - len(todo)
        if progress and done:
            progress(done, len(pictures))
        for name, row in zip(todo, work(list(todo.values())), strict=True):
            if isinstance(row, DataError):
                bad[name] = row
            else:
                store.add(name, row)
            done += 1
            if progress:
                progress(done, len(pictures))
        kept = [i for i, name in enumerate(names) if name not in bad]
        faults = [bad[name] for name in names if name in bad]
        if not kept:
            raise faults[0]
        return Made(kept, faults, store.finish([names[i] for i in kept]))


class _Unreadable(str):
    """Stands for the content of a file that cannot be opened."""

    error: DataError


def _content(picture: Picture) -> str:
    """SHA-256 (hex) of a picture's content."""
    if isinstance(picture, np.ndarray):
        return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()
    try:
        with open(picture, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        name = _Unreadable(picture)
        name.error = DataError(f"{picture}: cannot be read ({error.strerror}).")
        return name


class _Store:
    """What is in the folder. known: content -> row of ``features.npy`` or, from ``len(finished)`` on, of the
    part.
    """

    def __init__(self, folder: Path, made_with: dict[str, Any]) -> None:
        self.folder, self.made_with = folder, made_with
        self.finished, self.shape, self.dtype = self._load_finished()
        self.known = {name: i for i, name in enumerate(self.finished)}
        self.streams: list[BinaryIO] = []
        self.added = 0
        for name in self._load_part():
            self._note(name)

    def _note(self, name: str) -> None:
        self.known[name] = len(self.finished) + self.added
        self.added += 1

    def _load_finished(self) -> tuple[list[str], tuple[int, ...], np.dtype | None]:
        try:
            record, rows = read_json(self.folder / RECORD), read_npy(self.folder / TABLE, mapped=True)
            if record["made_with"] == self.made_with and len(record["sha256"]) == len(rows):
                return list(record["sha256"]), rows.shape[1:], rows.dtype
        except (DataError, KeyError, TypeError):
            pass
        return [], (), None

    def _load_part(self) -> list[str]:
        """Rows that are whole; a kill may have cut either file short, so what is behind them is dropped."""
        try:
            first, *names = (self.folder / JOURNAL).read_bytes().split(b"\n")[:-1]
            head = parse_json(first)
            shape, dtype = tuple(head["shape"]), np.dtype(head["dtype"])
            there = (self.folder / PART).stat().st_size // (math.prod(shape) * dtype.itemsize)
            if (
                head["made_with"] != self.made_with
                or self.dtype
                and (shape, dtype) != (self.shape, self.dtype)
            ):
                return []
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
            return []
        whole = [name.decode() for name in names[:there]]
        self._begin(shape, dtype, whole)
        return whole

    def _begin(self, shape: tuple[int, ...], dtype: np.dtype, names: Sequence[str] = ()) -> None:
        """Open the part for more rows, cut to those of ``names``."""
        self.shape, self.dtype = shape, dtype
        head = {"made_with": self.made_with, "shape": list(shape), "dtype": dtype.name}
        with atomic_file(self.folder / JOURNAL) as f:
            f.write("".join(f"{line}\n" for line in (json.dumps(head), *names)).encode())
        self.streams = [open(self.folder / name, "ab") for name in (PART, JOURNAL)]
        self.streams[0].truncate(len(names) * math.prod(shape) * dtype.itemsize)

    def add(self, name: str, row: np.ndarray) -> None:
        """A row just computed; it is on disk before its name is."""
        try:
            if not self.streams:
                self._begin(row.shape, row.dtype)
            for stream, data in zip(self.streams, (row.tobytes(), f"{name}\n".encode()), strict=True):
                stream.write(data)
                stream.flush()
        except OSError as error:
            raise DataError(
                f"{self.folder / PART}: cannot be written ({error.strerror}).",
                "Make room; the same command goes on from here.",
            ) from None
        self._note(name)

    def finish(self, names: list[str]) -> tuple[int, ...]:
        """Write the table of these contents, unless it is there; its shape."""
        shape = (len(names), *self.shape)
        if names != self.finished:
            sources = [np.load(self.folder / TABLE, mmap_mode="r")] if self.finished else []
            if self.added:
                sources.append(
                    np.memmap(self.folder / PART, self.dtype, "r", shape=(self.added, *self.shape))
                )
            rows = Stacked(sources)
            with atomic_file(self.folder / TABLE) as stream:
                head = {
                    "descr": np.lib.format.dtype_to_descr(self.dtype),
                    "fortran_order": False,
                    "shape": shape,
                }
                np.lib.format.write_array_header_1_0(stream, head)
                for name in names:
                    stream.write(rows[self.known[name]].tobytes())
            write_json(self.folder / RECORD, {"made_with": self.made_with, "sha256": names})
        self.close()
        for name in (PART, JOURNAL):
            (self.folder / name).unlink(missing_ok=True)
        return shape

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
