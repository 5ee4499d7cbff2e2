# SPDX-License-Identifier: Apache-2.0
"""Exported files: written, and loaded into a runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..extras import need
from ..frozen import FrozenModel
from .target import Runtime

FORMATS = ("onnx", "tflite")


def export(frozen: FrozenModel, format_name: str, out: str | Path, bits: int = 2) -> list[Path]:
    """Write a model as ``onnx`` (graphs, into folder ``out``) or ``tflite`` (one file). Returns the files.

    bits: of a stored ternary weight, 2, 4 or 8; older runtimes know no type of 2 or 4. Needs
    ``bitmar-tiny[export]``.
    """
    out = Path(out)
    if format_name == "onnx":
        need("onnx")
        from .onnx_export import export_onnx

        return export_onnx(frozen, out, bits)
    need("ai_edge_litert")
    from .tflite_export import export_tflite

    return export_tflite(frozen, out, bits)


def open_runtime(format_name: str, path: Path, **options: Any) -> Runtime:
    """``OnnxRuntime`` or ``LiteRt`` over exported files."""
    if format_name == "onnx":
        need("onnx", "onnxruntime")
        from .onnx_runtime import OnnxRuntime

        return OnnxRuntime(path, **options)
    from .litert import LiteRt

    if options.get("taps"):
        need("ai_edge_litert")
    return LiteRt(path, **options)
