# SPDX-License-Identifier: Apache-2.0
"""Damaged, truncated and foreign files: one sentence each, and never a runtime that parses what we did not
write.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import command_line
import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("onnx", reason="pip install onnx onnxruntime")
pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
pytest.importorskip("ai_edge_litert", reason="pip install ai-edge-litert")

from exchange.exchange_support import exported

from bitmar_tiny.arch.tables import tensor_table
from bitmar_tiny.cli.app import app
from bitmar_tiny.errors import BitmarError, DataError
from bitmar_tiny.exchange.files import open_runtime
from bitmar_tiny.exchange.from_onnx import import_onnx
from bitmar_tiny.exchange.onnx_export import read_graph

ROOT = Path(__file__).resolve().parents[2]


def damaged(data, rng):
    """Bits flipped, cut short, bytes put in, or a stretch of zeros."""
    kind, at = rng.integers(5), int(rng.integers(len(data)))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + rng.bytes(int(rng.integers(1, 40))) + data[at:]
    if kind == 2:
        return data[:at] + bytes(min(300, len(data) - at)) + data[at + 300 :]
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 12))):
        changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def sentence(action):
    """The one sentence of a refused file."""
    with pytest.raises(BitmarError) as refused:
        action()
    text = str(refused.value)
    assert "\n" not in text and len(text) < 500
    return text


def test_250_damaged_onnx_files(tiny, tmp_path):
    source = exported(tiny, tmp_path, "onnx")
    rng = np.random.default_rng(11)
    for i in range(250):
        folder = shutil.copytree(source, tmp_path / "damaged", dirs_exist_ok=True)
        victim = (
            folder / ("step.onnx", "prefill.onnx", "image.onnx", "write_episode.onnx", "weights.bin")[i % 5]
        )
        data = victim.read_bytes()
        while (worse := damaged(data, rng)) == data:
            pass
        victim.write_bytes(worse)
        assert folder.name in sentence(
            partial(read_graph, folder / ("step.onnx" if i % 5 == 4 else victim.name))
        )
        sentence(partial(import_onnx, folder))


def test_250_damaged_tflite_files(tiny, tmp_path):
    path = exported(tiny, tmp_path, "tflite")
    data, rng = path.read_bytes(), np.random.default_rng(12)
    for _ in range(250):
        while (worse := damaged(data, rng)) == data:
            pass
        path.write_bytes(worse)
        assert path.name in sentence(lambda: open_runtime("tflite", path))


def test_250_damaged_foreign_onnx_files(tiny, tmp_path):
    """Without a seal every byte reaches the parser: a file is refused in one sentence, or gives a model that
    is valid.
    """
    from exchange.test_from_onnx import foreign

    path, data, rng, read = (
        tmp_path / "m.onnx",
        foreign(tiny).SerializeToString(),
        np.random.default_rng(13),
        0,
    )
    for _ in range(250):
        path.write_bytes(damaged(data, rng))
        try:
            import_onnx(path, tiny.config)
            read += 1  # the damage hit what is rounded anyway, a gain, or a name that nobody reads
        except BitmarError as refused:
            assert "\n" not in str(refused) and "m.onnx" in str(refused)
    assert 5 < read < 200


@pytest.mark.parametrize(
    "format_name, name, content",
    [
        ("onnx", "step.onnx", b""),
        ("onnx", "step.onnx", b"\x08\x07\x12\x00"),
        ("onnx", "step.onnx", None),
        ("tflite", "m.tflite", b"\x1c\x00\x00\x00TFL3" + bytes(64)),
        ("tflite", "m.tflite", b"PK\x03\x04"),
        ("tflite", "m.tflite", None),
    ],
)
def test_foreign_files_never_reach_a_runtime(tmp_path, format_name, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError):
        open_runtime(format_name, tmp_path if format_name == "onnx" else tmp_path / name)


def cli(*arguments):
    done = command_line.run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_export_verify_and_freeze_back(tiny, tmp_path):
    tiny.save(tmp_path / "m.bitmar")
    for format_name in ("onnx", "tflite"):
        out = tmp_path / f"out.{format_name}"
        cli("export", tmp_path / "m.bitmar", "--format", format_name, "-o", out)
        report = json.loads(
            cli(
                "verify",
                tmp_path / "m.bitmar",
                "--target",
                format_name,
                "--exported",
                out,
                "--tokens",
                8,
                "--json",
            )
        )
        assert (
            report["verdicts"][0]["exact"]
            and report["shipped"]["exact"]
            and report["model_sha256"] == tiny.digest
        )
    report = json.loads(
        cli("freeze", "--from-onnx", tmp_path / "out.onnx", "-o", tmp_path / "back.bitmar", "--json")
    )
    assert (
        report["sha256"] == tiny.digest
        and len(report["mapped"]) == len(tensor_table(tiny.config))
        and not report["unused"]
    )


@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            ("verify", "m.bitmar", "--target", "tflite", "--exported", "m.bitmar"),
            "not a LiteRT (.tflite) file",
        ),
        (("verify", "m.bitmar", "--target", "onnx", "--exported", "none"), "cannot be read"),
        (("verify", "m.bitmar", "--exported", "m.bitmar"), "--exported names ONNX or LiteRT files"),
        (("verify", "m.bitmar", "--target", "onnx", "--board", "host"), "verifies no generated C"),
        (("freeze", "--from-onnx", "m.bitmar"), "not an ONNX model"),
        (("freeze", "--from-onnx", "."), "holds no .onnx file"),
        (("freeze", "run", "--from-onnx", "x"), "not both"),
        (("freeze",), "not both"),
        (("freeze", "run", "--preset", "demo"), "are for --from-onnx"),
        (("freeze", "--from-onnx", "m.bitmar", "--preset", "demo", "--config", "x"), "Leave out one"),
        (("export", "m.bitmar", "--format", "onnx", "-o", "m.bitmar"), "cannot be written"),
    ],
)
def test_commands_refuse_in_one_sentence(tiny, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    tiny.save(tmp_path / "m.bitmar")
    refused = CliRunner().invoke(app, arguments).exception
    assert isinstance(refused, BitmarError) and refused.exit_code == 2 and words in str(refused)
