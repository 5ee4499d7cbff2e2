# SPDX-License-Identifier: Apache-2.0
"""Work on many things in several processes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from ..errors import DataError

Item, Result = TypeVar("Item"), TypeVar("Result")


def in_processes(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    at_once: int = 1,
    begin: Callable[..., None] | None = None,
    *arguments: Any,
) -> Iterator[Result]:
    """``work`` of every item, in their order, in so many new processes.

    at_once: items handed over together; begin: called with ``arguments`` in each process first. ``DataError``
    where a process was killed. Ctrl-C ends this process, which then ends the others.
    """
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (begin, *arguments)) as pool:
        try:
            yield from pool.map(work, items, chunksize=at_once)
        except BrokenProcessPool:
            raise DataError(
                "A process that prepares data was killed.",
                "There was probably not enough memory: close other programs; what was done is kept.",
            ) from None


def _begin(begin: Callable[..., None] | None, *arguments: Any) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal sends it to all; one traceback each is no answer
    if begin:
        begin(*arguments)
