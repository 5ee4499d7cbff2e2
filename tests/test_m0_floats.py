# SPDX-License-Identifier: Apache-2.0
"""The floats of kernel family ``m0`` against this machine's hardware: every bit of every result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from firmware.build import Case, check_on_board

from bitmar_tiny.codegen.boards import load_board

DRIVER = Path(__file__).parent / "firmware" / "float_driver.c"
COUNT = 20000  # pairs of each kind
#: Zeros, denormals, the largest, infinities, no number, ones and their neighbours, what is added to round.
SPECIAL = np.array(
    [
        0,
        1,
        0x7FFFFF,
        0x800000,
        0x800001,
        0x33800000,
        0x33800001,
        0x34000000,
        0x3F7FFFFF,
        0x3F800000,
        0x3F800001,
    ]
    + [0x4B000000, 0x4B400000, 0x4B7FFFFF, 0x7F7FFFFF, 0x7F800000, 0x7FC00000],
    np.uint32,
)
SIGN = np.uint32(1 << 31)


def pairs(rng: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kind -> bits of two operands: any; near each other; products and sums around the ends of the range."""

    def words(low: int = 0, high: int = 1 << 32) -> np.ndarray:
        return rng.integers(low, high, COUNT, dtype=np.uint32)

    both = np.concatenate([SPECIAL, SPECIAL | SIGN])
    any_, signs = words(), words() & SIGN
    exponent = (any_ >> 23 & 255).astype(int)
    opposite = np.clip(254 - exponent + rng.integers(-30, 4, COUNT), 0, 255).astype(np.uint32)
    return {
        "special": (np.repeat(both, len(both)), np.tile(both, len(both))),
        "any": (any_, words()),
        "one exponent": (any_, any_ & 0xFF800000 ^ signs | words(0, 1 << 23)),
        "near": (any_, (any_ ^ signs) + words(0, 1 << 26)),
        "ends": (any_, opposite << 23 | words(0, 1 << 23) | signs),
        "small": (words(0, 0x01800000), words(0, 0x01800000) | signs),
    }


def cases(rng: np.random.Generator) -> list[Case]:
    found = []
    for kind, (a, b) in pairs(rng).items():
        x, y = a.view(np.float32), b.view(np.float32)
        finite = ~(np.isnan(x) | np.isnan(y))  # what no number gives is not compared
        x, y = x[finite], y[finite]
        with np.errstate(all="ignore"):
            results = {"add": x + y, "subtract": x - y, "multiply": x * y}
        for name, want in results.items():
            number = ~np.isnan(want)
            arrays = (x[number], y[number], np.full(number.sum(), 7, np.float32))
            found.append(
                Case(f"{name}, {kind}", name, (number.sum(),), arrays=arrays, want={2: want[number]})
            )
    numbers = rng.integers(-(1 << 31), 1 << 31, COUNT) >> rng.integers(0, 32, COUNT)
    edges = [0, 1, -1, (1 << 24) + 1, (1 << 24) + 3, -(1 << 24) - 1, (1 << 31) - 1, -(1 << 31), 2130706431]
    whole = np.concatenate([numbers, edges]).astype(np.int32)
    arrays = (whole, whole, np.full(whole.size, 7, np.float32))
    return [
        *found,
        Case("convert", "convert", (whole.size,), arrays=arrays, want={2: whole.astype(np.float32)}),
    ]


def test_every_operation_rounds_as_the_hardware_does(tmp_path):
    check_on_board(tmp_path / "p", load_board("mps2-an385"), "m0", DRIVER, cases(np.random.default_rng(11)))
