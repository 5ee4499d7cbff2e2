# SPDX-License-Identifier: Apache-2.0
"""The folder that ``export --format onnx`` fills: its own is written again, a foreign one is left alone."""

import json

import command_line
import pytest
from kills import contents, writes

pytest.importorskip("onnx", reason="no onnx: pip install 'bitmar-tiny[export]'")

from exchange.exchange_support import exported

from bitmar_tiny.exchange.files import export
from bitmar_tiny.exchange.onnx_export import MANIFEST


def test_a_foreign_folder_is_left_alone(tiny, tmp_path):
    tiny.save(tmp_path / "m.bitmar")
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "tokenizer.bin").write_bytes(b"somebody else's")
    done = command_line.run("export", tmp_path / "m.bitmar", "--format", "onnx", "-o", foreign)
    assert done.returncode == 2 and "not empty and not an export of bitmar-tiny" in done.stderr
    assert contents(foreign) == {"tokenizer.bin": b"somebody else's"}


def test_an_export_that_was_killed_anywhere_goes_on(tiny, tmp_path):
    whole = contents(exported(tiny, tmp_path, "onnx"))
    assert set(json.loads(whole[MANIFEST])["files"]) == set(whole) - {MANIFEST}
    for n, stop in enumerate((0, 3, 9, 14)):
        out = tmp_path / str(n)
        writes(lambda out=out: export(tiny, "onnx", out), out, stop)
        assert contents(out) != whole
        for _ in range(2 if stop == 9 else 1):  # and over a whole one
            export(tiny, "onnx", out)
        assert contents(out) == whole
