# SPDX-License-Identifier: Apache-2.0
"""What WebAssembly is compared with: the same C natively computes the same bits; ratios are of one round."""

from __future__ import annotations

import platform
from contextlib import ExitStack

import pytest
from support import need

import bitmar_tiny as bt
from bitmar_tiny.bench import wasm


@pytest.mark.skipif(platform.machine() != "x86_64", reason="SSE4.1 is x86-64's")
def test_every_side_writes_goldens_tokens(tmp_path):
    need("web")
    model = bt.load("recall")
    with bt.session(model, on="golden") as golden, ExitStack() as stack:
        expected = list(golden.generate([1], 12))
        for side in wasm.sides(model, tmp_path, 0, stack):
            side.session.begin()
            assert list(side.session.generate([1], 12)) == expected, side.label
            side.turn()
            assert side.turns[0] > 0


def test_ratios_are_those_of_each_round():
    fast, slow = (object.__new__(wasm.Side) for _ in range(2))
    fast.label, fast.turns = "fast", [1.0, 10.0, 2.0]  # the machine was busy in the second round
    slow.label, slow.turns = "slow", [2.0, 20.0, 4.0]
    row = slow.row(fast)
    assert row == {
        "label": "slow",
        "us": 4.0,
        "us_best": 2.0,
        "of_native": 0.5,
        "of_native_quartiles": [0.5, 0.5],
    }
