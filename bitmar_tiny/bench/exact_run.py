# SPDX-License-Identifier: Apache-2.0
"""Our own exact export in a process of its own, measured as :mod:`.plain_run` measures the plain ones.

python -m bitmar_tiny.bench.exact_run order.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..exchange.target import ExportedModel
from ..frozen import FrozenModel
from .plain_run import status_kib
from .timing import measure, pin


def load(package: str, path: Path) -> Any:
    """The exported file or folder in its runtime."""
    if package == "onnxruntime":
        from ..exchange.onnx_runtime import OnnxRuntime

        return OnnxRuntime(path)
    from ..exchange.litert import LiteRt

    return LiteRt(path)


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Picks over the streams, then times in a stream of each length, the longest first."""
    pin(order["cpu"])
    __import__("onnxruntime" if order["package"] == "onnxruntime" else "ai_edge_litert.interpreter")
    frozen = FrozenModel.load(order["model"])
    found: dict[str, Any] = {
        "runtime_kib": status_kib("VmRSS"),
        "us": {},
        "median_us": {},
        "loop_us": {},
        "picks": [],
    }
    contexts = sorted(map(int, order["files"]), reverse=True)
    model = ExportedModel(frozen, load(order["package"], Path(order["files"][str(contexts[0])])))

    def pick(token):
        return int(model.step(token)["logits"].argmax())

    for tokens, image in zip(order["streams"], order["features"], strict=True):
        model.begin_episode()
        model.set_image(np.load(image))
        found["picks"].append([pick(token) for token in tokens])
    for context in contexts:
        model.begin_episode()
        model.set_image(np.load(order["features"][0]))
        for t in range(context):
            pick(t % frozen.config.vocab_size)
        found["loop_us"][str(context)] = measure(lambda: pick(7), order["seconds"]).median_s * 1e6
        inputs = model.inputs() | {"token": np.array([7], np.int32)}
        call = measure(lambda inputs=inputs: model.runtime.run("step", inputs), order["seconds"])
        found["us"][str(context)], found["median_us"][str(context)] = call.min_s * 1e6, call.median_s * 1e6
        found.setdefault("peak_kib", status_kib("VmHWM"))
    return found


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
