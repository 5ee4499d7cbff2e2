# SPDX-License-Identifier: Apache-2.0
"""Statistics of a profile: quantiles as defined, shares that add up, and no time where there is none."""

import json

import numpy as np
import pytest
from report.recordings import CLOCK, IDENTITY, PARTS, SECTIONS, make
from rich.console import Console

from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.errors import DataError
from bitmar_tiny.frozen import random_model
from bitmar_tiny.profile.prediction import predict
from bitmar_tiny.profile.summary import summarize, summary_dict
from bitmar_tiny.report.profile import Files, report


def test_quantiles_and_rates():
    recording = make(steps=40, prefill=7)
    for name, kind in summarize(recording).items():
        rows = [i for i, k in enumerate(recording.kinds) if k == name]
        totals = sorted(int(recording.totals[i]) for i in rows)
        assert kind.steps == len(rows) and (kind.total.min, kind.total.max) == (totals[0], totals[-1])
        middle = (
            totals[len(totals) // 2]
            if len(totals) % 2
            else sum(totals[len(totals) // 2 - 1 : len(totals) // 2 + 1]) / 2
        )
        at = 0.95 * (len(totals) - 1)
        p95 = totals[int(at)] + (at % 1) * (totals[min(int(at) + 1, len(totals) - 1)] - totals[int(at)])
        assert kind.total.median == middle and kind.total.p95 == pytest.approx(p95)
        assert kind.tokens_per_s == pytest.approx(len(rows) * CLOCK / sum(totals))


def test_shares_and_means_add_up_to_the_step():
    for kind in summarize(make(seed=3)).values():
        for group in (kind.sections, kind.parts, kind.cells):
            every = [*group.values(), kind.unaccounted]
            assert sum(s.share for s in every) == pytest.approx(1) and sum(
                s.mean for s in every
            ) == pytest.approx(kind.total.mean)
        assert kind.unaccounted.median == 1500  # named, not spread over the parts
        assert all(
            s.min <= s.median <= s.p95 <= s.max
            for s in (*kind.sections.values(), *kind.parts.values(), *kind.cells.values())
        )
        assert set(kind.sections) == set(SECTIONS) and set(kind.parts) == set(PARTS)


def test_an_emulator_makes_no_claim_about_time():
    recording = make(label="simulated")
    found = summary_dict(recording)
    assert (
        found["decode"]["tokens_per_s"] is None
        and found["decode"]["step"]["us"] is None
        and found["decode"]["step"]["cycles"]["median"] > 0
    )
    prediction = predict(recording)
    assert not any(r.unit == "us" for r in prediction.rows) and all(
        t.mb_s is None for t in prediction.traffic
    )


def test_one_kind_of_step_is_enough():
    for prefill in (0, 60):
        assert len(summarize(make(prefill=prefill))) == 1 and report(make(prefill=prefill))


@pytest.fixture(scope="module")
def plan(tiny, tmp_path_factory):
    """The plan of a real project for a board whose speed is known."""
    project = emit(tiny, load_board("esp32-s3-n16r8"), tmp_path_factory.mktemp("p") / "p")
    return json.loads((project.path / "plan.json").read_text()), project.plan.arenas


def test_predicted_beside_found(plan):
    plan, arenas = plan
    store = {
        "reads": 12,
        "bytes": 12 * plan["memory"]["read_bytes"],
        "stall_cycles": 5,
        "writes": 0,
        "written_bytes": 0,
    }
    recording = make(plan=plan, arenas=arenas, store=store)
    prediction = predict(recording)
    rows = {r.what.strip(): r for r in prediction.rows}
    for name, size in arenas.items():  # by the plan's own sum, and by what it wrote into plan.json
        assert rows[f"arena in {name}"].predicted == size and rows[f"arena in {name}"].ratio == 1
    own = [e for e in plan["estimates"] if e["what"].startswith("this plan")]
    near = min(own, key=lambda e: abs(e["context"] - 36.5))  # steps 12 to 59 decode
    assert prediction.context == near["context"] and rows[
        "one token (decode, mean)"
    ].predicted == pytest.approx(1e3 * near["ms"])
    assert rows["layers"].found == pytest.approx(summarize(recording)["decode"].parts["gemv"].mean / 100)
    assert sum(rows[p["name"]].predicted for p in near["parts"]) == pytest.approx(
        rows["one token (decode, mean)"].predicted
    )
    assert rows["bytes from the store"].ratio == 1 and rows["stack (reserved, peak)"].predicted == 16384
    seconds = summarize(recording)["decode"].total.mean / CLOCK
    assert {t.region: t.bytes for t in prediction.traffic} == {k: v for k, v in near["bytes"].items() if v}
    assert all(t.mb_s == pytest.approx(t.bytes / seconds / 1e6) for t in prediction.traffic)


def test_the_head_is_read_as_quickly_as_was_assumed_or_not(tmp_path, capsys):
    """Rates of a board's start: the one that is taken beside the plan's, and that of reading in place."""
    project = emit(random_model(preset("demo")), load_board("esp32-s3-n16r8"), tmp_path / "p")
    plan = json.loads((project.path / "plan.json").read_text())
    assert "105 MB/s" in plan["estimates"][0]["assumed"]
    ways = {"head_kb_s": {"gdma": 99000, "preload": 0, "read": 80500}}
    recording = make(plan=plan, identity=IDENTITY | ways)
    gdma, preload, read = (r for r in predict(recording).rows if r.what.startswith("head by"))
    assert gdma.what == "head by 'gdma', which is taken, at start" and gdma.found == 99
    assert 100 < gdma.predicted < 105 and read.predicted == pytest.approx(84) and read.found == 80.5
    assert (preload.predicted, preload.found) == (None, 0)
    Console(width=200).print(*report(recording, Files(html=tmp_path / "p.html")))
    shown, page = capsys.readouterr().out, (tmp_path / "p.html").read_text()
    assert "99.0 MB/s" in shown and "84.0 MB/s" in shown and "99.0 MB/s" in page and "head_kb_s" not in page
    emulated = make(plan=plan, identity=IDENTITY | ways, label="simulated")
    assert not [r for r in predict(emulated).rows if r.what.startswith("head by")]
    for wrong in ([1], {"gdma": "quick"}, {"gdma": -1}):
        with pytest.raises(DataError, match="not rates of ways"):
            make(identity=IDENTITY | {"head_kb_s": wrong})


def test_the_window_begins_anew_with_every_stream(plan):
    """Forty streams of six steps: the short window is the one to compare with, however long the run."""
    one = plan[0]["estimates"][0]
    plan = plan[0] | {
        "estimates": [
            one | {"what": "this plan", "context": 5},
            one | {"what": "this plan, full window", "context": 100},
        ]
    }
    kinds = (("prefill",) * 2 + ("decode",) * 4) * 40
    assert predict(make(steps=240, kinds=kinds, plan=plan)).context == 5
    assert predict(make(steps=240, kinds=("prefill",) * 40 + ("decode",) * 200, plan=plan)).context == 100


def test_a_board_without_figures_has_traffic_and_sizes_only(tiny, tmp_path):
    project = emit(tiny, load_board("host"), tmp_path / "p", "portable")
    found = predict(make(plan=json.loads((project.path / "plan.json").read_text())))
    assert found.context is None and {t.region for t in found.traffic} == {"ram", "file"}
    assert [r for r in found.rows if r.unit == "us" and r.predicted is not None] == []


@pytest.mark.parametrize(
    "plan, words",
    [
        ({}, "no bitmar-tiny/plan"),
        ({"schema": "bitmar-tiny/plan", "schema_version": 2}, "damaged \\(regions"),
        ({"schema": "bitmar-tiny/plan", "schema_version": 3}, "of version 2"),
    ],
)
def test_a_foreign_plan_is_refused(plan, words):
    with pytest.raises(DataError, match=words):
        report(make(plan=plan))


def test_counts_are_not_rounded():
    recording = make()
    assert np.array_equal(recording.unaccounted, np.full(60, 1500, np.uint64))
