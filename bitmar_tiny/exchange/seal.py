# SPDX-License-Identifier: Apache-2.0
"""A seal inside an exported file: SHA-256 over its bytes with the seal's own digits as zeros.

What a runtime parses in C++ was so written by us, bit for bit: a damaged or foreign file never reaches it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import DataError

_MARK = b"bitmar-tiny-seal:"
_DIGITS = 64
#: What a writer puts into its metadata; :func:`seal` fills it in.
BLANK = (_MARK + b"0" * _DIGITS).decode()


def seal(data: bytes) -> bytes:
    """``data``, which holds ``BLANK`` once, with the digest in its place."""
    start = data.index(BLANK.encode()) + len(_MARK)
    return data[:start] + hashlib.sha256(data).hexdigest().encode() + data[start + _DIGITS :]


def is_sealed(data: bytes) -> bool:
    """Whether there is a seal, intact or not."""
    return _MARK in data


def check_seal(data: bytes, where: Path, made_by: str) -> None:
    """``DataError`` unless the file is one of ours and unchanged."""
    start = data.find(_MARK) + len(_MARK)
    if start < len(_MARK):
        raise DataError(f"{where}: not a file that bitmar-tiny exported.", f"Make one with '{made_by}'.")
    digits, blank = data[start : start + _DIGITS], data[:start] + b"0" * _DIGITS + data[start + _DIGITS :]
    if digits != hashlib.sha256(blank).hexdigest().encode():
        raise DataError(
            f"{where}: the content does not match its SHA-256; the file was changed or damaged.",
            f"Copy it again or make it again with '{made_by}'.",
        )
