# SPDX-License-Identifier: Apache-2.0
"""One model on every board, estimated, beside what others published."""

from __future__ import annotations

import json

import pytest
from command_line import run as run_cli

from bitmar_tiny import board_names, board_speeds, estimate_errors, neighbours, random_model
from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.held import BURST_MB_S, LATENCY_NS


def test_every_board_says_how_fast_it_is_or_why_not(tiny):
    found = {s.board.name: s for s in board_speeds(tiny)}
    assert list(found) == board_names()
    for name, speed in found.items():
        figures = load_board(name).speed
        assert bool(speed.short) == bool(figures and not speed.refused), name
        if speed.short:
            assert speed.family == figures.family and speed.as_dict()["estimates"][0]["label"] == "estimated"


def test_a_board_that_cannot_hold_it_names_the_knob():
    (speed,) = board_speeds(random_model(preset("paper")), ["pico2"])
    assert "does not fit pico2" in speed.refused and "--window" in speed.refused
    assert speed.short is speed.full is speed.mj is speed.read_mb is None and speed.at_bytes(1) is None


def test_ours_at_a_neighbours_bytes_reads_at_the_same_rate(tiny):
    speeds = board_speeds(tiny, ["esp32-s3-n16r8", "rpi-zero2"])
    s3, pi = speeds
    assert s3.at_bytes(s3.read_mb) == pytest.approx(s3.short.tokens_per_s) and pi.at_bytes(1) is None
    assert s3.at_bytes(2 * s3.read_mb) == pytest.approx(s3.short.tokens_per_s / 2)
    rows = neighbours(speeds)
    assert all(row["source"] and row["tokens_per_s"] > 0 for row in rows)
    known = [row for row in rows if row["board"] == "esp32-s3-n16r8" and row["read_mb"]]
    assert known and all(row["ours_at_these_bytes"] == s3.at_bytes(row["read_mb"]) for row in known)


def test_plain_reads_are_estimated_as_others_measured_them():
    """Lines that are fetched one by one, and ahead, as the profile has them, within a tenth."""
    rows = {row["what"]: row for row in estimate_errors()}
    assert all(row["label"] == "estimated" and row["source"] for row in rows.values())
    s3 = [row["off"] for row in rows.values() if row["board"] == "esp32-s3-n16r8"]
    assert len(s3) == 6 and max(map(abs, s3)) < 0.1


def test_the_rate_of_the_profile_follows_from_the_latency_that_other_lines_take():
    psram = next(r for r in load_board("esp32-s3-n16r8").regions if r.name == "psram")
    line = psram.cache_line
    assert psram.read_mb_s == pytest.approx(1e3 * line / (LATENCY_NS + 1e3 * line / BURST_MB_S), rel=0.01)


def test_the_command(tiny, tmp_path):
    tiny.save(tmp_path / "m.bitmar")
    shown = run_cli("boards", "--speed", tmp_path / "m.bitmar")
    assert shown.returncode == 0 and "estimated" in shown.stdout and "published" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    said = json.loads(run_cli("boards", "pico2", "--speed", "paper", "--json").stdout)
    assert [b["board"] for b in said["boards"]] == ["pico2"] and "--window" in said["boards"][0]["refused"]
    refused = run_cli("boards", "--speed", "nothing")
    assert refused.returncode == 2 and "no preset 'nothing'" in refused.stderr
