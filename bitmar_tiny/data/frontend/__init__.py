# SPDX-License-Identifier: Apache-2.0
"""The vision front end: a picture through a backbone file (.tflite or .onnx) into the vectors that a BitMar
model takes.

It stands alone, on Python 3.9, numpy, pillow, and ai-edge-litert (or tflite-runtime) for a .tflite file or
onnxruntime for an .onnx file: `bitmar-tiny features` imports it, and a generated Linux project holds a copy
of it as ``features/``.
"""
