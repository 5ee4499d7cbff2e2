# SPDX-License-Identifier: Apache-2.0
"""``export --format onnx``: four graphs over one file of weights, in a folder.

step.onnx, prefill.onnx, image.onnx, write_episode.onnx    weights.bin    tokenizer.bin    manifest.json
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from ..errors import DataError, ToolError
from ..files import atomic_file, begin_folder, check_folder
from ..frozen import FrozenModel
from .arrays import exported_arrays, pack_signed, stored_bits
from .builder import Value
from .metadata import WEIGHTS_SHA256, about, metadata
from .model import GraphModel, graphs
from .onnx_writer import DOMAIN, TYPES, OnnxBuilder, _Scope, value_info
from .ports import PAST, Graph, Port
from .seal import check_seal, seal

WEIGHTS, TOKENIZER = "weights.bin", "tokenizer.bin"
MANIFEST, SCHEMA = "manifest.json", "bitmar-tiny/onnx-export"
GRAPHS = ("step", "prefill", "image", "write_episode")
MADE_BY = "bitmar-tiny export --format onnx"
_ALIGN = 64
_ELEMENTS = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32}


class WeightsFile:
    """All frozen arrays in one file that every graph refers to. Ternary matrices are [in, out], as MatMul
    takes them.
    """

    def __init__(self, frozen: FrozenModel, bits: int) -> None:
        self.data, self.tensors = bytearray(), {}
        for name, a in exported_arrays(frozen).items():
            a, stored = (
                np.ascontiguousarray(a.T if name.endswith(".trits") else a),
                stored_bits(name, a, bits),
            )
            raw = pack_signed(a, stored) if a.dtype == np.int8 else a
            self._add(
                name,
                a.shape,
                TYPES[stored][2] if a.dtype == np.int8 else _ELEMENTS[a.dtype.name],
                raw.tobytes(),
            )
        self.sha256 = hashlib.sha256(self.data).hexdigest()

    def _add(self, name: str, shape: Sequence[int], element: int, raw: bytes) -> None:
        self.data += bytes(-len(self.data) % _ALIGN)
        tensor = TensorProto(name=name, data_type=element, dims=shape, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", WEIGHTS), ("offset", len(self.data)), ("length", len(raw))):
            tensor.external_data.add(key=key, value=str(value))
        self.data += raw
        self.tensors[name] = tensor

    def tensor(self, name: str) -> TensorProto:
        """A copy of the reference to one array."""
        copy = TensorProto()
        copy.CopyFrom(self.tensors[name])
        return copy


def export_onnx(frozen: FrozenModel, folder: Path, bits: int = 2) -> list[Path]:
    """Write the folder and check every graph with onnx's own checker. Returns the files.

    ``DataError`` where the folder cannot be written, ``ConfigError`` where it holds files that are not of an
    export, ``FitError`` for a memory that is too large.
    """
    check_folder(folder, MANIFEST, SCHEMA, "an export of bitmar-tiny")
    frozen.validate()
    weights = WeightsFile(frozen, bits)
    files = {
        f"{name}.onnx": seal(onnx_model(frozen, weights, name, bits).SerializeToString(deterministic=True))
        for name in GRAPHS
    }
    files[WEIGHTS] = bytes(weights.data)
    if frozen.tokenizer:
        files[TOKENIZER] = frozen.tokenizer
    begin_folder(folder, MANIFEST, SCHEMA)
    for name, data in files.items():
        with atomic_file(folder / name, DataError) as f:
            f.write(data)
    for name in GRAPHS:
        check(folder / f"{name}.onnx")
    manifest = {
        "schema": SCHEMA,
        "schema_version": 1,
        "model": frozen.config.name,
        "model_sha256": frozen.digest,
        "weight_bits": bits,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    with atomic_file(folder / MANIFEST, DataError) as f:
        f.write((json.dumps(manifest, indent=2) + "\n").encode())
    return [folder / name for name in files]


def check(path: Path) -> None:
    """onnx.checker with full shape inference; a complaint is a fault of ours or of the installed onnx."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # onnx's and protobuf's own types, which differ by version
        raise ToolError(
            f"{path}: onnx {onnx.__version__} refuses it ({str(error).splitlines()[0]}).",
            "Install the versions of constraints.txt.",
        ) from None


def read_graph(path: Path) -> tuple[ModelProto, bytes]:
    """An exported graph and its weights, both exactly as they were written; else ``DataError``."""
    data = read(path)
    check_seal(data, path, MADE_BY)
    model = ModelProto.FromString(data)
    return model, check_weights(path, props(model)[WEIGHTS_SHA256])


def check_weights(path: Path, digest: str) -> bytes:
    """The weights beside the graph ``path``. ``DataError`` unless it was exported with them."""
    weights = read(path.parent / WEIGHTS)
    if hashlib.sha256(weights).hexdigest() != digest:
        raise DataError(
            f"{path.parent / WEIGHTS}: not the weights that {path.name} was exported with, or damaged.",
            f"Copy it again or make it again with '{MADE_BY}'.",
        )
    return weights


def read(path: Path) -> bytes:
    """The bytes of a file, or ``DataError``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}).", f"Make one with '{MADE_BY}'."
        ) from None


def props(model: ModelProto) -> dict[str, str]:
    """The metadata of a file."""
    return {p.key: p.value for p in model.metadata_props}


def onnx_model(frozen: FrozenModel, weights: WeightsFile, name: str, bits: int = 2) -> ModelProto:
    """One of ``GRAPHS`` as a model that refers to ``weights``."""
    builder = OnnxBuilder(weights.tensor)
    by_name = {g.name: g for g in graphs(frozen.config)}
    graph = (
        _prefill(builder, frozen, by_name["step"]) if name == "prefill" else _plain(builder, by_name[name])
    )
    opset, ir, _ = TYPES[bits]
    model = helper.make_model(
        graph,
        functions=[f for same in builder.variants.values() for f in same.values()],
        ir_version=ir,
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, 1)],
        producer_name="bitmar-tiny",
        doc_string=about(frozen, bits),
    )
    for function in model.functions:
        function.opset_import.extend(model.opset_import)
    helper.set_model_props(model, metadata(frozen, name, bits) | {WEIGHTS_SHA256: weights.sha256})
    return model


def _inputs(builder: OnnxBuilder, ports: Sequence[Port]) -> dict[str, Value]:
    values = {p.name: builder.value(p.dtype, p.shape, p.name) for p in ports}
    builder.scope.inputs = list(values.values())
    return values


def _finish(
    builder: OnnxBuilder, graph: Graph, inputs: Sequence, values: dict[str, Value]
) -> onnx.GraphProto:
    """Outputs under their names; an input with a default may be left out and is then the frozen memory."""
    for port in graph.outputs:
        if values[port.name].name != port.name:
            builder.name(port.name, values[port.name])
    for port in (p for p in graph.inputs if p.default):
        builder.initializers[port.name] = tensor = builder.stored(port.default)
        tensor.name = port.name
    made = {p.name for p in graph.outputs}
    infos = [value_info(v) for v in builder.named if v.scope is builder.main and v.name not in made]
    return helper.make_graph(
        builder.main.nodes,
        graph.name,
        inputs,
        [value_info(p) for p in graph.outputs],
        list(builder.initializers.values()),
        value_info=infos,
        doc_string=graph.about,
    )


def _plain(builder: OnnxBuilder, graph: Graph) -> onnx.GraphProto:
    values = graph.body(builder, _inputs(builder, graph.inputs))
    return _finish(builder, graph, [value_info(p) for p in graph.inputs], values)


def _prefill(builder: OnnxBuilder, frozen: FrozenModel, step: Graph) -> onnx.GraphProto:
    """The step as the body of a Scan over ``tokens`` [T]; the head once, for the last of them."""
    outer = _inputs(builder, step.inputs[1:])
    tokens = Value(builder, "tokens", "int32", ("T",), builder.main)
    state = [name for name in outer if name.startswith(PAST)]
    body = _Scope(prefix="token/")
    with builder.inside(body):
        inner = outer | {
            name: builder.value(outer[name].dtype, outer[name].shape, "token/" + name) for name in state
        }
        hidden = builder.value("float32", (1, frozen.config.d_model), "token/past.hidden")
        token = builder.value("int32", (), "token/token")
        body.inputs = [*(inner[name] for name in state), hidden, token]
        inner["token"] = token.reshape(1)
        model = GraphModel(frozen.config, builder, inner)
        last = model.hidden(inner["token"])
        results = [*(model.named[name.removeprefix(PAST)] for name in state), last]
    graph = builder.body("token", body, results)
    start = builder.constant(np.zeros(hidden.shape, np.float32))
    outs = [builder.value(v.dtype, v.shape) for v in results]
    builder.node(
        "Scan", [*(outer[name] for name in state), start, tokens], outs, body=graph, num_scan_inputs=1
    )
    values = dict(zip((name.removeprefix(PAST) for name in state), outs[:-1], strict=True))
    values |= GraphModel(frozen.config, builder, {}).logits_graph(outs[-1])
    prefill = dataclasses.replace(
        step,
        name="prefill",
        about="step over all tokens [T] of a prompt; the logits are those after the last one.",
    )
    return _finish(builder, prefill, [value_info(tokens), *map(value_info, step.inputs[1:])], values)
