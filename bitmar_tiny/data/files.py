# SPDX-License-Identifier: Apache-2.0
"""Data files: JSON and .npy, written atomically, read with one sentence for every fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..files import atomic_file


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
