# SPDX-License-Identifier: Apache-2.0
"""An exported folder on onnxruntime, as shipped or with every tap as an output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from ..errors import ToolError
from .metadata import MODEL_SHA256
from .onnx_export import GRAPHS, WEIGHTS, props, read_graph
from .target import Arrays


class OnnxRuntime:
    """``taps``: make every named tensor an output. ``optimise``: onnxruntime's default optimisations, or
    none.
    """

    def __init__(self, folder: Path, taps: bool = False, optimise: bool = True, threads: int = 1) -> None:
        """``DataError`` for a file that is missing, damaged or not ours, ``ToolError`` for one that
        onnxruntime refuses.
        """
        self.name = (
            f"onnxruntime {onnxruntime.__version__}"
            + ("" if optimise else ", no optimisation")
            + (", taps" if taps else "")
        )
        self.graphs = {}
        for name in GRAPHS:
            model, weights = read_graph(folder / f"{name}.onnx")
            self.model_sha256 = props(model)[MODEL_SHA256]
            if taps:
                model.graph.output.extend(v for v in model.graph.value_info)
            self.graphs[name] = _session(model, weights, optimise, threads, folder / f"{name}.onnx")
        self.outputs = {name: [o.name for o in s.get_outputs()] for name, s in self.graphs.items()}

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        session, names = self.graphs[graph], self.outputs[graph]
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _session(
    model: onnx.ModelProto, weights: bytes, optimise: bool, threads: int, path: Path
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_external_initializers_from_files_in_memory([WEIGHTS], [weights], [len(weights)])
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own types, one a status
        words = " ".join(str(error).split())
        raise ToolError(
            f"{path}: onnxruntime {onnxruntime.__version__} does not load it ({words[:200]}).",
            "Export with --weight-bits 8, or install the version of constraints.txt.",
        ) from None
