# SPDX-License-Identifier: Apache-2.0
"""The ops of a graph, once for every format: a step written over :class:`Value` is lowered by a writer (ONNX,
LiteRT).

Every op is exact: IEEE binary32 element by element, or integers. Float reductions are maxima, or sums of
integers below 2**24, whose order cannot matter. Shapes are static; a stream is one row, [1, n].
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(eq=False)
class Value:
    """A tensor of a graph under construction. ``dtype`` is NumPy's name; ``scope`` is the writer's."""

    builder: Builder
    name: str
    dtype: str
    shape: tuple[int, ...]
    scope: Any = None
    __array_ufunc__ = None  # NumPy scalars on the left leave the op to us

    def __add__(self, other: Operand) -> Value:
        return _binary("add", self, other)

    def __radd__(self, other: Operand) -> Value:
        return _binary("add", other, self)

    def __sub__(self, other: Operand) -> Value:
        return _binary("sub", self, other)

    def __mul__(self, other: Operand) -> Value:
        return _binary("mul", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return _binary("div", self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return _binary("div", other, self)

    def __mod__(self, other: Operand) -> Value:
        return _binary("floor_mod", self, other)

    def __floordiv__(self, other: Operand) -> Value:
        """Of int32 that are not negative."""
        return _binary("floor_div", self, other)

    def __lt__(self, other: Operand) -> Value:
        return _binary("less", self, other)

    def eq(self, other: Operand) -> Value:
        return _binary("equal", self, other)

    def astype(self, dtype: str) -> Value:
        """Conversion of a value that the type holds exactly, or int32 to float32 rounded to nearest even."""
        return self if dtype == self.dtype else self.builder.emit("cast", [self], dtype, self.shape)

    def reshape(self, *shape: int) -> Value:
        return self if shape == self.shape else self.builder.emit("reshape", [self], self.dtype, shape)

    def max(self, axis: int = -1) -> Value:
        """Maximum along an axis, which stays with extent 1."""
        return _reduce("reduce_max", self, axis)

    def sum(self, axis: int = -1) -> Value:
        """Sum of int32, or of integers in float32 below 2**24, along an axis, which stays with extent 1."""
        return _reduce("reduce_sum", self, axis)

    def rows(self, start: int, stop: int) -> Value:
        """Rows [start, stop)."""
        if (start, stop) == (0, self.shape[0]):
            return self
        return self.builder.emit(
            "rows", [self], self.dtype, (stop - start, *self.shape[1:]), start=start, stop=stop
        )

    def columns(self, start: int, stop: int) -> Value:
        """Columns [start, stop) of one row [1, n]: [1, stop - start]."""
        return self.reshape(self.shape[1], 1).rows(start, stop).reshape(1, stop - start)

    def row(self, index: Value) -> Value:
        """Row ``index`` (int32 [1]): [1, ...]."""
        return self.builder.emit("gather", [self, index], self.dtype, (*index.shape, *self.shape[1:]))

    def with_row(self, index: Value, row: Value) -> Value:
        """A copy in which row ``index`` (int32 [1]) is ``row`` [1, ...]."""
        return self.builder.emit("with_row", [self, index, row], self.dtype, self.shape)


Operand = Value | np.ndarray | np.generic | float | int


class Builder(ABC):
    """What a writer provides."""

    @abstractmethod
    def emit(
        self, op: str, inputs: Sequence[Value], dtype: str, shape: Sequence[int], **attributes: Any
    ) -> Value:
        """Append one op."""

    @abstractmethod
    def constant(self, array: np.ndarray) -> Value:
        """A small constant of the graph."""

    @abstractmethod
    def array(self, name: str) -> Value:
        """A frozen array, or one derived from it, that every graph of a file shares."""

    @abstractmethod
    def gemv(self, name: str, codes: Value) -> Value:
        """Rows of int8 codes [rows, K] times the ternary matrix ``name``: int32 [rows, N]."""

    @abstractmethod
    def name(self, name: str, value: Value) -> Value:
        """Give ``value`` the name under which it can be looked at (``arch.tables.tap_table``)."""

    @abstractmethod
    def when(
        self, flag: Value, then: Callable[[], list[Value]], otherwise: Sequence[Value | None]
    ) -> list[Value]:
        """``then()`` where ``flag`` (bool [1]) is true, else ``otherwise``: same dtypes and shapes, None for
        what nobody reads then.
        """

    def unfused(self, scale: Value) -> Value:
        """The same scale (never negative), as something that no optimiser merges with the product that it
        goes into.
        """
        return scale

    def call(self, function: Callable, arguments: Sequence[Any]) -> Any:
        """A primitive of numerics.py; a format that has functions may keep it as one."""
        return function(*arguments)


def primitive(function: Callable) -> Callable:
    """Mark a function over Values (first argument) as a primitive: see :meth:`Builder.call`."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return arguments[0].builder.call(function, arguments)

    return call


def _operands(a: Operand, b: Operand) -> tuple[Value, Value]:
    known = a if isinstance(a, Value) else b
    return tuple(
        v if isinstance(v, Value) else known.builder.constant(np.asarray(v, known.dtype)) for v in (a, b)
    )


def _binary(op: str, a: Operand, b: Operand) -> Value:
    a, b = _operands(a, b)
    assert a.dtype == b.dtype, (op, a, b)
    dtype = "bool" if op in ("less", "equal", "and") else a.dtype
    return a.builder.emit(op, [a, b], dtype, np.broadcast_shapes(a.shape, b.shape))


def _reduce(op: str, v: Value, axis: int) -> Value:
    axis %= len(v.shape)
    shape = [1 if i == axis else n for i, n in enumerate(v.shape)]
    return v if v.shape[axis] == 1 else v.builder.emit(op, [v], v.dtype, shape, axis=axis)


def maximum(a: Operand, b: Operand) -> Value:
    return _binary("maximum", a, b)


def minimum(a: Operand, b: Operand) -> Value:
    return _binary("minimum", a, b)


def both(a: Value, b: Value) -> Value:
    return _binary("and", a, b)


def unary(op: str) -> Callable[[Value], Value]:
    return lambda v: v.builder.emit(op, [v], v.dtype, v.shape)


absolute, sqrt, floor = unary("abs"), unary("sqrt"), unary("floor")
#: To the nearest integer, ties to even; float32 stays float32.
rint = unary("rint")


def where(flag: Value, a: Operand, b: Operand) -> Value:
    """Element-wise choice; both sides are computed."""
    a, b = _operands(a, b)
    return a.builder.emit("where", [flag, a, b], a.dtype, np.broadcast_shapes(flag.shape, a.shape, b.shape))


def concat(values: Sequence[Value], axis: int) -> Value:
    if len(values) == 1:
        return values[0]
    shape = list(values[0].shape)
    shape[axis] = sum(v.shape[axis] for v in values)
    return values[0].builder.emit("concat", list(values), values[0].dtype, shape, axis=axis % len(shape))


def matmul(a: Value, b: Value, transpose_b: bool = False) -> Value:
    """float32 product [..., m, k] x [..., k, n] (or [..., n, k]) of integers whose partial sums stay below
    2**24.
    """
    n = b.shape[-2] if transpose_b else b.shape[-1]
    assert a.shape[-1] == b.shape[-1 if transpose_b else -2] and a.dtype == b.dtype == "float32"
    return a.builder.emit("matmul", [a, b], "float32", (*a.shape[:-1], n), transpose_b=transpose_b)
