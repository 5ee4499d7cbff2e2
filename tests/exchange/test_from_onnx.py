# SPDX-License-Identifier: Apache-2.0
"""freeze --from-onnx: what was exported comes back bit for bit, what was trained elsewhere is mapped by name,
the rest is refused.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install onnx")

from exchange.exchange_support import exported
from onnx import TensorProto, helper, numpy_helper

from bitmar_tiny.arch.tables import tensor_table
from bitmar_tiny.errors import BitmarError, ConfigError, DataError
from bitmar_tiny.exchange.from_onnx import import_onnx
from bitmar_tiny.frozen import FrozenModel


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("name", ["tiny", "odd", "grouped", "seeing"])
def test_what_was_exported_comes_back(request, tmp_path, name, bits):
    model = request.getfixturevalue(name)
    model = FrozenModel(model.config, model.arrays, b"a tokenizer", {"steps": 7})
    back, report, unused = import_onnx(exported(model, tmp_path, "onnx", bits))
    assert back.digest == model.digest and back.provenance["steps"] == 7
    assert [m.tensor for m in report] == [s.name for s in tensor_table(model.config)] and unused == []


def foreign(model, replace=lambda name, array: None):
    """The weights of ``model`` as plain floats under their documented names; ``replace`` gives other arrays
    or nothing.
    """
    found, dequantize = {}, []
    for spec in tensor_table(model.config):
        a, name = model.arrays, spec.name
        if spec.kind == "ternary":
            found[f"{name}.weight"] = a[f"{name}.trits"].T * a[f"{name}.scale"]
        elif spec.kind == "rows8":
            found[f"{name}.weight"] = a[f"{name}.codes"] * a[f"{name}.scales"][:, None]
        elif spec.kind == "memory":
            found[name] = a[f"{name}.codes"] * a[f"{name}.scales"][:, None]
        else:
            found[name] = a[name]
    tensors = []
    for name, array in found.items():
        other = replace(name, array)
        tensors += (
            [numpy_helper.from_array(np.asarray(array, np.float32), name)] if other is None else other[0]
        )
        dequantize += [] if other is None else other[1]
    return helper.make_model(helper.make_graph(dequantize, "weights", [], [], tensors))


def write(model, folder, **kwargs):
    path = folder / "foreign.onnx"
    path.write_bytes(foreign(model, **kwargs).SerializeToString())
    return path


def test_plain_ternary_floats(tiny, tmp_path):
    back, report, _ = import_onnx(write(tiny, tmp_path), tiny.config)
    for spec in tensor_table(tiny.config):
        if spec.kind == "ternary":
            assert (back.arrays[f"{spec.name}.trits"] == tiny.arrays[f"{spec.name}.trits"]).all()
            assert back.arrays[f"{spec.name}.scale"] == tiny.arrays[f"{spec.name}.scale"]
    table = back.arrays["token_table.codes"] * back.arrays["token_table.scales"][:, None]
    want = tiny.arrays["token_table.codes"] * tiny.arrays["token_table.scales"][:, None]
    assert np.abs(table - want).max() <= back.arrays["token_table.scales"].max() / 2
    assert "rounded to int8" in next(m.how for m in report if m.tensor == "token_table")


def qdq(name, codes, scale, zero=None):
    stem = name.removesuffix(".weight")
    tensors = [
        numpy_helper.from_array(codes, f"{stem}.q"),
        numpy_helper.from_array(np.asarray(scale, np.float32), f"{stem}.s"),
    ]
    inputs = [f"{stem}.q", f"{stem}.s"]
    if zero is not None:
        tensors.append(numpy_helper.from_array(zero, f"{stem}.z"))
        inputs.append(f"{stem}.z")
    return tensors, [helper.make_node("DequantizeLinear", inputs, [name])]


@pytest.mark.parametrize("kind", ["int8 127", "uint8", "int4", "int2"])
def test_qdq_weights(tiny, tmp_path, kind):
    """A quantiser writes {-127, 0, 127} or has a zero point; narrow types hold {-1, 0, 1}."""
    trits, scale = tiny.arrays["enc.0.w2.trits"].T, tiny.arrays["enc.0.w2.scale"]

    def replace(name, array):
        if name != "enc.0.w2.weight":
            return None
        if kind == "int8 127":
            return qdq(name, trits * np.int8(127), scale / np.float32(127))
        if kind == "uint8":
            return qdq(name, (trits.astype(np.int16) + 128).astype(np.uint8), scale, np.array(128, np.uint8))
        tensors, nodes = qdq(name, trits, scale)
        packed = helper.make_tensor(
            tensors[0].name,
            TensorProto.INT4 if kind == "int4" else TensorProto.INT2,
            trits.shape,
            trits.ravel(),
        )
        return [packed, tensors[1]], nodes

    back, _, _ = import_onnx(write(tiny, tmp_path, replace=replace), tiny.config)
    assert (back.arrays["enc.0.w2.trits"].T == trits).all()
    assert back.arrays["enc.0.w2.scale"] == pytest.approx(float(scale), rel=1e-6)


def used(name, array, *uses):
    """``array`` as initializer ``name``, as a graph that computes with it has it."""
    nodes = [
        helper.make_node(op, [name] if op == "Transpose" else ["x", name], [f"{name}.{i}"], **attributes)
        for i, (op, attributes) in enumerate(uses)
    ]
    return [numpy_helper.from_array(np.ascontiguousarray(array), name)], nodes


@pytest.mark.parametrize("use", [("Gemm", {"transB": 1}), ("Transpose", {"perm": [1, 0]})])
@pytest.mark.parametrize("name", ["dec.0.wq", "dec.0.w1"])
def test_weights_that_the_graph_turns(tiny, tmp_path, name, use):
    """PyTorch's exporter stores [out, in]; of a square matrix only the graph tells."""

    def replace(n, a):
        return (
            used(n, a.T, use)
            if n == f"{name}.weight"
            else used(n, a, ("MatMul", {}))
            if n.endswith(".w2.weight")
            else None
        )

    back, report, _ = import_onnx(write(tiny, tmp_path, replace=replace), tiny.config)
    assert (back.arrays[f"{name}.trits"] == tiny.arrays[f"{name}.trits"]).all()
    assert (back.arrays["dec.0.w2.trits"] == tiny.arrays["dec.0.w2.trits"]).all()
    assert {m.tensor for m in report if "[out, in]" in m.how} == {name}


def test_qdq_weights_that_the_graph_turns(tiny, tmp_path):
    def replace(name, array):
        if name == "dec.0.wq.weight":
            tensors, nodes = qdq(name, np.sign(array.T).astype(np.int8), np.abs(array).max())
            return tensors, [*nodes, helper.make_node("Gemm", ["x", name], ["y"], transB=1)]

    back, _, _ = import_onnx(write(tiny, tmp_path, replace=replace), tiny.config)
    assert (back.arrays["dec.0.wq.trits"] == tiny.arrays["dec.0.wq.trits"]).all()


def one(target, make):
    return lambda name, array: make(name, array) if name == target else None


def initializer(name, array):
    return [numpy_helper.from_array(array, name)], []


@pytest.mark.parametrize(
    "replace, words",
    [
        (
            one("dec.0.wq.weight", lambda n, a: initializer(n, a + np.float32(1e-3))),
            "dec.0.wq.weight' is not ternary",
        ),
        (
            one("dec.0.wq.weight", lambda n, a: initializer(n, a[:, :-1])),
            r"is float\[64, 63\], this model needs \[64, 64\]",
        ),
        (
            one("dec.0.w1.weight", lambda n, a: initializer(n, np.ascontiguousarray(a.T))),
            r"is float\[128, 64\], this model needs \[64, 128\]",
        ),
        (
            one("dec.0.wq.weight", lambda n, a: initializer("dec.0.wq.wieght", a)),
            "tensor 'dec.0.wq' is missing.*nearest name in it is 'dec.0.wq.wieght'",
        ),
        (one("head.norm", lambda n, a: initializer(n, np.full_like(a, np.nan))), "holds NaN"),
        (one("head.norm", lambda n, a: initializer(n, a.astype(np.int32))), "is int32"),
        (
            one("dec.0.wq.weight", lambda n, a: used(n, a, ("MatMul", {}), ("Gemm", {"transB": 1}))),
            r"both as \[in, out\] and as \[out, in\]",
        ),
        (
            one("dec.0.w1.weight", lambda n, a: used(n, a, ("Gemm", {"transB": 1}))),
            r"is float\[64, 128\], this model needs \[128, 64\]",
        ),
        (
            one(
                "enc.0.wo.weight", lambda n, a: ([], [helper.make_node("DequantizeLinear", ["nowhere"], [n])])
            ),
            "which is not an initializer",
        ),
        (
            one(
                "enc.0.wo.weight",
                lambda n, a: qdq(n, np.sign(a).astype(np.int8), np.full(64, 0.1) + np.arange(64)),
            ),
            "one scale for the whole matrix",
        ),
        (one("enc.0.wo.weight", lambda n, a: qdq(n, np.sign(a).astype(np.int8), np.nan)), "holds NaN"),
        (one("enc.0.wo.weight", lambda n, a: qdq(n, np.sign(a).astype(np.int8), -0.1)), "scale outside"),
        (
            one("enc.0.wo.weight", lambda n, a: initializer("enc.0.wo.trits", np.sign(a).astype(np.int8))),
            "'enc.0.wo.trits' has no scale",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tiny, tmp_path, replace, words):
    with pytest.raises(BitmarError) as refused:
        import_onnx(write(tiny, tmp_path, replace=replace), tiny.config)
    assert re.search(words, str(refused.value))


def test_configuration_is_named_once(tiny, odd, tmp_path):
    with pytest.raises(ConfigError, match="does not say which configuration"):
        import_onnx(write(tiny, tmp_path))
    with pytest.raises(ConfigError, match="another configuration"):
        import_onnx(exported(tiny, tmp_path, "onnx"), odd.config)


def test_two_models_in_one_folder_are_refused(tiny, odd, tmp_path):
    path = exported(tiny, tmp_path, "onnx")
    other = exported(odd, tmp_path / "other", "onnx")
    (path / "write_episode.onnx").write_bytes((other / "write_episode.onnx").read_bytes())
    with pytest.raises(DataError, match="not the weights that write_episode.onnx was exported with"):
        import_onnx(path)


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/passwd", "missing.bin"])
def test_weights_lie_beside_the_model(tiny, tmp_path, location):
    model = foreign(tiny)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (tmp_path / "in").mkdir()
    (tmp_path / "outside.bin").write_bytes(bytes(1 << 20))
    (tmp_path / "in" / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match="lies outside the folder|cannot be read"):
        import_onnx(tmp_path / "in" / "m.onnx", tiny.config)
