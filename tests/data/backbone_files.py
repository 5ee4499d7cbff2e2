# SPDX-License-Identifier: Apache-2.0
"""Small backbones of our own: one convolution over patches, as .onnx and as .tflite, float and quantised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

SIZE, PATCH = 56, 14


def patch_weights(width: int, seed: int = 0) -> np.ndarray:
    """float32 [width, PATCH, PATCH, 3]"""
    return np.random.default_rng(seed).normal(0, 0.05, (width, PATCH, PATCH, 3)).astype(np.float32)


def onnx_file(path: Path, width: int = 768, channels_first: bool = True, side: int | str = SIZE) -> Path:
    """[n, 3, side, side] or [n, side, side, 3] -> a map of the same layout."""
    onnx = pytest.importorskip("onnx", reason="pip install onnx onnxruntime")
    pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
    h = onnx.helper
    conv = h.make_node(
        "Conv", ["x"] if channels_first else ["t"], ["y"] if channels_first else ["u"], strides=[PATCH, PATCH]
    )
    conv.input.append("w")
    nodes = (
        [conv]
        if channels_first
        else [
            h.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
            conv,
            h.make_node("Transpose", ["u"], ["y"], perm=[0, 2, 3, 1]),
        ]
    )
    shape = [1, 3, side, side] if channels_first else [1, side, side, 3]
    graph = h.make_graph(
        nodes,
        "patches",
        [h.make_tensor_value_info("x", 1, shape)],
        [h.make_tensor_value_info("y", 1, None)],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(patch_weights(width).transpose(0, 3, 1, 2)), "w")],
    )
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 15)], ir_version=8), str(path))
    return path


def tflite_file(path: Path, width: int = 768, quantised: bool = False) -> Path:
    """[1, SIZE, SIZE, 3] -> [1, 4, 4, width]; quantised: uint8 pixels in (mean 0.5, deviation 0.5), int8
    numbers out.
    """
    pytest.importorskip("ai_edge_litert", reason="pip install ai-edge-litert")
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers = 3, [schema.BufferT()]
    graph.tensors = []
    grid, kind = SIZE // PATCH, schema.TensorType

    def tensor(
        name: str,
        shape: tuple[int, ...],
        dtype: int,
        data: np.ndarray | None = None,
        scale: float = 0.0,
        zero: int = 0,
    ) -> int:
        t = schema.TensorT()
        t.name, t.shape, t.type, t.buffer = name, list(shape), dtype, 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            model.buffers.append(buffer)
            t.buffer = len(model.buffers) - 1
        if scale:
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale, t.quantization.zeroPoint = [scale], [zero]
        graph.tensors.append(t)
        return len(graph.tensors) - 1

    def operator(code: int, inputs: list[int], output: int, options: object, options_type: int) -> None:
        o = schema.OperatorT()
        o.opcodeIndex, o.inputs, o.outputs = code, inputs, [output]
        o.builtinOptions, o.builtinOptionsType = options, options_type
        graph.operators.append(o)

    w = patch_weights(width)
    conv = schema.Conv2DOptionsT()
    conv.padding, conv.strideW, conv.strideH = schema.Padding.VALID, PATCH, PATCH
    conv.dilationWFactor = conv.dilationHFactor = 1
    graph.operators, map_shape = [], (1, grid, grid, width)
    codes = [schema.BuiltinOperator.CONV_2D]
    if quantised:
        top = float(np.abs(w).max()) / 127
        x = tensor("pixels", (1, SIZE, SIZE, 3), kind.UINT8, scale=1 / 127.5, zero=127)
        inside = tensor("inside", (1, SIZE, SIZE, 3), kind.INT8, scale=1 / 127.5, zero=-1)
        codes.append(schema.BuiltinOperator.QUANTIZE)
        operator(1, [x], inside, schema.QuantizeOptionsT(), schema.BuiltinOptions.QuantizeOptions)
        weights = tensor("w", w.shape, kind.INT8, np.rint(w / top).astype(np.int8), top)
        bias = tensor("b", (width,), kind.INT32, np.zeros(width, np.int32), top / 127.5)
        y = tensor("vectors", map_shape, kind.INT8, scale=0.04, zero=5)
        operator(0, [inside, weights, bias], y, conv, schema.BuiltinOptions.Conv2DOptions)
    else:
        x = tensor("pixels", (1, SIZE, SIZE, 3), kind.FLOAT32)
        weights, bias = (
            tensor("w", w.shape, kind.FLOAT32, w),
            tensor("b", (width,), kind.FLOAT32, np.zeros(width, np.float32)),
        )
        y = tensor("vectors", map_shape, kind.FLOAT32)
        operator(0, [x, weights, bias], y, conv, schema.BuiltinOptions.Conv2DOptions)
    graph.inputs, graph.outputs = [x], [y]
    model.subgraphs, model.operatorCodes = [graph], []
    for code in codes:
        c = schema.OperatorCodeT()
        c.builtinCode = c.deprecatedBuiltinCode = code
        c.version = 3 if code == schema.BuiltinOperator.CONV_2D else 1
        model.operatorCodes.append(c)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path
