# SPDX-License-Identifier: Apache-2.0
"""What PyTorch may use of the machine: how many threads it computes with (for products of a few dozen columns
a second one costs more than it brings), and memory that it frees and asks for again.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

#: Of ``mallopt`` (glibc's malloc.h): the heap is given back from so many free bytes on (-1: never), and
#: blocks come out of it up to so many bytes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _LARGE = -1, -3, 1 << 30


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch on ``count`` threads, 0: on as many as it likes; as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Have this process keep the memory that it frees, where the C library is one that can be told. Every
    step asks for the same tensors again; else the system fills their pages with zeros each time, which takes
    as long as computing them.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, -1)
        mallopt(_MMAP_THRESHOLD, _LARGE)
