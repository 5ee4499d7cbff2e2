# SPDX-License-Identifier: Apache-2.0
"""Recordings made up for tests, with every figure known: nothing here was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bitmar_tiny.profile.recording import Recording

SECTIONS = ("embed", "enc.0", "fusion", "memory", "dec.0", "dec.1", "head")
PARTS = ("other", "gemv", "attention", "memory", "head", "pick")
IDENTITY = {
    "model": "tiny",
    "model_sha256": "ab" * 32,
    "board": "toy",
    "kernels": "portable",
    "head_bits": "2",
    "build_id": "1",
    "compiler": "gcc",
    "port": "host:",
    "when": "2026-01-01T00:00:00",
}
CLOCK = 100_000_000
#: Mean cycles of section x part; the memory is read in every fifth step.
COST = {
    ("embed", "other"): 2_000,
    ("enc.0", "gemv"): 40_000,
    ("enc.0", "attention"): 15_000,
    ("enc.0", "other"): 6_000,
    ("fusion", "gemv"): 9_000,
    ("fusion", "attention"): 4_000,
    ("memory", "memory"): 60_000,
    ("dec.0", "gemv"): 40_000,
    ("dec.0", "attention"): 15_000,
    ("dec.0", "other"): 6_000,
    ("dec.1", "gemv"): 40_000,
    ("dec.1", "attention"): 15_000,
    ("dec.1", "other"): 6_000,
    ("head", "head"): 90_000,
    ("head", "pick"): 12_000,
}


def make(
    steps: int = 60,
    prefill: int = 12,
    seed: int = 0,
    slower: float = 1.0,
    part: str = "gemv",
    noise: float = 0.02,
    **changes,
) -> Recording:
    """A stream of ``steps``; ``slower`` multiplies one part; ``noise`` is a step's common one, beside each
    cell's own half of it.
    """
    rng = np.random.default_rng(seed)
    cycles = np.zeros((steps, len(SECTIONS), len(PARTS)), np.uint64)
    common = 1 + np.abs(rng.normal(0, noise, steps))
    for (section, name), mean in COST.items():
        cost = mean * common * (1 + np.abs(rng.normal(0, noise / 2, steps))) * (slower if name == part else 1)
        if name == "attention":
            cost *= 0.5 + np.arange(steps) / steps  # grows with the window
        if name == "memory":
            cost *= np.arange(steps) % 5 == 0
        if section == "head":
            cost *= np.arange(steps) >= prefill
        cycles[:, SECTIONS.index(section), PARTS.index(name)] = cost.astype(np.uint64)
    totals = cycles.sum(axis=(1, 2), dtype=np.uint64) + np.uint64(1_500)
    starts = np.concatenate(([7_000_000], 7_000_000 + np.cumsum(totals[:-1] + np.uint64(400)))).astype(
        np.uint64
    )
    values = {
        "identity": IDENTITY,
        "label": "measured",
        "clock_hz": CLOCK,
        "sections": SECTIONS,
        "parts": PARTS,
        "kinds": ("prefill",) * prefill + ("decode",) * (steps - prefill),
        "starts": starts,
        "totals": totals,
        "cycles": cycles,
        "stack_peak": 3_000,
        "arenas": {"ram": 160_576},
        "store": None,
        "plan": None,
    }
    return Recording(**(values | changes))


def changed(recording: Recording, **changes) -> str:
    """The recording's file with some keys changed (None: left out), for what a reader must refuse."""
    values = json.loads(recording.to_json()) | changes
    return json.dumps(
        {k: v for k, v in values.items() if v is not None or k in ("stack_peak", "store", "plan")}
    )


def save(recording: Recording, path: Path) -> Path:
    path.write_text(recording.to_json())
    return path
