"""An exported .tflite file on ai-edge-litert, or on tflite-runtime where that is what is installed and works."""

from __future__ import annotations

import importlib
from importlib import metadata, util
from pathlib import Path
from typing import Any, Mapping

import numpy as np

from ..errors import ToolError
from .metadata import MODEL_SHA256
from .target import Arrays
from .tflite_export import read_tflite

#: Module and package, in the order of preference: the second is what the first was called, no longer maintained.
RUNTIMES = (("ai_edge_litert.interpreter", "ai-edge-litert"), ("tflite_runtime.interpreter", "tflite-runtime"))


def find_runtime() -> tuple[Any, str]:
    """(module with ``Interpreter``, its package and version). ``ToolError`` where there is none, or one that cannot work."""
    for module, package in RUNTIMES:
        if util.find_spec(module.split(".")[0]) is not None:
            break
    else:
        raise ToolError("Neither ai-edge-litert nor tflite-runtime is installed.", "pip install ai-edge-litert")
    version = metadata.version(package)
    if package == "tflite-runtime" and int(np.__version__.split(".")[0]) >= 2:
        # 2.14, the last one, was compiled against NumPy 1: under NumPy 2 it imports, and then fails in Interpreter()
        raise ToolError(f"tflite-runtime {version} was built for NumPy 1 and cannot create an interpreter under NumPy {np.__version__}.",
                        "pip install ai-edge-litert, its successor, or 'numpy<2'.")
    try:
        return importlib.import_module(module), f"{package} {version}"
    except ImportError as error:
        raise ToolError(f"{package} {version} does not load ({error}).", "pip install --force-reinstall ai-edge-litert") from None


class LiteRt:
    """``taps``: make every named tensor an output. ``xnnpack``: LiteRT's default delegate, or its own kernels."""

    def __init__(self, path: Path, taps: bool = False, xnnpack: bool = True, threads: int = 1) -> None:
        """``DataError`` for a file that is missing, damaged or not ours, ``ToolError`` for a runtime that cannot run it."""
        module, version = find_runtime()
        self.name = version + (", XNNPACK" if xnnpack else ", without XNNPACK") + (", taps" if taps else "")
        data, props = read_tflite(path)
        self.model_sha256 = props[MODEL_SHA256]
        resolver = module.OpResolverType.AUTO if xnnpack else module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self.interpreter = module.Interpreter(model_content=with_taps(data) if taps else data, num_threads=threads,
                                                  experimental_op_resolver_type=resolver)
            self.graphs = {name: self.interpreter.get_signature_runner(name) for name in self.interpreter.get_signature_list()}
        except (ValueError, RuntimeError) as error:
            raise ToolError(f"{path}: {version} does not load it ({' '.join(str(error).split())[:200]}).",
                            "Export with --weight-bits 8, or install the version of constraints.txt.") from None

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        return self.graphs[graph](**inputs)


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
