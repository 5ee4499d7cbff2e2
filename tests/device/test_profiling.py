# SPDX-License-Identifier: Apache-2.0
"""`profile` over the link: what is predicted is what is built, and nothing of the memory is lost."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from support import need

from bitmar_tiny.cli.profile import command
from bitmar_tiny.memory.format import UNIT
from bitmar_tiny.profile.prediction import predict
from bitmar_tiny.run.profile import record
from bitmar_tiny.run.session import SessionOptions, open_session


@pytest.mark.parametrize("memory", ["auto", "sd", "flash"])
def test_recording_of_a_program(odd, memory):
    need("host")
    board = open_session("host:", odd, SessionOptions(flags=("-DBM_PROFILE",), memory=memory))
    try:
        before = None if memory == "flash" else board.read_memory()
        recording, overhead = record(board, 8, 3)
        after = None if memory == "flash" else board.read_memory()
    finally:
        board.close()
    assert np.array_equal(recording.cycles.sum(axis=(1, 2)), recording.totals), (
        "every cycle has a section and a part"
    )
    assert recording.kinds.count("prefill") == 3 * 8 and 0 < recording.kinds.count("decode") <= 3 * 8
    spent = recording.cycles.sum(axis=0)
    assert all(
        spent[i, recording.parts.index("gemv")]
        for i, name in enumerate(recording.sections)
        if name.startswith(("enc", "dec"))
    )
    assert (
        spent[recording.sections.index("memory"), recording.parts.index("memory")]
        and spent[-1, recording.parts.index("head")]
    )
    assert recording.arenas.keys() == {"ram"} and 500 < recording.stack_peak < 16384 and overhead > 0
    assert len(recording.episodes) == (0 if memory == "flash" else 5) and (recording.store is not None) == (
        memory == "sd"
    )
    if before:
        assert np.array_equal(before.codes, after.codes) and np.array_equal(before.usage, after.usage)
    if memory == "sd":
        rows = {r.what: r for r in predict(recording).rows}
        read, least, most = (
            rows[f"  bytes {what}"]
            for what in ("from the store", "to the store, no row changed", "to the store, all changed")
        )
        assert read.predicted <= read.found <= read.predicted + UNIT, (
            "after an episode the state of the only group is read once more"
        )
        assert least.predicted <= least.found == most.found <= most.predicted


def test_firmware_without_marks_is_named(odd):
    need("host")
    board = open_session("host:", odd)
    with pytest.raises(Exception, match="built without marks") as said:
        record(board, 4, 1)
    assert "BITMAR_PROFILE" in said.value.hint and "EXTRA=-DBM_PROFILE" in said.value.hint
    board.close()


def test_command_writes_every_file(tmp_path):
    need("host")
    files = {"-o": "p.json", "--csv": "p.csv", "--trace": "t.json", "--html": "p.html"}
    done = CliRunner().invoke(
        command,
        [
            "--preset",
            "demo",
            "--json",
            "--rounds",
            "2",
            *(w for k, v in files.items() for w in (k, str(tmp_path / v))),
        ],
    )
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["schema"] == "bitmar-tiny/profile" and document["label"] == "measured"
    assert all((tmp_path / name).stat().st_size > 100 for name in files.values())
