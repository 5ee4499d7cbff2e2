# SPDX-License-Identifier: Apache-2.0
"""ONNX: the same integers as golden in onnxruntime, standard ops, small files."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install onnx onnxruntime")
pytest.importorskip("onnx.inliner")
pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")

from exchange.exchange_support import check_shipped, check_taps, exported, short_script
from shown_script import show_twice
from taught_support import knowing

from bitmar_tiny.arch.config import preset
from bitmar_tiny.arch.tables import size_table
from bitmar_tiny.errors import DataError, FitError
from bitmar_tiny.exchange.files import open_runtime
from bitmar_tiny.exchange.from_onnx import import_onnx
from bitmar_tiny.exchange.model import graphs
from bitmar_tiny.exchange.onnx_export import GRAPHS, WEIGHTS, props
from bitmar_tiny.exchange.onnx_writer import DOMAIN
from bitmar_tiny.exchange.seal import BLANK, seal
from bitmar_tiny.frozen import random_model
from bitmar_tiny.frozen.shrink import with_small_token_table
from bitmar_tiny.verify.crosscheck import agreement, cross_check
from bitmar_tiny.verify.script import standard


@pytest.fixture(scope="module")
def folders(tiny, odd, grouped, keyed, seeing, tmp_path_factory):
    return {
        m.config.name: (m, exported(m, tmp_path_factory.mktemp("onnx"), "onnx"))
        for m in (tiny, odd, grouped, keyed, seeing)
    }


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("name", ["tiny", "odd", "grouped", "keyed", "seeing"])
def test_every_tensor_is_golden_s(folders, name, optimise):
    model, path = folders[name]
    check_taps(model, path, "onnx", standard(model.config, 60), optimise=optimise)


def test_what_was_shown_once_is_known(tmp_path):
    """Every tensor of showing and asking; the caller keeps the memory, or loses it."""
    model = knowing()
    path, script = exported(model, tmp_path, "onnx"), show_twice(model)
    check_taps(model, path, "onnx", script)
    check_shipped(model, path, "onnx", script)


@pytest.mark.parametrize("name", ["tiny", "odd", "grouped", "keyed", "seeing"])
def test_as_shipped_and_prefilled(folders, name):
    model, path = folders[name]
    assert check_shipped(model, path, "onnx", standard(model.config, 60)).prefilled > 20


@pytest.mark.parametrize("bits", [4, 8])
def test_wider_weights(tiny, tmp_path, bits):
    path = exported(tiny, tmp_path, "onnx", bits)
    kinds = {
        t.name: t.data_type for t in onnx.load(path / "step.onnx", load_external_data=False).graph.initializer
    }
    assert kinds["head.w.trits"] == {4: onnx.TensorProto.INT4, 8: onnx.TensorProto.INT8}[bits]
    check_shipped(tiny, path, "onnx", short_script(tiny.config, 16))


def test_a_token_table_of_4_bits_stays_one(tiny, tmp_path):
    small = with_small_token_table(tiny)
    path = exported(small, tmp_path, "onnx")
    file = onnx.load(path / "step.onnx", load_external_data=False)
    assert {t.name: t.data_type for t in file.graph.initializer}["token_table.codes"] == onnx.TensorProto.INT4
    assert "token table int4" in props(file)["bitmar_tiny.weights"]
    check_shipped(small, path, "onnx", short_script(tiny.config, 16))
    assert import_onnx(path)[0].digest == small.digest


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_presets_are_small_and_exact(tmp_path, name):
    model = random_model(preset(name), seed=5)
    path = exported(model, tmp_path, "onnx")
    packed = size_table(model.config)["total"]["bytes"]
    assert packed < sum(f.stat().st_size for f in path.iterdir()) < 1.10 * packed
    check_taps(model, path, "onnx", short_script(model.config, 8))


def nodes_of(owner):
    """Nodes of a graph or function, those of bodies included."""
    for node in owner.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes_of(attribute.g)


def test_standard_ops_and_metadata(folders):
    model, path = folders["odd"]
    for name in GRAPHS:
        file = onnx.load(path / f"{name}.onnx", load_external_data=False)
        functions = {f.name: f for f in file.functions}
        for owner in (file.graph, *functions.values()):
            for node in nodes_of(owner):
                assert node.domain == "" or node.domain == DOMAIN and node.op_type in functions
        assert all(node.domain == "" for node in nodes_of(onnx.inliner.inline_local_functions(file).graph))
        assert (
            file.graph.doc_string
            and model.digest[:16] in file.doc_string
            and all(f.doc_string for f in functions.values())
        )
        meta = props(file)
        assert meta["bitmar_tiny.model_sha256"] == model.digest and "int2" in meta["bitmar_tiny.weights"]
        assert meta["bitmar_tiny.weights_sha256"] == hashlib.sha256((path / WEIGHTS).read_bytes()).hexdigest()


def test_inputs_and_outputs_are_as_declared(folders):
    """What docs/how-to/export.md lists is what the files have, and a memory that is not fed is the frozen
    one.
    """
    model, path = folders["tiny"]
    for graph in graphs(model.config):
        file = onnx.load(path / f"{graph.name}.onnx", load_external_data=False).graph
        for ports, infos in ((graph.inputs, file.input), (graph.outputs, file.output)):
            assert [(p.name, p.shape) for p in ports] == [
                (i.name, tuple(d.dim_value for d in i.type.tensor_type.shape.dim)) for i in infos
            ]
    session = open_runtime("onnx", path).graphs["step"]
    assert [i.name for i in session.get_overridable_initializers()] == ["memory.high", "memory.scales"]


def test_a_changed_weight_is_found_and_named(folders, tmp_path):
    """One trit of enc.0.w1 changed, every digest made right again."""
    model, path = folders["tiny"]
    weights = bytearray((path / WEIGHTS).read_bytes())
    reference = onnx.load(path / "step.onnx", load_external_data=False)
    entry = next(t for t in reference.graph.initializer if t.name == "enc.0.w1.trits")
    start = int(next(e.value for e in entry.external_data if e.key == "offset"))
    weights[start] ^= 1 if weights[start] & 3 != 3 else 2
    (tmp_path / WEIGHTS).write_bytes(weights)
    for name in GRAPHS:
        file = onnx.load(path / f"{name}.onnx", load_external_data=False)
        for p in file.metadata_props:
            p.value = {
                "bitmar_tiny.weights_sha256": hashlib.sha256(weights).hexdigest(),
                "bitmar_tiny.seal": BLANK,
            }.get(p.key, p.value)
        (tmp_path / f"{name}.onnx").write_bytes(seal(file.SerializeToString()))
    verdict, shipped = cross_check(model, "onnx", tmp_path, short_script(model.config, 12))
    assert (
        not verdict.exact
        and verdict.difference.tap == "enc.0.ffn.acc"
        and verdict.difference.element == "[0]"
    )
    assert not shipped.exact and shipped.first_difference


def test_another_model_s_files_are_refused(folders, odd):
    _, path = folders["tiny"]
    with pytest.raises(DataError, match="exported from another model"):
        cross_check(odd, "onnx", path, [])


def test_a_memory_too_large_is_refused(tiny):
    with pytest.raises(FitError, match="too large to export"):
        graphs(tiny.config.model_copy(update={"memory_slots": 1 << 17}))


def test_an_inexact_runtime_is_measured(folders):
    """Agreement goes on past differences and says how large they are."""
    model, path = folders["tiny"]
    runtime = open_runtime("onnx", path)
    run = runtime.run

    def noisy(graph, inputs):
        out = run(graph, inputs)
        if "logits" in out:
            out["logits"], out["logits.float"] = (
                np.roll(out["logits"], 1),
                out["logits.float"] + np.float32(0.5),
            )
        return out

    runtime.run = noisy
    result = agreement(model, runtime, short_script(model.config, 8))
    assert not result.exact and result.top1 < 1 and abs(result.largest_logit_difference - 0.5) < 1e-3
    assert result.first_difference == "logits at step 0"
