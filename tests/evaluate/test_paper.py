# SPDX-License-Identifier: Apache-2.0
"""The paper's tables and figures: what it prints, ours beside it, and logs as training leaves them."""

from __future__ import annotations

import json

import pytest
from rich.console import Console
from support import TINY

from bitmar_tiny.model.bitmar import BitMar
from bitmar_tiny.report.paper import CHANCE_1, TABLE_1, TABLES
from bitmar_tiny.train.zero_fraction import (
    ZeroFraction,
    _from_jsonl,
    gaussian_zero_fraction,
    zero_fraction_figure,
)


def text_of(table) -> str:
    console = Console(width=250, record=True, file=open("/dev/null", "w"))
    console.print(table)
    return console.export_text()


CHOICE = {
    "kind": "choice",
    "items": 9,
    "accuracy": 0.4567,
    "error": 0.05,
    "majority": 0.61,
    "correlation": None,
}
REPORT = {
    "model": "ours",
    "tasks": {"boolq": CHOICE, "wug-past": CHOICE | {"kind": "wug", "correlation": -0.333}, "blimp": CHOICE},
}
STATE = {"tokens_per_second": 1234.0, "ms_per_token": 0.81, "joules_per_token": None, "anonymous_kib": 1000}
ABLATED = {
    "model": "ours",
    "ablation": {
        "cost": {
            "label": "measured",
            "watts": None,
            "on": STATE,
            "off": STATE | {"tokens_per_second": 4321.0},
        },
        "tasks": {
            "boolq": {
                "on": CHOICE,
                "off": CHOICE | {"accuracy": 0.4},
                "shuffled": CHOICE,
                "difference": {"off": {"value": 0.0567, "low": -0.021, "high": 0.101}, "shuffled": None},
            }
        },
    },
}


@pytest.mark.parametrize(
    "number, report, words",
    [
        ("1", REPORT, ("28.32", "54.57", "45.67 ± 5.00", "61.00", "majority")),
        ("2", REPORT, ("24.9%", "-0.16", "-0.333", "45.7%")),
        ("3", ABLATED, ("57.3", "1,076", "1,234", "4,321", "measured")),
        ("4", ABLATED, ("+2.9, +4.1", "+5.7", "-2.1 to +10.1", "+0.0")),
    ],
)
def test_tables_hold_the_papers_figures_and_ours(number, report, words):
    table, doubts = TABLES[number]([report])
    text = text_of(table)
    assert all(word in text for word in words), text
    assert doubts and TABLES[number]([])[0].row_count > 0


def test_what_is_said_about_table_1_is_true():
    """'Every score but BoolQ's is within six points of chance; BoolQ is seven below it.'"""
    differences = [
        score - chance for score, chance in zip(TABLE_1["BitMar-14M (paper)"], CHANCE_1, strict=False)
    ]
    boolq = differences.pop(1)
    assert all(abs(d) < 6 for d in differences) and -7.5 < boolq < -7


def test_the_gaussian_baseline_is_what_fresh_weights_have():
    """Large ternary matrices of an untrained model, both thresholds of the literature."""
    for threshold, known in ((0.5, 0.310), (2 / 3, 0.405)):
        model = BitMar(TINY.model_copy(update={"ternary_threshold": threshold, "d_ffn": 1024}))
        zeros = float((model.matrix("enc.0.w1")[0] == 0).float().mean())
        assert (
            gaussian_zero_fraction(threshold)
            == pytest.approx(known, abs=5e-4)
            == pytest.approx(zeros, abs=0.02)
        )


def test_logs_are_read_as_they_are_left(tmp_path):
    lines = [
        {"step": 100, "zero_fraction": 0.31, "epoch": 0.5},
        {"step": 150, "loss": 1.0},
        [1],
        {"step": 200, "zero_fraction": {"value": 0.33}},
    ]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "log.jsonl").write_text(
        "".join(json.dumps(x) + "\n" for x in lines) + '{"step": 300, "zero_fra'
    )
    assert _from_jsonl(tmp_path) == ({100: 0.31, 200: 0.33}, 200)
    assert _from_jsonl(tmp_path / "none") == ({}, None)


@pytest.mark.parametrize("name", ["f.png", "f.svg"])
def test_figures_are_written(name, tmp_path):
    zero_fraction_figure([ZeroFraction("run", [1, 2], [0.3, 0.35], 0.31, None)], tmp_path / name)
    start = (tmp_path / name).read_bytes()[:5]
    assert start in (b"\x89PNG\r", b"<?xml")
