# SPDX-License-Identifier: Apache-2.0
"""Energy of a token: integrals of known curves, the markers, and one sentence for every log that cannot be
used.
"""

import numpy as np
import pytest
from report.recordings import CLOCK, make

from bitmar_tiny.codegen.boards import Power, board_files, load_board
from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.profile.power_log import read_log, windows
from bitmar_tiny.report.profile import energy_of

RECORDING = make()
SPAN = int(RECORDING.starts[-1] + RECORDING.totals[-1] - RECORDING.starts[0]) / CLOCK


def write(path, columns, header=None):
    """A CSV of columns, name -> values."""
    rows = [
        header or ",".join(columns),
        *(",".join(f"{v:.9g}" for v in row) for row in zip(*columns.values(), strict=False)),
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


def log(power, marker=True, step=SPAN / 400, lead=0.05):
    """Time from before to after the run; the marker is high while it runs. ``power``: function of time since
    the start.
    """
    t = np.arange(0, SPAN + 2 * lead, step)
    high = (t >= lead) & (t <= lead + SPAN)
    columns = {"time_s": t + 100, "power_w": np.where(high, power(t - lead), 0.1)}
    return columns | ({"marker": high} if marker else {})


@pytest.mark.parametrize(
    "power, joules",
    [
        (lambda t: 0 * t + 0.5, 0.5 * SPAN),
        (lambda t: 0.2 + 3 * t, 0.2 * SPAN + 1.5 * SPAN**2),
        (lambda t: 0.4 + 0.1 * np.sin(50 * np.pi * t / SPAN), 0.4 * SPAN),
    ],
)
def test_energy_between_the_markers(tmp_path, power, joules):
    found = energy_of(RECORDING, log=write(tmp_path / "p.csv", log(power)))
    assert (
        found.label == "measured"
        and found.mj_per_token == pytest.approx(joules / 60 * 1e3, rel=0.01)
        and found.tokens == 60
    )
    assert found.seconds == pytest.approx(SPAN, rel=0.01) and found.average_w == pytest.approx(
        joules / SPAN, rel=0.01
    )
    assert found.idle_w == pytest.approx(0.1) and found.mj_above_idle == pytest.approx(
        (joules - 0.1 * SPAN) / 60 * 1e3, rel=0.02
    )
    assert (
        found.peak_w == pytest.approx(power(np.linspace(0, SPAN, 1000)).max(), rel=0.01) and found.busy > 0.95
    )


def test_straight_lines_are_integrated_exactly(tmp_path):
    t = np.sort(np.random.default_rng(0).uniform(0, 1, 50))
    (window,) = windows(read_log(write(tmp_path / "p.csv", {"time_s": t, "power_w": 1 + 2 * t})))
    assert window.joules == pytest.approx((t[-1] + t[-1] ** 2) - (t[0] + t[0] ** 2), rel=1e-6)


def test_pulses_add_up(tmp_path):
    """A marker for each half of the run: what is between them is not counted."""
    step = SPAN / 1000
    columns, pause = log(lambda t: 0 * t + 0.5, step=step), 5000
    first = columns["time_s"] < 100.05 + SPAN / 2
    waiting = {
        "time_s": columns["time_s"][first][-1] + step * np.arange(1, pause + 1),
        "power_w": np.full(pause, 9.0),
        "marker": np.zeros(pause),
    }
    columns["time_s"] = columns["time_s"] + ~first * pause * step
    extra = {k: np.concatenate((v[first], waiting[k], v[~first])) for k, v in columns.items()}
    path = write(tmp_path / "p.csv", extra)
    assert len(windows(read_log(path))) == 2
    assert energy_of(RECORDING, log=path).mj_per_token == pytest.approx(0.5 * SPAN / 60 * 1e3, rel=0.005)


def test_current_and_voltage(tmp_path):
    columns = log(lambda t: 0 * t + 0.5)
    reference = energy_of(RECORDING, log=write(tmp_path / "p.csv", columns)).mj_per_token
    columns["current_a"] = columns.pop("power_w") / 3.3
    path = write(tmp_path / "i.csv", columns)
    assert energy_of(RECORDING, log=path, voltage=3.3).mj_per_token == pytest.approx(reference, rel=1e-6)
    both = write(tmp_path / "v.csv", columns | {"voltage_v": 0 * columns["time_s"] + 3.3})
    assert energy_of(RECORDING, log=both).mj_per_token == pytest.approx(reference, rel=1e-6)
    with pytest.raises(DataError, match="no voltage"):
        read_log(path)
    with pytest.raises(DataError, match="too"):
        read_log(both, 3.3)
    with pytest.raises(DataError, match="says nothing"):
        read_log(tmp_path / "p.csv", 3.3)


def test_a_log_without_marker_must_be_of_the_run(tmp_path):
    t = np.linspace(0, SPAN, 300)
    found = energy_of(RECORDING, log=write(tmp_path / "p.csv", {"time_s": t, "power_w": 0 * t + 2}))
    assert found.mj_per_token == pytest.approx(2 * SPAN / 60 * 1e3, rel=1e-3) and found.mj_above_idle is None
    for scale, words in ((3, "has no marker, and lasts"), (0.5, "the log lasts")):
        with pytest.raises(DataError, match=words):
            energy_of(RECORDING, log=write(tmp_path / "p.csv", {"time_s": t * scale, "power_w": 0 * t + 2}))


def broken(change):
    columns = log(lambda t: 0 * t + 0.5)
    return change(columns) or columns


def _gap(c):
    keep = abs(c["time_s"] - 100.05 - SPAN / 2) > SPAN / 10
    return {k: v[keep] for k, v in c.items()}


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda c: c.update(marker=0 * c["time_s"]), "the marker never rises"),
        (lambda c: {k: v[c["marker"]] for k, v in c.items()}, "the marker's rising edge is missing"),
        (lambda c: {k: v[: len(v) // 2] for k, v in c.items()}, "the marker's falling edge is missing"),
        (lambda c: c.update(marker=0.5 * c["marker"]), "the marker is 0.5"),
        (_gap, "no samples from"),
        (lambda c: {k: v[::80] for k, v in c.items()}, "samples while the board ran, at least 10"),
        (lambda c: c.update(time_s=c["time_s"][::-1]), "time does not go on"),
        (
            lambda c: c.update(time_s=np.repeat(c["time_s"][::2], 2)[: len(c["time_s"])]),
            "time does not go on",
        ),
        (lambda c: c.update(power_w=np.where(c["marker"], np.nan, 1)), "has no number for power_w"),
        (lambda c: {"volts": c["time_s"]}, "not a power log, its first line is: volts"),
        (
            lambda c: c.update(marker=(c["time_s"] > 100.05) & (c["time_s"] < 100.05 + SPAN / 3)),
            "the marker is high for",
        ),
    ],
)
def test_a_log_that_cannot_be_used(tmp_path, change, words):
    path = write(tmp_path / "p.csv", broken(change))
    with pytest.raises(DataError) as error:
        energy_of(RECORDING, log=path)
    assert words in error.value.message and error.value.message.startswith(f"{path}: ") and error.value.hint


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "nothing"),
        (b"time_s,power_w\n", "0 samples"),
        (b"\xff\xfe", "not a text file"),
        (b"time_s,power_w\n0,1\n1\n", "sample 2 has no number for power_w"),
        (b"time_s,time_s,power_w\n", "there twice"),
        (b"a;b;c\n1;2;3", "not a power log"),
    ],
)
def test_a_file_that_is_no_log(tmp_path, content, words):
    (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(DataError, match=words):
        energy_of(RECORDING, log=tmp_path / "p.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_log(tmp_path)


def test_an_emulator_draws_no_power(tmp_path):
    with pytest.raises(DataError, match="emulator"):
        energy_of(make(label="simulated"), log=write(tmp_path / "p.csv", log(lambda t: 0 * t + 1)))


def test_from_the_boards_figures():
    found = energy_of(RECORDING, Power(active_w=2, idle_w=0.5, source="a table"))
    mean = RECORDING.totals[12:].mean() / CLOCK
    assert (
        found.label == "estimated"
        and found.mj_per_token == pytest.approx(2e3 * mean)
        and found.mj_above_idle == pytest.approx(1.5e3 * mean)
    )
    assert (
        energy_of(make(label="simulated"), Power(active_w=2, source="a table")) is None
        and energy_of(RECORDING) is None
    )
    estimate = {"what": "this plan", "context": 32, "ms": 4.0, "bytes": {}, "parts": []}
    plan = {
        "schema": "bitmar-tiny/plan",
        "schema_version": 2,
        "regions": [],
        "placements": [],
        "estimates": [estimate],
        "memory": {
            "read_bytes": 1,
            "read_ms": None,
            "write_least": 1,
            "write_most": 2,
            "write_ms_least": None,
            "write_ms_most": None,
        },
    }
    assert energy_of(
        make(label="simulated", plan=plan), Power(active_w=2, source="a table")
    ).mj_per_token == pytest.approx(8)


def test_board_profiles_say_where_their_figures_are_from(tmp_path):
    boards = {name: load_board(name).power for name in board_files()}
    chips = {"esp32-s3-n16r8", "esp32-s3-n16r2", "esp32-s3-eye", "esp32-c3-devkitm-1"}
    assert {n for n, p in boards.items() if p} == {"rpi-zero2", "rpi-5", "bpi-f3"} | chips
    assert all(p.idle_w < p.active_w and len(p.source) > 20 for p in boards.values() if p)
    text = board_files()["host"].read_text()
    for table, words in (
        ("active_w = 1\nidle_w = 2\nsource = 'x'", "more than active_w"),
        ("active_w = 1", "source"),
        ("active_w = -1\nsource='x'", "active_w"),
    ):
        (tmp_path / "b.toml").write_text(f"{text}\n[power]\n{table}\n")
        with pytest.raises(ConfigError, match=words):
            load_board(str(tmp_path / "b.toml"))
