# SPDX-License-Identifier: Apache-2.0
"""The plain step as .onnx: in float, and as ONNX Runtime's own quantiser makes int8 of it."""

from __future__ import annotations

import logging
import platform
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..frozen import FrozenModel
from .plain import PlainStep, Value


class OnnxWriter:
    """See :class:`~.plain.Writer`."""

    def __init__(self) -> None:
        self.nodes, self.constants, self.inputs, self.outputs = [], {}, [], []

    def node(self, op: str, inputs: list[Value], shape: tuple[int, ...], **attributes) -> Value:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [v.id for v in inputs], [name], **attributes))
        return Value(name, shape)

    def named(self, name: str, array: np.ndarray) -> Value:
        self.constants.setdefault(name, numpy_helper.from_array(array, name))
        return Value(name, array.shape)

    def constant(self, array: np.ndarray) -> Value:
        return self.named(f"c{len(self.constants)}", np.asarray(array))

    def input(self, name: str, shape: tuple[int, ...], integer: bool = False) -> Value:
        self.inputs.append(
            helper.make_tensor_value_info(name, TensorProto.INT32 if integer else TensorProto.FLOAT, shape)
        )
        return Value(name, shape)

    def output(self, name: str, value: Value) -> None:
        self.nodes.append(helper.make_node("Identity", [value.id], [name]))
        self.outputs.append(
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name == "pick" else TensorProto.FLOAT, value.shape
            )
        )

    def linear(self, x: Value, name: str, weights: np.ndarray) -> Value:
        return self.node(
            "MatMul", [x, self.named(name, np.ascontiguousarray(weights.T))], (x.shape[0], len(weights))
        )

    def lookup(self, name: str, table: np.ndarray, index: Value) -> Value:
        return self.node("Gather", [self.named(name, table), index], (1, table.shape[1]), axis=0)

    def _binary(self, op: str, a: Value, b: Value) -> Value:
        return self.node(op, [a, b], np.broadcast_shapes(a.shape, b.shape))

    def add(self, a: Value, b: Value) -> Value:
        return self._binary("Add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self._binary("Sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self._binary("Mul", a, b)

    def div(self, a: Value, b: Value) -> Value:
        return self._binary("Div", a, b)

    def relu(self, x: Value) -> Value:
        return self.node("Relu", [x], x.shape)

    def absolute(self, x: Value) -> Value:
        return self.node("Abs", [x], x.shape)

    def sqrt(self, x: Value) -> Value:
        return self.node("Sqrt", [x], x.shape)

    def mean(self, x: Value) -> Value:
        return self.node("ReduceMean", [x, self.named("last", np.int64([-1]))], (*x.shape[:-1], 1))

    def largest(self, x: Value) -> Value:
        return self.node("ReduceMax", [x, self.named("last", np.int64([-1]))], (*x.shape[:-1], 1))

    def softmax(self, x: Value) -> Value:
        return self.node("Softmax", [x], x.shape, axis=-1)

    def argmax(self, x: Value) -> Value:
        return self.node("ArgMax", [x], x.shape[:-1], axis=-1, keepdims=0)

    def matmul(self, a: Value, b: Value, transpose_b: bool = False) -> Value:
        if transpose_b:
            b = self.node("Transpose", [b], (b.shape[0], b.shape[2], b.shape[1]), perm=[0, 2, 1])
        return self.node("MatMul", [a, b], (*a.shape[:-1], b.shape[-1]))

    def reshape(self, x: Value, shape: tuple[int, ...]) -> Value:
        return self.node("Reshape", [x, self.constant(np.int64(shape))], shape)

    def joined(self, a: Value, b: Value) -> Value:
        return self.node("Concat", [a, b], (*a.shape[:-1], a.shape[-1] + b.shape[-1]), axis=-1)

    def rest(self, x: Value, start: int, size: int) -> Value:
        bounds = [self.constant(np.int64([n])) for n in (start, start + size)]
        return self.node("Slice", [x, *bounds, self.named("last", np.int64([-1]))], (*x.shape[:-1], size))


def write_float(frozen: FrozenModel, path: Path, context: int) -> None:
    """The plain step in float32."""
    writer = OnnxWriter()
    PlainStep(writer, frozen, context).write()
    graph = helper.make_graph(
        writer.nodes, "step", writer.inputs, writer.outputs, list(writer.constants.values())
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]), str(path))


def saturates() -> bool:
    """Whether ONNX Runtime's int8 products overflow here: x86 without VNNI adds two products in 16 bits, too
    few for weights of 8. Its documentation says to quantise with ``reduce_range`` then; ternary weights lose
    nothing by it.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    try:
        return "vnni" not in Path("/proc/cpuinfo").read_text()
    except OSError:
        return True


def write_int8(frozen: FrozenModel, path: Path, context: int) -> None:
    """What ``onnxruntime.quantization.quantize_dynamic`` makes of it: int8 weights (7 bits where 8 saturate),
    activations quantised at every product.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain = path.with_suffix(".float.onnx")
    write_float(frozen, plain, context)
    logging.disable(logging.WARNING)  # it advises to run shape inference first, which changes nothing here
    try:
        quantize_dynamic(
            plain, path, weight_type=QuantType.QInt8, per_channel=False, reduce_range=saturates()
        )
    finally:
        logging.disable(logging.NOTSET)
        plain.unlink()
