# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM while a run trains: a step is finished and kept before they are obeyed."""

from __future__ import annotations

import signal
import threading
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """A context manager that notes the first of ``SIGNALS``; ``number`` is it, 0 before. The second is obeyed
    at once, as if this were not here. In other threads than the main one it notes nothing.
    """

    def __init__(self) -> None:
        self.number = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # nohup ignores one
                    self.before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: Any) -> None:
        while self.before:
            signal.signal(*self.before.popitem())

    def _note(self, number: int, frame: Any) -> None:
        self.number = number
        self.__exit__()

    def obey(self) -> None:
        """Do now what the signal asks for."""
        self.__exit__()
        signal.raise_signal(self.number or signal.SIGTERM)  # another process of the run may have got it
