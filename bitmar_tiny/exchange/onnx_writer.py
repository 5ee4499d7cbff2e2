# SPDX-License-Identifier: Apache-2.0
"""Lowers graphs to ONNX: standard ops, numerics as model-local functions of the same names, weights in one
external file.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import FunctionProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

from ..errors import ToolError
from ..golden import numerics as golden_nm
from .builder import Builder, Value, maximum
from .ports import Port

if not hasattr(TensorProto, "INT2"):
    raise ToolError(
        f"onnx {onnx.__version__} is too old: it has no type of 2 bits.",
        "Install the version of constraints.txt.",
    )

DOMAIN = "bitmar_tiny"
#: Weight bits -> (opset, IR version, type): the oldest that have the type. onnxruntime takes int2 from opset
#: 25 on.
TYPES = {2: (25, 12, TensorProto.INT2), 4: (21, 10, TensorProto.INT4), 8: (21, 10, TensorProto.INT8)}
_NARROW = (TensorProto.INT2, TensorProto.INT4)

_SIMPLE = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "floor_div": "Div",
    "floor_mod": "Mod",
    "less": "Less",
    "equal": "Equal",
    "and": "And",
    "maximum": "Max",
    "minimum": "Min",
    "abs": "Abs",
    "sqrt": "Sqrt",
    "floor": "Floor",
    "rint": "Round",
    "where": "Where",
    "gather": "Gather",
}
_ELEMENTS = {
    "float32": TensorProto.FLOAT,
    "int32": TensorProto.INT32,
    "int8": TensorProto.INT8,
    "bool": TensorProto.BOOL,
    "int64": TensorProto.INT64,
}


@dataclass
class _Scope:
    """A list of nodes: the graph, a body inside it, or a function with names of its own."""

    function: bool = False
    prefix: str = ""
    inputs: list[Value] = field(default_factory=list)
    nodes: list[NodeProto] = field(default_factory=list)
    count: int = 0


def _about(function: Callable) -> str:
    """What a viewer shows of a primitive: what golden says of the one of the same name."""
    stem = function.__name__.lstrip("_")
    return (getattr(golden_nm, stem, function).__doc__ or "").partition("\n")[0]


def value_info(port: Port | Value):
    return helper.make_tensor_value_info(port.name, _ELEMENTS[port.dtype], port.shape)


class OnnxBuilder(Builder):
    """One ONNX graph under construction. ``stored(name)`` gives the TensorProto of a frozen array, by
    reference.
    """

    def __init__(self, stored: Callable[[str], TensorProto]) -> None:
        self.stored = stored
        self.main = self.scope = _Scope()
        self.initializers: dict[str, TensorProto] = {}
        self.named: list[Value] = []
        self.functions: dict[Any, tuple[FunctionProto, list[tuple[str, tuple[int, ...]]], bool]] = {}
        self.variants: dict[str, dict[bytes, FunctionProto]] = {}
        self._constants: dict[Any, Value] = {}

    # -- ops -------------------------------------------------------------------------------------

    def value(self, dtype: str, shape: Sequence[int], name: str = "", scope: _Scope | None = None) -> Value:
        scope = scope or self.scope
        counter = scope if scope.function else self.main  # names of a body must differ from those around it
        counter.count += not name
        return Value(self, name or f"v{counter.count}", dtype, tuple(shape), scope)

    def node(self, op: str, inputs: Sequence[Value], outputs: Sequence[Value], **attributes: Any) -> None:
        """Append one node; an output may be given another name later."""
        node = helper.make_node(op, [v.name for v in inputs], [v.name for v in outputs], **attributes)
        self.scope.nodes.append(node)

    def emit(
        self, op: str, inputs: Sequence[Value], dtype: str, shape: Sequence[int], **attributes: Any
    ) -> Value:
        out, inputs = self.value(dtype, shape), list(inputs)

        def ints(*values):
            return self.constant(np.array(values, np.int64))

        if op in _SIMPLE:
            self.node(_SIMPLE[op], inputs, [out])
        elif op == "cast":
            self.node("Cast", inputs, [out], to=_ELEMENTS[dtype])
        elif op == "reshape":
            self.node("Reshape", [*inputs, ints(*shape)], [out])
        elif op in ("reduce_max", "reduce_sum"):
            self.node(
                "ReduceMax" if op == "reduce_max" else "ReduceSum",
                [*inputs, ints(attributes["axis"])],
                [out],
                keepdims=1,
            )
        elif op == "rows":
            self.node("Slice", [*inputs, ints(attributes["start"]), ints(attributes["stop"]), ints(0)], [out])
        elif op == "concat":
            self.node("Concat", inputs, [out], axis=attributes["axis"])
        elif op == "with_row":
            data, index, row = inputs
            self.node("ScatterND", [data, index.astype("int64").reshape(1, 1), row], [out])
        elif op == "matmul":
            self.node(
                *(("Gemm", inputs, [out]) if attributes["transpose_b"] else ("MatMul", inputs, [out])),
                **({"transB": 1} if attributes["transpose_b"] else {}),
            )
        else:
            raise NotImplementedError(op)
        return out

    def constant(self, array: np.ndarray) -> Value:
        home = self.scope if self.scope.function else self.main
        key = (id(home), array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            value = self._constants[key] = self.value(array.dtype.name, array.shape, scope=home)
            tensor = numpy_helper.from_array(array, value.name)
            if home.function:
                home.nodes.insert(0, helper.make_node("Constant", [], [value.name], value=tensor))
            else:
                self.initializers[value.name] = tensor
        return self._constants[key]

    def array(self, name: str) -> Value:
        """The frozen array; one of less than 8 bits widened to int8, once and outside every body: runtimes
        fold that when they load it.
        """
        tensor = self.initializers.setdefault(name, self.stored(name))
        shape = tuple(tensor.dims)
        if tensor.data_type not in _NARROW:
            return Value(self, name, helper.tensor_dtype_to_np_dtype(tensor.data_type).name, shape, self.main)
        if ("int8", name) not in self._constants:
            wide = self._constants["int8", name] = self.value("int8", shape, f"{name}.int8", self.main)
            self.main.nodes.append(helper.make_node("Cast", [name], [wide.name], to=TensorProto.INT8))
        return self._constants["int8", name]

    def gemv(self, name: str, codes: Value) -> Value:
        trits = self.array(f"{name}.trits")
        out = self.value("int32", (codes.shape[0], trits.shape[1]))
        self.node("MatMulInteger", [codes, trits], [out])
        return out

    def unfused(self, scale: Value) -> Value:
        """onnxruntime turns float(MatMulInteger) * (a * b) into one op that multiplies by a, then b, and x *
        (1 / y) into x / y: other roundings. The maximum with 0 hides the scale from it (onnxruntime 1.32:
        MatMulIntegerToFloat, DivMulFusion).
        """
        return maximum(scale, 0.0)

    # -- names, functions, bodies ------------------------------------------------------------------

    def name(self, name: str, value: Value) -> Value:
        """Name a value of the current scope: the node that makes it is told, and its readers so far."""
        name = self.scope.prefix + name
        if (
            value.scope is not self.scope
            or not re.fullmatch(r"v\d+", value.name)
            or value in self.scope.inputs
        ):
            out = self.value(value.dtype, value.shape, name)
            self.node("Identity", [value], [out])
        else:
            for node in self.scope.nodes:
                for names in (node.input, node.output):
                    for i, old in enumerate(names):
                        if old == value.name:
                            names[i] = name
            out = value
            out.name = name
        self.named.append(out)
        return out

    @contextlib.contextmanager
    def inside(self, scope: _Scope) -> Iterator[_Scope]:
        outer, self.scope = self.scope, scope
        yield scope
        self.scope = outer

    def _result(self, scope: _Scope, value: Value) -> Value:
        """A value that ``scope`` makes itself, so that it may be an output of it."""
        if value.scope is scope and value not in scope.inputs:
            return value
        out = self.value(value.dtype, value.shape)
        self.node("Identity", [value], [out])
        return out

    def call(self, function: Callable, arguments: Sequence[Any]) -> Any:
        values = [a for a in arguments if isinstance(a, Value)]
        key = (function, *((a.dtype, a.shape) if isinstance(a, Value) else a for a in arguments))
        if key not in self.functions:
            self.functions[key] = self._function(function, arguments)
        proto, results, single = self.functions[key]
        outs = [self.value(dtype, shape) for dtype, shape in results]
        self.node(proto.name, values, outs, domain=DOMAIN)
        return outs[0] if single else tuple(outs)

    def _function(self, function: Callable, arguments: Sequence[Any]):
        scope = _Scope(function=True)
        inner = [self.value(a.dtype, a.shape, scope=scope) if isinstance(a, Value) else a for a in arguments]
        scope.inputs = [a for a in inner if isinstance(a, Value)]
        with self.inside(scope):
            result = function(*inner)
            single = isinstance(result, Value)
            outs = [self._result(scope, v) for v in ([result] if single else result)]
        proto = FunctionProto(
            domain=DOMAIN,
            doc_string=_about(function),
            input=[v.name for v in scope.inputs],
            output=[v.name for v in outs],
            node=scope.nodes,
        )
        return self._named(proto, function.__name__.lstrip("_")), [(v.dtype, v.shape) for v in outs], single

    def _named(self, proto: FunctionProto, stem: str) -> FunctionProto:
        """The function under a name of its own; what another shape of the same primitive needs may be the
        same function.
        """
        content = proto.SerializeToString(deterministic=True)
        same = self.variants.setdefault(stem, {})
        if content not in same:
            proto.name = stem + (f"_{len(same) + 1}" if same else "")
            same[content] = proto
        return same[content]

    def body(self, name: str, scope: _Scope, outputs: Sequence[Value]) -> GraphProto:
        with self.inside(scope):
            outputs = [self._result(scope, v) for v in outputs]
        return helper.make_graph(
            scope.nodes, name, [value_info(v) for v in scope.inputs], [value_info(v) for v in outputs]
        )

    def when(
        self, flag: Value, then: Callable[[], list[Value]], otherwise: Sequence[Value | None]
    ) -> list[Value]:
        yes, no = _Scope(), _Scope()
        with self.inside(yes):
            values = then()
        others = [
            self.constant(np.zeros(v.shape, v.dtype)) if o is None else o
            for v, o in zip(values, otherwise, strict=True)
        ]
        outs = [self.value(v.dtype, v.shape) for v in values]
        branches = {
            "then_branch": self.body("then", yes, values),
            "else_branch": self.body("else", no, others),
        }
        self.node("If", [flag], outs, **branches)
        return outs
