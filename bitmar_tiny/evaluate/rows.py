# SPDX-License-Identifier: Apache-2.0
"""Rows of evaluation files: .jsonl, .json (a list), .csv and .parquet, one file or a folder of them; or a
.zip that holds .jsonl.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..data.files import ZIP_FAULTS, check_text, read_json
from ..errors import DataError
from ..files import parse_json

#: (row, where it stands: "file, line 3")
Row = tuple[dict[str, Any], str]


def read_rows(path: Path | str, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Every row of a file, or of all such files of a folder (and the folders in it), sorted by name.

    columns: names for a .csv without a header line. A row's file name without suffix is added as ``"file"``
    where the row has no such key. ``DataError`` for what is missing, unreadable or not a table of rows.
    """
    path = Path(path)
    if path.is_dir():
        files = [f for f in sorted(path.rglob("*")) if f.suffix in READERS and f.suffix != ".zip"]
        if not files:
            raise DataError(
                f"{path}: holds no {', '.join(READERS)} file.", "Give the file or folder as it was published."
            )
    elif not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    elif path.suffix not in READERS:
        raise DataError(f"{path}: files of this kind are not read.", f"Give one of: {', '.join(READERS)}.")
    else:
        files = [path]
    for file in files:
        for found, place in READERS[file.suffix](file, columns):
            row, where = _object(found, file, place), f"{file}, {place}"
            for value in row.values():
                if isinstance(value, str):
                    check_text(value, where)
            yield {"file": file.stem} | row, where


def _jsonl(path: Path, columns: Sequence[str] | None) -> Iterator[tuple[Any, str]]:
    for number, line in enumerate(_text(path), 1):
        if line.strip():
            try:
                yield parse_json(line), f"line {number}"
            except ValueError as error:
                raise DataError(
                    f"{path}, line {number}: not JSON ({error}).", "Copy the file again."
                ) from None


def _zip(path: Path, columns: Sequence[str] | None) -> Iterator[tuple[Any, str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".jsonl") and "__MACOSX" not in name:
                    for number, line in enumerate(archive.read(name).decode().splitlines(), 1):
                        where = f"{name}, line {number}"
                        yield {"file": Path(name).stem} | _object(parse_json(line), path, where), where
    except (*ZIP_FAULTS, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}).", "Copy the file again.") from None


def _object(row: Any, path: Path, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"{path}, {where}: not an object with named fields.")
    return row


def _json(path: Path, columns: Sequence[str] | None) -> Iterator[tuple[Any, str]]:
    rows = read_json(path)
    if not isinstance(rows, list):
        raise DataError(f"{path}: expected a JSON list of rows.", "One row a line goes into a .jsonl file.")
    return ((row, f"row {i}") for i, row in enumerate(rows, 1))


def _csv(path: Path, columns: Sequence[str] | None) -> Iterator[tuple[Any, str]]:
    lines = csv.reader(_text(path))
    try:
        names = columns or next(lines, [])
        for cells in lines:
            if len(cells) != len(names):
                raise DataError(
                    f"{path}, line {lines.line_num}: {len(cells)} columns, expected {len(names)} "
                    f"({', '.join(names)[:200]})."
                )
            yield dict(zip(names, cells, strict=True)), f"line {lines.line_num}"
    except csv.Error as error:
        raise DataError(f"{path}, line {lines.line_num}: not CSV ({error}).") from None


def _parquet(path: Path, columns: Sequence[str] | None) -> Iterator[tuple[Any, str]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise DataError(
            f"{path}: reading Parquet needs the package pyarrow, which is not installed.",
            "Run: pip install pyarrow",
        ) from None
    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]}).") from None
    return ((row, f"row {i}") for i, row in enumerate(table.to_pylist(), 1))


def _text(path: Path) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            yield from lines
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}).", "Copy the file again.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


READERS: dict[str, Callable[[Path, Sequence[str] | None], Iterator[tuple[Any, str]]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".zip": _zip,
}
