# SPDX-License-Identifier: Apache-2.0
"""The plain step that we compare with is the model: in float it picks what the float twin picks, and its
memory, rings and positions are golden's. How fast it is, is nobody's test.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from support import ODD, TINY, need

from bitmar_tiny.bench import baseline, ours, plain_run
from bitmar_tiny.bench.plain import golden_stream, image_caches, layers
from bitmar_tiny.cli.bench import command
from bitmar_tiny.frozen import FrozenModel, random_model
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.model.arithmetic import FloatTwin
from bitmar_tiny.model.export import load_frozen
from bitmar_tiny.verify.script import random_image

PLAIN = {c.name: c for c in baseline.CONTENDERS if c.module != baseline.EXACT}
PACKAGES = {"onnxruntime": plain_run.OnnxRuntime, "ai-edge-litert": plain_run.LiteRt}


def loop_of(contender: baseline.Contender, model: FrozenModel, folder) -> plain_run.Loop:
    if contender.missing:
        pytest.skip(contender.missing)
    cfg = model.config
    numbers = {
        "sinks": cfg.n_sinks,
        "positions": cfg.n_positions,
        "read_every": cfg.read_every,
        "decoder_layers": cfg.n_decoder_layers,
        "layers": layers(cfg),
    }
    return plain_run.Loop(
        PACKAGES[contender.package](str(contender.write(model, folder, cfg.context))), numbers, cfg.context
    )


@pytest.fixture(scope="module", params=[TINY, ODD], ids=["tiny", "odd"])
def model(request):
    return random_model(request.param, seed=5)


@pytest.mark.parametrize("name", PLAIN)
def test_the_plain_step_is_the_model(name, model, tmp_path):
    """Past the window, past the positions, with a picture: the float twin's picks. The memory's projection is
    zero in both, as their running queries differ in form; the next test is about them.
    """
    arrays = dict(model.arrays) | {
        f"dec.{i}.wm.scale": np.float32(0) for i in range(model.config.n_decoder_layers)
    }
    silent = FrozenModel(model.config, {k: np.asarray(v) for k, v in arrays.items()})
    rng = np.random.default_rng(0)
    image, tokens = random_image(model.config, rng), rng.integers(0, model.config.vocab_size, 40).tolist()
    loop = loop_of(PLAIN[name], silent, tmp_path)
    loop.begin(image_caches(silent, image))
    picks = [loop.step(t) for t in tokens]
    twin = load_frozen(silent)
    twin.math, twin.memory_on = FloatTwin(model.config.ternary_threshold), False
    with torch.no_grad():
        want = twin(torch.tensor([tokens]), torch.from_numpy(image)[None]).acc[0].argmax(-1).tolist()
    same = np.mean(np.array(picks) == np.array(want))
    assert same == 1 if "float32" in name else same >= 0.6, same


@pytest.mark.parametrize(
    "machine, flags, largest",
    [
        ("x86_64", "avx2", 64),
        ("x86_64", "avx2 avx512_vnni", 127),
        ("x86_64", "avx_vnni", 127),
        ("aarch64", "", 127),
    ],
)
def test_weights_do_not_saturate_where_there_is_no_vnni(machine, flags, largest, tmp_path, monkeypatch, tiny):
    onnx = pytest.importorskip("onnx", reason="pip install onnx onnxruntime")
    pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
    from bitmar_tiny.bench import plain_onnx

    read = Path.read_text
    monkeypatch.setattr(plain_onnx.platform, "machine", lambda: machine)
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda path, *a, **k: f"flags: {flags}" if str(path) == "/proc/cpuinfo" else read(path, *a, **k),
    )
    plain_onnx.write_int8(tiny, tmp_path / "step.onnx", 16)
    weights = [
        onnx.numpy_helper.to_array(t)
        for t in onnx.load(tmp_path / "step.onnx").graph.initializer
        if t.data_type == onnx.TensorProto.INT8
    ]
    assert max(np.abs(w.astype(int)).max() for w in weights if w.size > 1) == largest


@pytest.mark.parametrize("name", [n for n in PLAIN if "float32" in n])
def test_its_memory_is_read_when_goldens_is(name, model, tmp_path):
    image = random_image(model.config, np.random.default_rng(1))
    golden, loop = GoldenModel(model.config, model.arrays), loop_of(PLAIN[name], model, tmp_path)
    golden.set_image(image)
    loop.begin(image_caches(model, image))
    for t, token in enumerate([model.config.vocab_size - 1, *range(1, 13)]):
        before = np.array(golden.cond)
        golden.step(token)
        loop.step(token)
        for i, want in enumerate(golden.cond):
            got = loop.r.input(f"cond.{i}")[0].copy()  # a view would keep LiteRT from running
            assert (
                np.corrcoef(got, want)[0, 1] > 0.97
                and abs(np.linalg.norm(got) / np.linalg.norm(want) - 1) < 0.1
            )
        assert (np.array(golden.cond) != before).any() == (t % model.config.read_every == 0)


def test_streams_are_goldens_own(tiny):
    images = [random_image(tiny.config, np.random.default_rng(i)) for i in range(2)]
    streams, picks = golden_stream(tiny, images, 20)
    for image, tokens, chosen in zip(images, streams, picks, strict=False):
        golden = GoldenModel(tiny.config, tiny.arrays)
        golden.set_image(image)
        assert tokens[0] == tiny.config.vocab_size - 1 and chosen == [
            int(golden.step(t).argmax()) for t in tokens
        ]
        assert all(
            b == a or a == tiny.config.vocab_size - 1 for a, b in zip(chosen, tokens[1:], strict=False)
        )


def test_every_contender_has_a_process_and_a_row(tiny, tmp_path, monkeypatch):
    """As a command: exact ones agree everywhere, ours does, and what peaks is counted once."""
    need("host")
    monkeypatch.setattr(baseline, "SECONDS", 0.05)
    monkeypatch.setattr(ours, "FLAG_SETS", {"plain": ()})
    monkeypatch.setattr(baseline, "IMAGES", 2)
    monkeypatch.setattr(
        baseline, "CONTENDERS", tuple(c for c in baseline.CONTENDERS if "float32" not in c.name)
    )
    tiny.save(tmp_path / "tiny.bitmar")
    done = CliRunner().invoke(
        command,
        [
            str(tmp_path / "tiny.bitmar"),
            "--family",
            "portable",
            "--no-peers",
            "--baseline",
            "-o",
            str(tmp_path / "out"),
        ],
        standalone_mode=False,
    )
    assert done.exception is None, done.exception
    report = json.loads((tmp_path / "out" / "bench.json").read_text())
    rows = {r["label"]: r for r in report["models"] if not r.get("missing")}
    assert (
        rows["ours: portable"]["top1"] == 1
        and rows["ours: portable"]["file_bytes"] > tiny.config.vocab_size * 16
    )
    for row in rows.values():
        assert set(row["us"]) == {
            str(tiny.config.context)
        }  # fewer than the 16 tokens of the other measurement
        assert (
            all(us > 0 for us in row["us"].values())
            and row["file_bytes"] > 10_000
            and 0.5 <= row["top1"] <= 1
        )
        assert row["peak_kib"] > row["runtime_kib"]
        if not row["peer"]:
            assert row["top1"] == 1
    against = {r["label"]: r for r in report["models_against_ours"]}
    assert set(against) == set(rows) - {"ours: portable"} and all(
        r["time"] and r["file"] > 0 for r in against.values()
    )


def test_what_cannot_run_is_a_sentence(tiny, tmp_path):
    streams = baseline.Streams(tiny, tmp_path, 1, 3)

    def row(n, c):
        return baseline.measure_contender(c, tiny, streams, tmp_path / str(n), [11], 0)

    assert (
        row(0, baseline.Contender("a", "no-such-package", None))["missing"]
        == "no-such-package is not installed (pip install no-such-package)"
    )

    def fails(model, folder, context):
        raise RuntimeError("unsupported\nstack")

    def junk(model, folder, context):
        (folder / "junk.onnx").write_bytes(b"junk")
        return folder / "junk.onnx"

    assert row(1, baseline.Contender("b", "numpy", fails))["missing"].endswith(": unsupported")
    pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
    assert "INVALID_PROTOBUF" in row(2, baseline.Contender("c", "onnxruntime", junk))["missing"]
