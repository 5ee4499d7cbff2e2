"""Writing data files so that a kill at any moment leaves the old file or the new one."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import numpy as np

from ..errors import DataError


@contextmanager
def atomic_file(path: Path | str) -> Iterator[BinaryIO]:
    """Open a temporary neighbour for writing bytes; renamed to ``path`` only if the block succeeds."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}).",
                        "Check that the folder exists, is writable and has room.") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON (UTF-8, readable) atomically."""
    with atomic_file(path) as stream:
        stream.write((json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode())


def read_json(path: Path | str) -> Any:
    """Read JSON; ``DataError`` in one sentence for a missing or broken file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON text ({error}).") from None


def write_npy(path: Path | str, array: np.ndarray) -> None:
    """Write one array in .npy format atomically."""
    with atomic_file(path) as stream:
        np.save(stream, array, allow_pickle=False)
