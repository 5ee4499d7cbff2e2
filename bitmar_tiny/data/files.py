# SPDX-License-Identifier: Apache-2.0
"""Data files: JSON and .npy, written atomically, read with one sentence for every fault."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..files import atomic_file, parse_json

#: What reading a damaged ZIP archive raises.
ZIP_FAULTS = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, KeyError),
    *(NotImplementedError, RuntimeError, UnicodeDecodeError),
)
#: What a .npy file begins with.
NPY = b"\x93NUMPY"


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON (UTF-8, readable) atomically."""
    with atomic_file(path) as stream:
        stream.write((json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode())


def read_json(path: Path | str) -> Any:
    """Read JSON; ``DataError`` in one sentence for a missing or broken file."""
    try:
        return parse_json(Path(path).read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON text ({error}).") from None


def check_text(text: str, where: str) -> str:
    """``text``, unless it holds half a character, which JSON can write and no text: ``DataError``."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        raise DataError(
            f"{where} holds half a character (\\u{half:04x} without its other half).",
            "Write the text again from its source.",
        ) from None
    return text


def check_texts(fields: dict[str, Any], where: str, hint: str, empty: Sequence[str] = ()) -> None:
    """``DataError`` for the first value that is no text, holds half a character, or says nothing; those of
    ``empty`` may.
    """
    for name, value in fields.items():
        if not isinstance(value, str) or name not in empty and not value.strip():
            raise DataError(f"{where}: '{name}' is not a text.", hint)
        check_text(value, f"{where}: '{name}'")


def picture_beside(file: Path, name: str, what: str, where: str) -> Path:
    """The picture ``name`` from the folder of ``file``, a ``what``. ``DataError`` if there is none."""
    picture = file.parent / name
    if not os.path.isfile(picture):
        raise DataError(f"{where}: there is no picture {picture}.", f"Name it from the folder of the {what}.")
    return picture


def read_npy(path: Path | str, mapped: bool = False) -> np.ndarray:
    """One array of numbers in a .npy file, memory-mapped if asked for. ``DataError`` for anything else."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(len(NPY))
        if not head.startswith((NPY[: len(head)], b"PK")):
            raise DataError(f"{path}: not a .npy file.", "Write the array with numpy.save.")
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist.") from None
    except DataError:
        raise
    except Exception as error:  # the header is Python text: its reader raises whatever Python's own does
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        why = "its header is damaged" if " object at 0x" in why else why
        raise DataError(
            f"{path}: not a complete .npy file of numbers ({why}).", "Copy or compute it again."
        ) from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: an .npz archive, expected one .npy array.")
    return array


def write_npy(path: Path | str, array: np.ndarray) -> None:
    """Write one array in .npy format atomically."""
    with atomic_file(path) as stream:
        np.save(stream, array, allow_pickle=False)
