# SPDX-License-Identifier: Apache-2.0
"""Timing a call: many samples, each long enough for the clock, and their median, on one processor."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

SAMPLE_NS = 20_000  # a sample repeats the call until it takes about so long
LEAST_SAMPLES = 15


@dataclass(frozen=True)
class Timing:
    """Seconds per call over ``runs`` samples."""

    median_s: float
    min_s: float
    p95_s: float
    runs: int


def measure(call: Callable[[], object], seconds: float = 0.3) -> Timing:
    """Time ``call`` warm for about ``seconds`` (at least fifteen samples)."""
    repeat = 1
    while (spent := _sample(call, repeat)) < SAMPLE_NS:
        repeat = max(2 * repeat, int(repeat * SAMPLE_NS / max(spent, 1)))
    samples: list[float] = []
    end = time.perf_counter_ns() + int(seconds * 1e9)
    while len(samples) < LEAST_SAMPLES or time.perf_counter_ns() < end:
        samples.append(_sample(call, repeat) / repeat * 1e-9)
    samples.sort()
    return Timing(statistics.median(samples), samples[0], samples[len(samples) * 95 // 100], len(samples))


def _sample(call: Callable[[], object], repeat: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(repeat):
        call()
    return time.perf_counter_ns() - start


def pin(cpu: int) -> None:
    """Keep this process on one processor, where the system allows it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cpu})
