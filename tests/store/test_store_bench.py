# SPDX-License-Identifier: Apache-2.0
"""The store's benchmark: it reads what it says, and says what it cannot do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import need

from bitmar_tiny.bench.store import measure_store
from bitmar_tiny.errors import ToolError
from bitmar_tiny.memory.format import UNIT, Layout


def bench(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "bitmar_tiny.bench.store", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_every_layout_and_cache_is_measured_over_the_bytes_that_a_read_takes(tmp_path):
    need("host")
    try:
        rates = measure_store(tmp_path, 1000, 96)
    except ToolError as error:
        pytest.skip(str(error))  # temporary files in memory: nothing is cold
    at = Layout(1000, 96)
    assert {(r.layout, r.cache) for r in rates} == {
        (a, b) for a in ("fresh", "scattered") for b in ("cold", "warm")
    }
    assert all(r.bytes == at.groups * UNIT + at.blocks * at.plane for r in rates)
    assert all(r.store_bytes_per_s > 0 and r.plain_bytes_per_s > 0 for r in rates)
    assert not list(tmp_path.iterdir()), "the store is removed"


def test_a_folder_that_is_missing_or_kept_in_memory_gets_a_sentence(tmp_path):
    need("host")
    done = bench("--folder", str(tmp_path / "none"))
    assert done.returncode == 2 and "no such folder" in done.stderr and len(done.stderr.splitlines()) == 1
    if not Path("/dev/shm").is_dir():
        pytest.skip("this system has no file system in memory")
    done = bench("--folder", "/dev/shm", "--slots", "1000", "--json")
    assert (
        done.returncode == 2
        and "Choose a folder on a disk" in done.stderr
        and len(done.stderr.splitlines()) == 1
    )


def test_json(tmp_path):
    need("host")
    done = bench("--folder", str(tmp_path), "--slots", "500", "--json")
    if done.returncode == 2 and "on a disk" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert all(r["label"] == "measured" for r in json.loads(done.stdout))
