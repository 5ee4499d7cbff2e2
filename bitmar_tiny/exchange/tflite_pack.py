# SPDX-License-Identifier: Apache-2.0
"""A LiteRT file under construction, and its bytes: smaller than the schema module packs it: equal vectors,
options, quantisations and descriptions of tensors once, nameless tensors without a name, constants aligned to
16 bytes as the schema asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

IDENTIFIER = b"TFL3"
_ALIGN = 16


class _Packer:
    """Writes tables from the leaves up; ``shared`` holds the offsets of what is written once."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1 << 20)
        self.shared: dict[Any, int] = {}

    def once(self, key: Any, write: Callable[[], int]) -> int:
        if key not in self.shared:
            self.shared[key] = write()
        return self.shared[key]

    def ints(self, values: Sequence[int]) -> int:
        a = np.array(values, np.int32)
        return self.once(("ints", a.tobytes()), lambda: self.builder.CreateNumpyVector(a))

    def text(self, text: str | bytes) -> int:
        return self.once(("text", text), lambda: self.builder.CreateString(text))

    def offsets(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def buffer(self, buffer) -> int:
        data = buffer.data
        if data is not None and len(data):
            self.builder.StartVector(1, len(data), _ALIGN)
            head = self.builder.head = self.builder.head - len(data)
            self.builder.Bytes[head : head + len(data)] = bytes(data)
            vector = self.builder.EndVector()
        schema.BufferStart(self.builder)
        if data is not None and len(data):
            schema.BufferAddData(self.builder, vector)
        return schema.BufferEnd(self.builder)

    def tensor(self, tensor) -> int:
        """The description of one tensor; intermediate ones of a type and shape share it, for it says nothing
        else about them.
        """
        q = tensor.quantization
        scale = None if q is None or q.scale is None else tuple(q.scale)
        key = ("tensor", tensor.type, tuple(tensor.shape), tensor.buffer, tensor.name, scale)
        return self.once(key, lambda: self.new_tensor(tensor, scale))

    def new_tensor(self, tensor, scale: tuple[float, ...] | None) -> int:
        shape, name = self.ints(tensor.shape), self.text(tensor.name) if tensor.name else None
        quantization = (
            None
            if scale is None
            else self.once(("scale", scale), lambda: tensor.quantization.Pack(self.builder))
        )
        schema.TensorStart(self.builder)
        schema.TensorAddShape(self.builder, shape)
        schema.TensorAddType(self.builder, tensor.type)
        schema.TensorAddBuffer(self.builder, tensor.buffer)
        if name is not None:
            schema.TensorAddName(self.builder, name)
        if quantization is not None:
            schema.TensorAddQuantization(self.builder, quantization)
        return schema.TensorEnd(self.builder)

    def operator(self, op) -> int:
        inputs, outputs, options = self.ints(op.inputs), self.ints(op.outputs), op.builtinOptions
        if options is not None:
            key = ("options", op.builtinOptionsType, repr(sorted(vars(options).items())))
            options = self.once(key, lambda: options.Pack(self.builder))
        schema.OperatorStart(self.builder)
        schema.OperatorAddOpcodeIndex(self.builder, op.opcodeIndex)
        schema.OperatorAddInputs(self.builder, inputs)
        schema.OperatorAddOutputs(self.builder, outputs)
        if options is not None:
            schema.OperatorAddBuiltinOptionsType(self.builder, op.builtinOptionsType)
            schema.OperatorAddBuiltinOptions(self.builder, options)
        return schema.OperatorEnd(self.builder)

    def subgraph(self, graph) -> int:
        tensors = self.offsets([self.tensor(t) for t in graph.tensors])
        operators = self.offsets([self.operator(op) for op in graph.operators])
        inputs, outputs, name = self.ints(graph.inputs), self.ints(graph.outputs), self.text(graph.name)
        schema.SubGraphStart(self.builder)
        for add, value in (
            (schema.SubGraphAddTensors, tensors),
            (schema.SubGraphAddOperators, operators),
            (schema.SubGraphAddInputs, inputs),
            (schema.SubGraphAddOutputs, outputs),
            (schema.SubGraphAddName, name),
        ):
            add(self.builder, value)
        return schema.SubGraphEnd(self.builder)


def pack(model) -> bytes:
    """A ``schema.ModelT`` (without metadata buffers other than ``metadata``) as the bytes of a file."""
    p = _Packer()

    def pack_all(objects):
        return p.offsets([o.Pack(p.builder) for o in objects])

    buffers, graphs = (
        p.offsets([p.buffer(b) for b in model.buffers]),
        p.offsets([p.subgraph(g) for g in model.subgraphs]),
    )
    codes, signatures, metadata = (
        pack_all(model.operatorCodes),
        pack_all(model.signatureDefs),
        pack_all(model.metadata),
    )
    description = p.text(model.description)
    schema.ModelStart(p.builder)
    schema.ModelAddVersion(p.builder, model.version)
    for add, value in (
        (schema.ModelAddOperatorCodes, codes),
        (schema.ModelAddSubgraphs, graphs),
        (schema.ModelAddDescription, description),
        (schema.ModelAddBuffers, buffers),
        (schema.ModelAddSignatureDefs, signatures),
        (schema.ModelAddMetadata, metadata),
    ):
        add(p.builder, value)
    p.builder.Finish(schema.ModelEnd(p.builder), IDENTIFIER)
    return bytes(p.builder.Output())


class TfliteFile:
    """One flatbuffer under construction: buffers and operator codes that its graphs share."""

    def __init__(self, arrays: Mapping[str, np.ndarray], bits: int, description: str = "") -> None:
        self.arrays, self.bits = arrays, bits
        self.model = schema.ModelT()
        self.model.version, self.model.description = 3, description
        self.model.buffers, self.model.operatorCodes, self.model.subgraphs = [schema.BufferT()], [], []
        self.model.signatureDefs, self.model.metadata = [], []
        self._buffers: dict[Any, int] = {}
        self._codes: dict[tuple[str, int], int] = {}
        self.code("MUL", 1)  # the most frequent: index 0, the default, takes no bytes

    def buffer(self, key: Any, data: Callable[[], np.ndarray]) -> int:
        """Index of the buffer for ``key``, filled with the bytes of ``data()`` when it is new."""
        if key not in self._buffers:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data().tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            self._buffers[key] = len(self.model.buffers) - 1
        return self._buffers[key]

    def code(self, operator: str, version: int) -> int:
        if (operator, version) not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.version = getattr(schema.BuiltinOperator, operator), version
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            self.model.operatorCodes.append(code)
            self._codes[operator, version] = len(self.model.operatorCodes) - 1
        return self._codes[operator, version]

    def add_metadata(self, name: str, data: bytes) -> None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = (
            name,
            self.buffer(("metadata", name), lambda: np.frombuffer(data, np.uint8)),
        )
        self.model.metadata.append(entry)
