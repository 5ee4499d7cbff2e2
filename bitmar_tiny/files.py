"""Writing files so that a kill at any moment leaves the old content or the new, never half of either."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO, Iterator

from .errors import BitmarError, DataError


@contextlib.contextmanager
def atomic_file(path: Path | str, error: type[BitmarError] = DataError) -> Iterator[BinaryIO]:
    """Open a temporary neighbour for writing bytes; it becomes ``path`` only if the block succeeds.

    The file and its folder are synced. ``error`` is raised, in one sentence, when the disk refuses.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as problem:
        raise error(f"{path}: cannot be written ({problem.strerror or problem}).",
                    "Check that the folder exists, is writable and has room.") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def sweep(folder: Path | str) -> None:
    """Remove what :func:`atomic_file` left unfinished in ``folder`` when its process was killed. Nobody else may be writing there."""
    for path in Path(folder).glob(".*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()
