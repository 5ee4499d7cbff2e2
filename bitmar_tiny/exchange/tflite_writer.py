# SPDX-License-Identifier: Apache-2.0
"""Lowers graphs to one LiteRT flatbuffer: a subgraph and a signature for each, weights stored once. No
TensorFlow needed.

Ternary weights are constants of 2, 4 or 8 bits and scale 1 that the runtime widens to float32 once, when it
loads the file; their products with int8 codes are integers below 2**24, exact in any order, so every
implementation gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ToolError
from .arrays import pack_signed, stored_bits
from .builder import Builder, Value, where
from .ports import Graph, Port
from .tflite_pack import TfliteFile, schema

if not hasattr(schema.TensorType, "INT2"):
    raise ToolError(
        "The installed ai-edge-litert is too old: it has no type of 2 bits.",
        "Install the version of constraints.txt.",
    )

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int32": schema.TensorType.INT32,
    "int8": schema.TensorType.INT8,
    "bool": schema.TensorType.BOOL,
}
_WEIGHTS = {2: schema.TensorType.INT2, 4: schema.TensorType.INT4, 8: schema.TensorType.INT8}
#: Builtin operators that need no options.
_SIMPLE = {
    "add": "ADD",
    "sub": "SUB",
    "mul": "MUL",
    "div": "DIV",
    "floor_div": "FLOOR_DIV",
    "floor_mod": "FLOOR_MOD",
    "less": "LESS",
    "equal": "EQUAL",
    "and": "LOGICAL_AND",
    "maximum": "MAXIMUM",
    "minimum": "MINIMUM",
    "abs": "ABS",
    "floor": "FLOOR",
    "rint": "ROUND",
    "where": "SELECT_V2",
}
_DEQUANTIZE_VERSION = {2: 6, 4: 6, 8: 2}


class TfliteBuilder(Builder):
    """One subgraph under construction."""

    def __init__(self, file: TfliteFile) -> None:
        self.file, self.graph = file, schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.graph.inputs, self.graph.outputs = [], [], [], []
        self.indices: dict[Value, int] = {}
        self.shared: dict[Any, Value] = {}
        self.rounded: dict[Value, Value] = {}

    def tensor(
        self, dtype: str, shape: Sequence[int], name: str = "", element: int | None = None, buffer: int = 0
    ) -> Value:
        t = schema.TensorT()
        value = Value(self, name, dtype, tuple(shape))
        t.name, t.shape, t.type, t.buffer = (
            value.name,
            list(shape),
            _TYPES[dtype] if element is None else element,
            buffer,
        )
        self.graph.tensors.append(t)
        self.indices[value] = len(self.graph.tensors) - 1
        return value

    def operator(
        self,
        name: str,
        inputs: Sequence[Value | None],
        out: Value,
        options: str = "",
        version: int = 1,
        **fields: Any,
    ) -> None:
        op = schema.OperatorT()
        op.opcodeIndex = self.file.code(name, version)
        op.inputs, op.outputs = [-1 if v is None else self.indices[v] for v in inputs], [self.indices[out]]
        if options:
            op.builtinOptionsType = getattr(schema.BuiltinOptions, options + "Options")
            op.builtinOptions = getattr(schema, options + "OptionsT")()
            for key, value in fields.items():
                setattr(op.builtinOptions, key, value)
        self.graph.operators.append(op)

    def emit(
        self, op: str, inputs: Sequence[Value], dtype: str, shape: Sequence[int], **attributes: Any
    ) -> Value:
        """One op, or the result of the same one on the same inputs; integers back to float32 are the numbers
        they were made from.
        """
        if op == "cast" and dtype == "float32" and inputs[0] in self.rounded:
            return self.rounded[inputs[0]]
        key = (op, *inputs, dtype, tuple(shape), *sorted(attributes.items()))
        if key not in self.shared:
            out = self.shared[key] = self._emit(op, inputs, dtype, shape, **attributes)
            if op == "cast" and inputs[0].dtype == "float32":
                self.rounded[out] = inputs[0]
        return self.shared[key]

    def _emit(
        self, op: str, inputs: Sequence[Value], dtype: str, shape: Sequence[int], **attributes: Any
    ) -> Value:
        out, ints = self.tensor(dtype, shape), lambda *values: self.constant(np.array(values, np.int32))
        if op == "gather":
            self._gather(inputs, out)
        elif op in _SIMPLE:
            self.operator(_SIMPLE[op], inputs, out)
        elif op == "sqrt":
            self.operator("SQRT", inputs, out)
            return _correct_root(inputs[0], out)
        elif op == "cast":
            narrow = self.graph.tensors[self.indices[inputs[0]]].type == schema.TensorType.INT4
            self.operator("CAST", inputs, out, version=6 if narrow else 1)
        elif op == "reshape":
            self.operator("RESHAPE", [*inputs, ints(*shape)], out)
        elif op in ("reduce_max", "reduce_sum"):
            self.operator(
                "REDUCE_MAX" if op == "reduce_max" else "SUM",
                [*inputs, ints(attributes["axis"])],
                out,
                "Reducer",
                keepDims=True,
            )
        elif op == "rows":
            rest = inputs[0].shape[1:]
            self.operator(
                "SLICE", [*inputs, ints(attributes["start"], *(0 for _ in rest)), ints(*shape)], out
            )
        elif op == "concat":
            self.operator("CONCATENATION", inputs, out, "Concatenation", axis=attributes["axis"])
        elif op == "with_row":
            data, index, row = inputs
            start = [index, *(ints(0) for _ in data.shape[1:])]
            at = index if len(start) == 1 else self.emit("concat", start, "int32", (len(start),), axis=0)
            self.operator("DYNAMIC_UPDATE_SLICE", [data, row, at], out)
        elif op == "matmul":
            self.operator("BATCH_MATMUL", inputs, out, "BatchMatMul", adjY=attributes["transpose_b"])
        else:
            raise NotImplementedError(op)
        return out

    def _gather(self, inputs: Sequence[Value], out: Value) -> None:
        """Rows of a table, which stay as narrow as it is: the CAST after it widens them."""
        data, row = (self.graph.tensors[self.indices[v]] for v in (inputs[0], out))
        row.type = data.type
        self.operator("GATHER", inputs, out, version=7 if data.type == schema.TensorType.INT4 else 2)

    def constant(self, array: np.ndarray) -> Value:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.shared:
            self.shared[key] = self.tensor(
                array.dtype.name, array.shape, buffer=self.file.buffer(key, lambda: array)
            )
        return self.shared[key]

    def array(self, name: str) -> Value:
        if name not in self.shared:
            a, bits = self.file.arrays[name], stored_bits(name, self.file.arrays[name], self.file.bits)
            buffer = self.file.buffer(
                name, lambda: pack_signed(a, bits) if bits < 8 else np.array(a, order="C")
            )
            self.shared[name] = self.tensor(
                a.dtype.name, a.shape, name, _WEIGHTS[bits] if bits < 8 else None, buffer
            )
        return self.shared[name]

    def _weights(self, name: str) -> Value:
        """The ternary matrix [N, K] widened to float32."""
        key, bits = f"{name}.trits", self.file.bits
        if key not in self.shared:
            a = self.file.arrays[key]
            buffer = self.file.buffer(key, lambda: pack_signed(a, bits))
            stored = self.tensor("int8", a.shape, key, _WEIGHTS[bits], buffer)
            quantization = schema.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint = [1.0], [0]
            self.graph.tensors[self.indices[stored]].quantization = quantization
            self.shared[key] = self.tensor("float32", a.shape)
            self.operator("DEQUANTIZE", [stored], self.shared[key], "Dequantize", _DEQUANTIZE_VERSION[bits])
        return self.shared[key]

    def gemv(self, name: str, codes: Value) -> Value:
        weights = self._weights(name)
        out = self.tensor("float32", (codes.shape[0], weights.shape[0]))
        self.operator("FULLY_CONNECTED", [codes.astype("float32"), weights, None], out, "FullyConnected")
        return out.astype("int32")

    def name(self, name: str, value: Value) -> Value:
        t = self.graph.tensors[self.indices[value]]
        if value.name:
            value = self._emit("reshape", [value], value.dtype, value.shape)  # an input, or named before
            t = self.graph.tensors[self.indices[value]]
        t.name = value.name = name
        return value

    def prune(self) -> None:
        """Drop operators whose result nobody reads and that have no name: a second result of a primitive, for
        example.
        """
        needed, kept = set(self.graph.outputs), []
        for op in reversed(self.graph.operators):
            if op.outputs[0] in needed or self.graph.tensors[op.outputs[0]].name:
                needed.update(op.inputs)
                kept.append(op)
        self.graph.operators = kept[::-1]
        used = sorted({*needed, *self.graph.inputs, *(op.outputs[0] for op in kept)} - {-1})
        place = {-1: -1} | {old: new for new, old in enumerate(used)}
        self.graph.tensors = [self.graph.tensors[i] for i in used]
        self.indices = {v: place[i] for v, i in self.indices.items() if i in place}
        for owner in (self.graph, *kept):
            owner.inputs, owner.outputs = [place[i] for i in owner.inputs], [place[i] for i in owner.outputs]

    def when(
        self, flag: Value, then: Callable[[], list[Value]], otherwise: Sequence[Value | None]
    ) -> list[Value]:
        """Both sides are computed: an If would copy what its branches read into subgraphs of their own."""
        return [a if b is None else where(flag, a, b) for a, b in zip(then(), otherwise, strict=True)]


def _correct_root(x: Value, root: Value) -> Value:
    """The correctly rounded square root of x from one that is a few units in the last place off: XNNPACK's
    is, by up to two.

    Heron's step brings it to the nearest value or its neighbour; then Newton's with an exact residual:
    ``high`` and ``low`` are halves of 12 bits (Veltkamp), so every product and difference is exact but the
    last sum. ``tests/exchange`` tries every sum of squares.
    """
    root = (root + x / root) * 0.5
    scaled = root * 4097.0
    high = scaled - (scaled - root)
    low = root - high
    rest = ((x - high * high) - high * low * 2.0) - low * low
    return root + rest / (root + root)


def add_graph(file: TfliteFile, graph: Graph) -> None:
    """Append ``graph`` as a subgraph with a signature of its name."""
    builder = TfliteBuilder(file)
    inputs = {p.name: builder.tensor(p.dtype, p.shape, p.name) for p in graph.inputs}
    values = graph.body(builder, dict(inputs))
    outputs = {p.name: _output(builder, p, values[p.name]) for p in graph.outputs}
    sub = builder.graph
    sub.name, sub.inputs, sub.outputs = (
        graph.name,
        [builder.indices[v] for v in inputs.values()],
        [builder.indices[v] for v in outputs.values()],
    )
    builder.prune()
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = graph.name, len(file.model.subgraphs)
    signature.inputs, signature.outputs = (_maps(names, builder.indices) for names in (inputs, outputs))
    file.model.subgraphs.append(sub)
    file.model.signatureDefs.append(signature)


def _output(builder: TfliteBuilder, port: Port, value: Value) -> Value:
    return value if value.name == port.name else builder.name(port.name, value)


def _maps(values: Mapping[str, Value], indices: Mapping[Value, int]) -> list:
    maps = []
    for name, value in values.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, indices[value]
        maps.append(entry)
    return maps
