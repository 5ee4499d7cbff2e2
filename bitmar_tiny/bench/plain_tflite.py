# SPDX-License-Identifier: Apache-2.0
"""The plain step as .tflite, as a converter's dynamic-range quantisation leaves it: int8 weights, float32
activations that LiteRT (XNNPACK) quantises itself before every product; or all in float32.
"""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..frozen import FrozenModel
from .plain import PlainStep, Value

#: Versions of operators that we use in a newer form than the first.
_VERSIONS = {"BATCH_MATMUL": 1, "EMBEDDING_LOOKUP": 3}


class TfliteWriter:
    """See :class:`~.plain.Writer`."""

    def __init__(self, int8: bool) -> None:
        self.int8, self.model, self.graph = int8, schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.buffers, self.model.operatorCodes = 3, [schema.BufferT()], []
        self.graph.tensors, self.graph.operators, self.graph.inputs, self.graph.outputs = [], [], [], []
        self.known: dict[str, Value] = {}

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: int,
        data: np.ndarray | None = None,
        scales: np.ndarray | None = None,
    ) -> Value:
        t = schema.TensorT()
        t.name, t.shape, t.type, t.buffer = name, list(shape), kind, 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            t.buffer = len(self.model.buffers) - 1
        if scales is not None:
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale, t.quantization.zeroPoint = scales.tolist(), [0] * len(scales)
        self.graph.tensors.append(t)
        return Value(len(self.graph.tensors) - 1, shape)

    def operator(
        self,
        op: str,
        inputs: list[Value],
        shape: tuple[int, ...],
        options: str = "",
        kind: int = schema.TensorType.FLOAT32,
        **fields,
    ) -> Value:
        names = [(c.builtinCode, c.version) for c in self.model.operatorCodes]
        version = _VERSIONS.get(op, 1)
        if op == "FULLY_CONNECTED":
            version = 12 if self.int8 else 1  # 12: hybrid, with a scale for every output
        key = (getattr(schema.BuiltinOperator, op), version)
        if key not in names:
            code = schema.OperatorCodeT()
            code.builtinCode, code.version = key
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            self.model.operatorCodes.append(code)
            names.append(key)
        out, o = self.tensor(f"t{len(self.graph.tensors)}", shape, kind), schema.OperatorT()
        o.opcodeIndex, o.inputs, o.outputs = names.index(key), [v.id for v in inputs], [out.id]
        if options:
            o.builtinOptionsType = getattr(schema.BuiltinOptions, f"{options}Options")
            o.builtinOptions = getattr(schema, f"{options}OptionsT")()
            for field, value in fields.items():
                setattr(o.builtinOptions, field, value)
        self.graph.operators.append(o)
        return out

    def weights(self, name: str, w: np.ndarray) -> Value:
        """float32 [N, K] as it is, or int8 with a scale for every row, as converters round."""
        if name not in self.known:
            if self.int8:
                scales = np.maximum(np.abs(w).max(1), 1e-12).astype(np.float32) / np.float32(127)
                self.known[name] = self.tensor(
                    name,
                    w.shape,
                    schema.TensorType.INT8,
                    np.rint(w / scales[:, None]).astype(np.int8),
                    scales,
                )
            else:
                self.known[name] = self.tensor(
                    name, w.shape, schema.TensorType.FLOAT32, np.ascontiguousarray(w, np.float32)
                )
        return self.known[name]

    def constant(self, array: np.ndarray) -> Value:
        kind = schema.TensorType.INT32 if array.dtype == np.int32 else schema.TensorType.FLOAT32
        return self.tensor(f"c{len(self.graph.tensors)}", array.shape, kind, array)

    def input(self, name: str, shape: tuple[int, ...], integer: bool = False) -> Value:
        value = self.tensor(name, shape, schema.TensorType.INT32 if integer else schema.TensorType.FLOAT32)
        self.graph.inputs.append(value.id)
        return value

    def output(self, name: str, value: Value) -> None:
        self.graph.tensors[value.id].name = name
        self.graph.outputs.append(value.id)

    def linear(self, x: Value, name: str, weights: np.ndarray) -> Value:
        none = Value(-1, ())
        return self.operator(
            "FULLY_CONNECTED",
            [x, self.weights(name, weights), none],
            (x.shape[0], len(weights)),
            "FullyConnected",
            asymmetricQuantizeInputs=self.int8,
            keepNumDims=False,
        )

    def lookup(self, name: str, table: np.ndarray, index: Value) -> Value:
        return self.operator("EMBEDDING_LOOKUP", [index, self.weights(name, table)], (1, table.shape[1]))

    def _binary(self, op: str, options: str, a: Value, b: Value) -> Value:
        return self.operator(op, [a, b], np.broadcast_shapes(a.shape, b.shape), options)

    def add(self, a: Value, b: Value) -> Value:
        return self._binary("ADD", "Add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self._binary("SUB", "Sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self._binary("MUL", "Mul", a, b)

    def div(self, a: Value, b: Value) -> Value:
        return self._binary("DIV", "Div", a, b)

    def relu(self, x: Value) -> Value:
        return self.operator("RELU", [x], x.shape)

    def absolute(self, x: Value) -> Value:
        return self.operator("ABS", [x], x.shape, "Abs")

    def sqrt(self, x: Value) -> Value:
        return self.operator("SQRT", [x], x.shape)

    def mean(self, x: Value) -> Value:
        return self.operator(
            "MEAN", [x, self.constant(np.int32([-1]))], (*x.shape[:-1], 1), "Reducer", keepDims=True
        )

    def largest(self, x: Value) -> Value:
        return self.operator(
            "REDUCE_MAX", [x, self.constant(np.int32([-1]))], (*x.shape[:-1], 1), "Reducer", keepDims=True
        )

    def softmax(self, x: Value) -> Value:
        return self.operator("SOFTMAX", [x], x.shape, "Softmax", beta=1.0)

    def argmax(self, x: Value) -> Value:
        return self.operator(
            "ARG_MAX",
            [x, self.constant(np.int32([-1]))],
            x.shape[:-1],
            "ArgMax",
            schema.TensorType.INT32,
            outputType=schema.TensorType.INT32,
        )

    def matmul(self, a: Value, b: Value, transpose_b: bool = False) -> Value:
        n = b.shape[-2] if transpose_b else b.shape[-1]
        return self.operator("BATCH_MATMUL", [a, b], (*a.shape[:-1], n), "BatchMatMul", adjY=transpose_b)

    def reshape(self, x: Value, shape: tuple[int, ...]) -> Value:
        return self.operator(
            "RESHAPE", [x, self.constant(np.int32(shape))], shape, "Reshape", newShape=list(shape)
        )

    def joined(self, a: Value, b: Value) -> Value:
        return self.operator(
            "CONCATENATION", [a, b], (*a.shape[:-1], a.shape[-1] + b.shape[-1]), "Concatenation", axis=-1
        )

    def rest(self, x: Value, start: int, size: int) -> Value:
        begin = np.int32([*(0 for _ in x.shape[1:]), start])
        return self.operator(
            "SLICE",
            [x, self.constant(begin), self.constant(np.int32([*x.shape[:-1], size]))],
            (*x.shape[:-1], size),
            "Slice",
        )

    def pack(self) -> bytes:
        self.graph.name, self.model.subgraphs = "step", [self.graph]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def write(frozen: FrozenModel, path: Path, context: int, int8: bool) -> None:
    """The plain step with int8 weights, or in float32."""
    writer = TfliteWriter(int8)
    PlainStep(writer, frozen, context).write()
    path.write_bytes(writer.pack())
