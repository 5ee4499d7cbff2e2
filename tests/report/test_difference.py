# SPDX-License-Identifier: Apache-2.0
"""`bitmar-tiny compare`: a real change is found, noise is none, and unlike models are not compared."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from report.recordings import CLOCK, IDENTITY, make, save

from bitmar_tiny.cli.compare import command
from bitmar_tiny.errors import DataError
from bitmar_tiny.profile.difference import _student, compare


def find(comparison, kind, what):
    return next(c for c in comparison.changes if (c.kind, c.what) == (kind, what))


@pytest.mark.parametrize("steps", [(60, 60), (60, 64)])
def test_noise_is_not_a_change(steps):
    """Even with no tolerance at all, a comparison of equal runs is wrong in at most one of twenty."""
    wrong = sum(
        any(c.changed for c in compare(make(steps[0], seed=2 * i), make(steps[1], seed=2 * i + 1), 0).changes)
        for i in range(20)
    )
    assert wrong <= 2


@pytest.mark.parametrize(
    "part, slower", [("gemv", 1.05), ("attention", 1.2), ("memory", 1.3), ("head", 0.93)]
)
def test_a_change_is_found_where_it_is(part, slower):
    comparison = compare(make(100, seed=1), make(100, seed=2, part=part, slower=slower))
    found = find(comparison, "decode", f"part {part}")
    assert comparison.changed and found.changed and found.low <= found.difference <= found.high
    assert found.relative == pytest.approx(slower - 1, abs=0.04) and (found.low > 0) == (slower > 1)
    others = {"gemv", "attention", "memory", "head", "other", "pick"} - {part}
    assert not any(find(comparison, "decode", f"part {p}").changed for p in others)


def test_what_is_small_is_tolerated_and_a_run_equals_itself():
    a, b = make(seed=1, noise=0), make(seed=1, noise=0, slower=1.01)
    assert find(compare(a, b, 0), "decode", "part gemv").changed and not compare(a, b, 0.02).changed
    same = compare(a, a, 0)
    assert (
        not same.changed
        and all(c.difference == 0 for c in same.changes)
        and not same.identities
        and not same.notes
    )


def test_direction_turns_with_the_order():
    a, b = make(seed=1), make(seed=2, slower=1.1)
    forth, back = compare(a, b), compare(b, a)
    for x, y in zip(forth.changes, back.changes, strict=False):
        assert x.difference == pytest.approx(-y.difference) and (x.low, x.high) == pytest.approx(
            (-y.high, -y.low)
        )


def test_a_faster_clock_is_compared_in_time():
    slow, fast = make(), make(clock_hz=2 * CLOCK)
    comparison = compare(slow, fast)
    assert comparison.unit == "us" and find(comparison, "decode", "step").relative == pytest.approx(
        -0.5, abs=0.02
    )
    assert comparison.identities == {"clock_hz": (CLOCK, 2 * CLOCK)}
    emulated = compare(make(label="simulated"), make(clock_hz=2 * CLOCK))
    assert emulated.unit == "cycles" and not emulated.changed and "emulator" in emulated.notes[0]
    assert emulated.identities["label"] == ("simulated", "measured")


def test_sizes_and_counts_have_no_noise():
    store = {"reads": 12, "bytes": 200_000, "stall_cycles": 90_000, "writes": 1, "written_bytes": 4096}
    a, b = (
        make(store=store),
        make(
            store=store | {"bytes": 200_016, "stall_cycles": 7},
            stack_peak=3_100,
            arenas={"ram": 160_576, "psram": 64},
        ),
    )
    assert compare(a, b).space == {
        "store bytes": (200_000, 200_016),
        "stack": (3_000, 3_100),
        "arena in psram": (None, 64),
    }
    assert not compare(
        a, make(store=store, stack_peak=3_008)
    ).changed  # the arguments of a program lie on its stack


def test_what_does_not_matter_to_a_step_is_not_called_a_change():
    a, b = make(100, seed=1), make(100, seed=2, part="pick", slower=1.2)  # of 120 us in 3.2 ms
    found = find(compare(a, b), "decode", "part pick")
    assert found.low > 0 and not found.changed and find(compare(a, b, 0), "decode", "part pick").changed


def test_a_moment_is_too_short_to_compare_and_an_emulator_has_no_moments():
    fast = compare(make(clock_hz=100 * CLOCK), make(clock_hz=100 * CLOCK, slower=2))
    assert not fast.changes and any("12 prefill steps took" in n for n in fast.notes)
    assert compare(
        make(clock_hz=100 * CLOCK, label="simulated"), make(clock_hz=100 * CLOCK, label="simulated", slower=2)
    ).changed


def test_a_clock_that_was_measured_is_not_another_clock():
    assert compare(make(clock_hz=2_596_117_208 // 20), make(clock_hz=2_596_121_104 // 20)).identities == {}


def test_what_cannot_be_compared():
    with pytest.raises(DataError, match="two models"):
        compare(make(), make(identity=IDENTITY | {"model_sha256": "0" * 64}))
    short = compare(make(12, 4), make(12, 4))
    assert not short.changes and any("too few" in n for n in short.notes)
    uneven = compare(make(60, 12), make(60, 20))
    assert any("12 prefill steps against 20" in n for n in uneven.notes)


def test_quantiles_of_student():
    """Against a table: one-sided 0.001, by degrees of freedom."""
    for freedom, quantile in ((6, 5.208), (10, 4.144), (30, 3.385), (1000, 3.098)):
        assert _student(0.001, freedom) == pytest.approx(quantile, rel=0.05)


def test_as_a_command(tmp_path):
    slower = make(seed=3, slower=1.1, identity=IDENTITY | {"kernels": "avx2"})
    a, b, c = (save(r, tmp_path / n) for r, n in ((make(seed=1), "a"), (make(seed=2), "b"), (slower, "c")))

    def run(*arguments):
        return CliRunner().invoke(command, [str(x) for x in arguments], catch_exceptions=False)

    assert (run(a, b).exit_code, run(a, c).exit_code, run(a, c, "--tolerance", 50).exit_code) == (0, 1, 0)
    found = json.loads(run(a, c, "--json").stdout)
    assert (
        found["changed"]
        and found["identities"] == {"kernels": ["portable", "avx2"]}
        and found["schema"] == "bitmar-tiny/comparison"
    )
    assert {ch["what"] for ch in found["changes"] if ch["changed"]} >= {"step", "part gemv"}
    done = subprocess.run(
        [sys.executable, "-c", "from bitmar_tiny.cli.app import main; main()", "compare", a, c],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert (
        done.returncode == 1
        and "Different kernels" in done.stderr
        and "part gemv" in done.stdout
        and "Traceback" not in done.stderr
    )


def test_the_same_files_give_the_same_answer():
    a, b = make(seed=1), make(seed=2)
    assert (
        compare(a, b).as_dict() == compare(a, b).as_dict()
        and np.isfinite([c.high for c in compare(a, b).changes]).all()
    )
