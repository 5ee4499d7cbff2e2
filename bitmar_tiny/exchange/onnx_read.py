# SPDX-License-Identifier: Apache-2.0
"""Reads the weights of ONNX files that anybody may have made, in Python only: no runtime parses them.

``Initializers`` hands out what was asked for by name and shape; nothing is decoded that was not asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from ..errors import DataError
from .arrays import unpack_signed
from .metadata import CANCELLED, CONFIG, PROVENANCE, TOKENIZER_SHA256, WEIGHTS_SHA256
from .onnx_export import MADE_BY, TOKENIZER, check_weights, read
from .seal import check_seal, is_sealed

_BITS = {TensorProto.INT2: 2, TensorProto.INT4: 4, TensorProto.INT8: 8}
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_INTEGERS = (*_BITS, TensorProto.UINT8, TensorProto.INT32)
_SHARED = (CONFIG, TOKENIZER_SHA256, PROVENANCE, CANCELLED)
Shape = tuple[int, ...]


@dataclass
class Initializers:
    """All initializers and DequantizeLinear outputs of one or several files."""

    where: Path
    tensors: dict[str, tuple[TensorProto, Path]] = field(default_factory=dict)
    dequantized: dict[str, NodeProto] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    conflicts: dict[str, Path] = field(default_factory=dict)
    as_is: set[str] = field(default_factory=set)
    turned: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, path: Path) -> Initializers:
        """Read a file, or every ``*.onnx`` of a folder. ``DataError`` for what is missing, damaged or
        contradicts itself.
        """
        files = [f for f in sorted(path.glob("*.onnx")) if f.is_file()] if path.is_dir() else [path]
        if not files:
            raise DataError(
                f"{path}: holds no .onnx file.", f"Name a file, or a folder that '{MADE_BY}' wrote."
            )
        found, contents = cls(path), {file: read(file) for file in files}
        ours = any(map(is_sealed, contents.values()))
        for file, data in contents.items():
            found._add(file, parse(file, data, ours))
        return found

    def _add(self, file: Path, model: ModelProto) -> None:
        for p in model.metadata_props:
            if p.key in _SHARED and self.metadata.setdefault(p.key, p.value) != p.value:
                raise DataError(
                    f"{file}: was exported from another model than its neighbours.",
                    "Keep one model in a folder.",
                )
        for tensor in model.graph.initializer:
            if self.tensors.setdefault(tensor.name, (tensor, file))[0] != tensor:
                self.conflicts[tensor.name] = file
        self.dequantized |= {
            n.output[0]: n for n in model.graph.node if n.op_type == "DequantizeLinear" and len(n.output) == 1
        }
        for name, turned in (use for node in nodes(model.graph) for use in _uses(node)):
            (self.turned if turned else self.as_is).add(name)

    @property
    def unused(self) -> list[str]:
        """Names that were not asked for; the constants of an exported graph have none of their own."""
        return sorted(
            n for n in self.tensors.keys() - self.used if n and not (n[0] == "v" and n[1:].isdecimal())
        )

    def is_turned(self, name: str) -> bool:
        """Whether the graph says that a matrix is [out, in]: it is turned before it multiplies, or stands on
        the left. ``DataError`` where it is used both ways.
        """
        if name in self.turned & self.as_is:
            raise DataError(
                f"{self.where}: the graph uses '{name}' both as [in, out] and as [out, in].",
                "Store it once for each use.",
            )
        return name in self.turned

    def file(self, name: str) -> str:
        return self.tensors[name][1].name

    def tokenizer(self) -> bytes:
        """The tokenizer that lies beside the files, or nothing."""
        path = (self.where if self.where.is_dir() else self.where.parent) / TOKENIZER
        return path.read_bytes() if path.is_file() else b""

    def floats(self, name: str, *shapes: Shape) -> np.ndarray | None:
        """float32 of one of ``shapes``, or None where there is no such initializer."""
        a = self._array(name, shapes, _FLOATS)
        if a is None:
            return None
        a = a.astype(np.float32)
        if not np.isfinite(a).all():
            raise DataError(f"{self.where}: '{name}' holds NaN or infinity.")
        return a

    def integers(self, name: str, *shapes: Shape) -> np.ndarray | None:
        """int32 of one of ``shapes``, or None where there is no such initializer."""
        a = self._array(name, shapes, _INTEGERS)
        return None if a is None else a.astype(np.int32)

    def _array(self, name: str, shapes: tuple[Shape, ...], kinds: tuple[int, ...]) -> np.ndarray | None:
        if name not in self.tensors:
            return None
        tensor, file = self.tensors[name]
        if name in self.conflicts:
            raise DataError(
                f"{self.conflicts[name]}: '{name}' differs from the one in {file.name}.",
                "Keep one model in a folder.",
            )
        kind = (
            TensorProto.DataType.Name(tensor.data_type)
            if tensor.data_type in TensorProto.DataType.values()
            else "unknown"
        )
        if tensor.data_type not in kinds or tuple(tensor.dims) not in shapes:
            raise DataError(
                f"{file}: '{name}' is {kind.lower()}{list(tensor.dims)}, this model needs "
                f"{' or '.join(str(list(s)) for s in shapes)} of "
                f"{'float' if kinds is _FLOATS else 'integers'}."
            )
        self.used.add(name)
        return _decode(tensor, file)


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of the bodies inside it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from nodes(body)


def _uses(node: NodeProto) -> Iterator[tuple[str, bool]]:
    """The matrices that a node takes, and whether that makes them [out, in] if they are weights."""
    if node.op_type == "Transpose":
        yield from ((name, not any(list(a.ints) == [0, 1] for a in node.attribute)) for name in node.input)
    elif node.op_type in ("MatMul", "Gemm"):
        flags = {a.name: bool(a.i) for a in node.attribute}
        # a third input, the bias of Gemm, is no matrix
        yield from zip(node.input, (not flags.get("transA", False), flags.get("transB", False)), strict=False)


def parse(file: Path, data: bytes, ours: bool) -> ModelProto:
    """The protobuf message, or ``DataError``; one of ``ours`` must be as it was written."""
    if ours:
        check_seal(data, file, MADE_BY)
    try:
        model = ModelProto.FromString(data)
    except (DecodeError, ValueError, RecursionError):
        raise DataError(f"{file}: not an ONNX model, or a damaged one.") from None
    digest = next((p.value for p in model.metadata_props if p.key == WEIGHTS_SHA256), None)
    if digest is not None:
        check_weights(file, digest)
    if not model.graph.initializer:
        raise DataError(f"{file}: not an ONNX model with weights inside or beside it.")
    return model


def _decode(tensor: TensorProto, file: Path) -> np.ndarray:
    count = math.prod(tensor.dims)
    raw = _external(tensor, file) if tensor.data_location == TensorProto.EXTERNAL else tensor.raw_data
    bits = _BITS.get(tensor.data_type)
    try:
        if not raw:
            return numpy_helper.to_array(tensor)
        if bits is None:
            return np.frombuffer(
                raw, np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).newbyteorder("<")
            ).reshape(tensor.dims)
        if len(raw) != -(-count * bits // 8):
            raise ValueError(f"{len(raw)} bytes")
        return unpack_signed(np.frombuffer(raw, np.uint8), bits, count).reshape(tensor.dims)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{file}: the data of '{tensor.name}' does not fill its shape ({str(error).splitlines()[0]})."
        ) from None


def _external(tensor: TensorProto, file: Path) -> bytes:
    entry = {e.key: e.value for e in tensor.external_data}
    name = entry.get("location", "")
    if not name or PurePath(name).name != name:
        raise DataError(
            f"{file}: the data of '{tensor.name}' lies outside the folder ('{name}').",
            "Keep weights beside the model.",
        )
    try:
        start, length = int(entry.get("offset", 0)), int(entry.get("length", -1))
        with open(file.parent / name, "rb") as f:
            f.seek(start)
            data = f.read(length) if length >= 0 else f.read()
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(
            f"{file.parent / name}: the data of '{tensor.name}' cannot be read ({error})."
        ) from None
    if length >= 0 and len(data) != length:
        raise DataError(
            f"{file.parent / name}: ends before the data of '{tensor.name}' does.", "Copy the file again."
        )
    return data
