# SPDX-License-Identifier: Apache-2.0
"""The progress bar of training: smoothed loss, perplexity, tokens per second, time left."""

from __future__ import annotations

import math
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY = 200  # steps
SMOOTHING = 0.98


class Bar:
    """A context manager around the loop; tells one line every ``LINE_EVERY`` steps where there is no
    terminal.
    """

    def __init__(self, steps: int, done: int, show: bool) -> None:
        columns = (
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=Console(stderr=True), disable=not show)
        self.task = self.progress.add_task("", total=steps, completed=done, words="")
        self.show, self.lines = show, show and not self.progress.console.is_terminal
        self.loss, self.tokens, self.seconds, self.last = None, 0.0, 0.0, time.monotonic()

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *error) -> None:
        self.progress.stop()

    @property
    def rate(self) -> float:
        """Tokens per second, over about the last fifty steps."""
        return self.tokens / max(self.seconds, 1e-9)

    def advance(self, loss: float, tokens: int) -> None:
        now = time.monotonic()
        self.loss = loss if self.loss is None else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        self.tokens = SMOOTHING * self.tokens + tokens
        self.seconds, self.last = SMOOTHING * self.seconds + now - self.last, now
        words = f"loss {self.loss:.3f}  ppl {math.exp(min(self.loss, 30)):.1f}  {self.rate:,.0f} tok/s"
        self.progress.update(self.task, advance=1, words=words)
        done = int(self.progress.tasks[0].completed)
        if self.lines and done % LINE_EVERY == 0:
            self.say(f"step {done:,}: {words}")

    def say(self, words: str) -> None:
        """One line above the bar."""
        if self.show:
            self.progress.console.print(f"  {words}", soft_wrap=True, highlight=False)
