# SPDX-License-Identifier: Apache-2.0
"""Writing a small .tflite file without TensorFlow: LiteRT's own schema module and flatbuffers."""

from __future__ import annotations

import numpy as np


def fully_connected_model(weights: np.ndarray, output_scale: float) -> bytes:
    """int8 [s, n, k] matrices as s FULLY_CONNECTED operators on one int8 input [1, k] of scale 1.

    Outputs int8 [1, n] each, of ``output_scale``. Needs ai-edge-litert and flatbuffers (it brings them).
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    count, n, k = weights.shape
    graph, model = schema.SubGraphT(), schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    graph.tensors, graph.operators = [_tensor(schema, "x", (1, k), 0, 1.0)], []
    for i, matrix in enumerate(weights):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(matrix.tobytes(), np.uint8)
        model.buffers.append(buffer)
        graph.tensors += [
            _tensor(schema, f"w{i}", (n, k), i + 1, 1.0),
            _tensor(schema, f"y{i}", (1, n), 0, output_scale),
        ]
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 2 * i + 1, -1], [2 * i + 2]
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        operator.builtinOptions = schema.FullyConnectedOptionsT()
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [0], [2 * i + 2 for i in range(count)]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 4
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(schema, name: str, shape: tuple[int, ...], buffer: int, scale: float):
    tensor, quantization = schema.TensorT(), schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [scale], [0]
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), schema.TensorType.INT8, buffer
    tensor.quantization = quantization
    return tensor
