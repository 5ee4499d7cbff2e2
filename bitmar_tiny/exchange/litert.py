# SPDX-License-Identifier: Apache-2.0
"""An exported .tflite file on ai-edge-litert, or on tflite-runtime where that is installed and works."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, ToolError
from ..extras import install
from .metadata import MODEL_SHA256
from .seal import check_seal
from .target import Arrays

#: Module and package, in the order of preference: the second is what the first was called, no longer
#: maintained.
RUNTIMES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
)
MADE_BY = "bitmar-tiny export --format tflite"
_IDENTIFIER = b"TFL3"
_METADATA, _MAX_METADATA = b'{"bitmar_tiny.graph": ', 1 << 20


def find_runtime() -> tuple[Any, str]:
    """(module with ``Interpreter``, its package and version). ``ToolError`` where there is none."""
    for module, package in RUNTIMES:  # noqa: B007 (used behind the loop)
        if util.find_spec(module.split(".")[0]) is not None:
            break
    else:
        raise ToolError(
            "Neither ai-edge-litert nor tflite-runtime is installed.", f"Run: {install('ai_edge_litert')}"
        )
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:  # a distribution's own package
        version = ""
    label = f"{package} {version}".strip()
    if package == "tflite-runtime" and version and int(np.__version__.split(".")[0]) >= 2:
        # 2.14, the last on PyPI: it imports, and Interpreter() then fails after NumPy has printed a page of
        # advice
        raise _unusable(label)
    try:
        return importlib.import_module(module), label
    except (ImportError, AttributeError):
        raise _unusable(label) from None


def _unusable(label: str) -> ToolError:
    if label.startswith("tflite-runtime"):
        return ToolError(
            f"{label} was built for NumPy 1 and creates no interpreter under NumPy {np.__version__}.",
            "pip install ai-edge-litert, its successor, or 'numpy<2'.",
        )
    return ToolError(
        f"{label} does not work with this Python and NumPy {np.__version__}.",
        "pip install --force-reinstall ai-edge-litert",
    )


class LiteRt:
    """``taps``: make every named tensor an output. ``xnnpack``: LiteRT's default delegate, or its own
    kernels.
    """

    def __init__(self, path: Path, taps: bool = False, xnnpack: bool = True, threads: int = 1) -> None:
        """``DataError`` for a file that is missing, damaged or not ours, ``ToolError`` for a runtime that
        cannot run it.
        """
        module, version = find_runtime()
        self.path, self.version = path, version
        self.name = version + (", XNNPACK" if xnnpack else ", without XNNPACK") + (", taps" if taps else "")
        data, props = read_tflite(path)
        self.model_sha256 = props[MODEL_SHA256]
        resolver = (
            module.OpResolverType.AUTO if xnnpack else module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        try:
            self.interpreter = module.Interpreter(
                model_content=with_taps(data) if taps else data,
                num_threads=threads,
                experimental_op_resolver_type=resolver,
            )
            self.graphs = {
                name: self.interpreter.get_signature_runner(name)
                for name in self.interpreter.get_signature_list()
            }
        except (ImportError, AttributeError, SystemError):
            raise _unusable(version) from None
        except (ValueError, RuntimeError) as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> ToolError:
        return ToolError(
            f"{self.path}: {self.version} does not run it ({' '.join(str(error).split())[:200]}).",
            "Export with --weight-bits 8, or install the version of constraints.txt.",
        )

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """``ToolError`` where the runtime lacks an op or a type."""
        try:
            return self.graphs[graph](**inputs)
        except (ValueError, RuntimeError) as error:
            raise self._refused(error) from None


def read_tflite(path: Path) -> tuple[bytes, dict[str, str]]:
    """An exported file exactly as it was written, and its metadata. ``DataError`` for anything else."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}).", f"Make one with '{MADE_BY}'."
        ) from None
    if data[4:8] != _IDENTIFIER:
        raise DataError(f"{path}: not a LiteRT (.tflite) file.", f"Make one with '{MADE_BY}'.")
    check_seal(data, path, MADE_BY)
    start = data.index(_METADATA)  # the metadata is one JSON object, whose end the decoder finds
    return data, json.JSONDecoder().raw_decode(data[start : start + _MAX_METADATA].decode(errors="replace"))[
        0
    ]


def with_taps(data: bytes) -> bytes:
    """The file with every named tensor that an op makes as an output of its graph."""
    from .tflite_pack import pack, schema

    model = schema.ModelT.InitFromPackedBuf(data)
    for signature in model.signatureDefs:
        graph = model.subgraphs[signature.subgraphIndex]
        outputs = set(graph.outputs)
        for index in (i for op in graph.operators for i in op.outputs):
            if index not in outputs and graph.tensors[index].name:
                entry = schema.TensorMapT()
                entry.name, entry.tensorIndex = graph.tensors[index].name, index
                signature.outputs.append(entry)
                graph.outputs = [*graph.outputs, index]
    return pack(model)
