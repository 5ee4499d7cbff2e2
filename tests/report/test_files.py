# SPDX-License-Identifier: Apache-2.0
"""The files of a report: CSV adds up, the trace nests, the page stands alone."""

import csv
import io
import json
import re
from collections import defaultdict
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from report.recordings import CLOCK, IDENTITY, PARTS, SECTIONS, make

from bitmar_tiny.errors import DataError
from bitmar_tiny.profile.energy import Energy
from bitmar_tiny.profile.prediction import predict
from bitmar_tiny.profile.recording import Recording
from bitmar_tiny.report.export import to_csv, to_trace
from bitmar_tiny.report.page import to_html
from bitmar_tiny.report.plots import ticks
from bitmar_tiny.report.profile import Files, report

STORE = {"reads": 12, "bytes": 200_000, "stall_cycles": 90_000, "writes": 1, "written_bytes": 4096}


def test_csv_rows_of_a_step_add_up_to_it():
    recording = make(steps=20, prefill=5)
    rows = list(csv.DictReader(io.StringIO(to_csv(recording))))
    assert len(rows) == 20 * (len(SECTIONS) * len(PARTS) + 1)
    sums, us = defaultdict(int), defaultdict(float)
    for row in rows:
        sums[int(row["step"])] += int(row["cycles"])
        us[int(row["step"])] += float(row["us"])
        assert row["kind"] == recording.kinds[int(row["step"])]
    assert [sums[i] for i in range(20)] == recording.totals.tolist()
    assert np.allclose([us[i] for i in range(20)], recording.totals / CLOCK * 1e6, atol=1e-2)
    assert {r["us"] for r in csv.DictReader(io.StringIO(to_csv(make(label="simulated"))))} == {""}


@pytest.mark.parametrize("clock", [1_000_000, 1_200_000_000, 999_999_937])
def test_the_trace_nests_and_loses_nothing(clock):
    recording = make(steps=25, clock_hz=clock)
    trace = json.loads(to_trace(recording))
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert {e["ph"] for e in trace["traceEvents"]} == {"X", "M"} and all(
        e["pid"] == 1 and e["tid"] == 1 for e in trace["traceEvents"]
    )

    def ns(e):
        return (round(e["ts"] * 1000), round((e["ts"] + e["dur"]) * 1000))

    stack, level = [], {"step": 0, "section": 1, "part": 2}
    for event in slices:  # written in the order of time, a parent before its children
        start, end = ns(event)
        stack = stack[: level[event["cat"]]]
        assert len(stack) == level[event["cat"]] and end >= start
        assert not stack or ns(stack[-1])[0] <= start and end <= ns(stack[-1])[1]
        stack.append(event)
    for category, names in (("step", None), ("section", SECTIONS), ("part", PARTS)):
        chosen = [e for e in slices if e["cat"] == category]
        assert all(
            ns(a)[1] <= ns(b)[0] for a, b in zip(chosen, chosen[1:], strict=False)
        )  # siblings do not overlap
        assert names is None or {e["name"] for e in chosen} - {"unaccounted"} <= set(names)
    steps = [e for e in slices if e["cat"] == "step"]
    assert [e["args"]["cycles"] for e in steps] == recording.totals.tolist()
    assert sum(e["args"]["cycles"] for e in slices if e["cat"] == "section") == int(recording.totals.sum())
    assert sum(e["args"]["cycles"] for e in slices if e["cat"] == "part") == int(recording.cycles.sum())
    starts = (recording.starts - recording.starts[0]) / clock * 1e6
    assert np.allclose([e["ts"] for e in steps], starts, atol=1e-3)


class Balanced(HTMLParser):
    """Fails where a tag is not closed, or something is fetched or run."""

    VOID = {"meta", "rect", "line", "circle"}

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "link", "img", "iframe") and not {"src", "href"} & {k for k, _ in attrs}
        assert not any(k.startswith("on") for k, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"label": "simulated"},
        {"store": STORE},
        {"prefill": 0},
        {"steps": 1, "prefill": 1},
        {"arenas": {}},
    ],
)
def test_the_page_stands_alone(changes):
    recording = make(**changes)
    energy = Energy("estimated", "a datasheet", 1.5, 0.5, 0.3, None, 0.1, 48, 0.2, 1.0)
    page = to_html(recording, predict(recording), energy)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == [] and "http" not in page and "@import" not in page and "url(" not in page
    text = " ".join(parser.text)
    assert (
        recording.label in text
        and all(s in text for s, c in zip(SECTIONS, recording.cycles.sum(axis=(0, 2)), strict=False) if c)
        and "unaccounted" in text
    )
    assert "nan" not in text.lower().split() and "1.5 mJ" in text and ("tokens/s" in text) == recording.timed
    assert all(
        f"{what} {name}" in text
        for what, name, c in (
            ("part", "head", recording.cycles[:, :, 4]),
            ("section", "memory", recording.cycles[:, 3]),
        )
        if c.any()
    )
    drawings = re.findall(r"<svg.*?</svg>", page, re.S)
    assert len(drawings) >= 4
    for drawing in drawings:
        for element in ElementTree.fromstring(drawing).iter():
            for name in {"x", "y", "width", "height", "x1", "x2", "cx", "cy"} & set(element.attrib):
                assert -1 <= float(element.attrib[name]) <= 900
    for scheme in ("--paper", "--ink", "--c5", "--rest"):
        assert page.count(f"{scheme}: #") == 2  # once light, once dark


def test_a_long_run_is_thinned_and_its_extremes_stay():
    recording = make(steps=4000)
    page = to_html(recording, predict(recording), None)
    dots = page.count("<circle") - 2  # of the legend
    assert dots <= 1200 and len(page) < 400_000
    for step in (int(recording.totals[12:].argmax()) + 12, int(recording.totals[:12].argmin())):
        assert f"<title>step {step}, " in page
    assert (to_html(make(), predict(make()), None).count("<circle") - 2) == 60


def test_names_from_a_board_are_text_not_markup(capsys):
    from rich.console import Console

    recording = make(
        identity=IDENTITY | {"board": "<script>alert(1)</script>", "model": "[red]m[/]", "compiler": '"><b>'}
    )
    page = to_html(recording, predict(recording), None)
    assert (
        "<script" not in page
        and "&lt;script&gt;" in page
        and "<b>" not in page.split("<body>")[1].split('class="tiles"')[0]
    )
    Console(width=200).print(*report(recording))
    assert "[red]m[/]" in capsys.readouterr().out
    json.loads(to_trace(recording))


def test_one_call_writes_what_was_asked_for(tmp_path):
    files = Files(tmp_path / "p.json", tmp_path / "p.csv", tmp_path / "p.trace", tmp_path / "p.html")
    recording = make()
    assert len(report(recording, files)) >= 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.csv", "p.html", "p.json", "p.trace"]
    assert Recording.load(files.json).as_dict() == recording.as_dict()
    report(recording)
    with pytest.raises(DataError, match="cannot be written"):
        report(recording, Files(csv=tmp_path / "p.csv" / "x"))


@pytest.mark.parametrize("most", [3e-6, 0.7, 1, 5, 99, 1234.5, 8e9])
def test_ticks_are_few_and_round(most):
    found = ticks(most)
    assert found[0] == 0 and found[-1] <= most and 3 <= len(found) <= 7
