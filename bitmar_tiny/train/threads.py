# SPDX-License-Identifier: Apache-2.0
"""How many threads PyTorch computes with: for products of a few dozen columns a second one costs more than it
brings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


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
