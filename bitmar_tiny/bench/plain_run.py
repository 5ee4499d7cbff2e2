# SPDX-License-Identifier: Apache-2.0
"""One contender in a process of its own: a plain step file in ONNX Runtime or LiteRT, its picks, its time,
its memory.

    python -m bitmar_tiny.bench.plain_run order.json

Imports NumPy, the runtime and a clock, and nothing else that would count as the contender's memory.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .timing import measure, pin

#: What keeps a free slot of a cache out of the softmax.
HIDDEN = -1e9


class OnnxRuntime:
    """Inputs and outputs are NumPy arrays of ours that stay where they are (I/O binding): nothing is copied
    per step.
    """

    def __init__(self, file: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        types = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(int64)": np.int64}
        self.inputs, self.outputs = (
            {t.name: np.zeros(t.shape, types[t.type]) for t in ports}
            for ports in (self.session.get_inputs(), self.session.get_outputs())
        )
        for name, a in self.inputs.items():
            self.binding.bind_input(name, "cpu", 0, a.dtype, a.shape, a.ctypes.data)
        for name, a in self.outputs.items():
            self.binding.bind_output(name, "cpu", 0, a.dtype, a.shape, a.ctypes.data)

    def input(self, name: str) -> np.ndarray:
        return self.inputs[name]

    def output(self, name: str) -> np.ndarray:
        return self.outputs[name]

    def run(self) -> None:
        self.session.run_with_iobinding(self.binding)


class LiteRt:
    """Inputs are written where the interpreter keeps them. It runs in XNNPACK wherever that can."""

    def __init__(self, file: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(model_path=file, num_threads=1)
        self.interpreter.allocate_tensors()
        details = (*self.interpreter.get_input_details(), *self.interpreter.get_output_details())
        self.views = {d["name"]: self.interpreter.tensor(d["index"]) for d in details}
        for d in self.interpreter.get_input_details():
            self.views[d["name"]]()[...] = 0

    def input(self, name: str) -> np.ndarray:
        return self.views[name]()

    output = input

    def run(self) -> None:
        self.interpreter.invoke()


#: By package: its class here, and the module to import.
RUNTIMES: dict[str, tuple[Callable[[str], Any], str]] = {
    "onnxruntime": (OnnxRuntime, "onnxruntime"),
    "ai-edge-litert": (LiteRt, "ai_edge_litert.interpreter"),
}


class Loop:
    """The loop around a step: rings of keys and values with sinks, the memory's schedule. ``c``: the numbers
    of ``order``.
    """

    def __init__(self, runtime: Any, c: dict[str, Any], context: int) -> None:
        self.r, self.c, self.context = runtime, c, context
        self.state = ["pooled", *(f"cond.{i}" for i in range(c["decoder_layers"]))]
        self.begin({})

    def begin(self, image: dict[str, np.ndarray]) -> None:
        self.t = 0
        self.r.input("mask")[...] = HIDDEN
        for name in self.state:
            self.r.input(name)[...] = 0
        for name, a in image.items():
            self.r.input(name)[...] = a

    def step(self, token: int) -> int:
        """The greedy next token."""
        r, t, sinks = self.r, self.t, min(self.c["sinks"], self.context - 1)
        slot = t if t < self.context else sinks + (t - sinks) % (self.context - sinks)
        mask = r.input("mask")
        mask[0, 0, slot] = HIDDEN  # the new token counts by itself, what it replaces no longer does
        r.input("token")[0] = token
        r.input("position")[0] = min(t, self.c["positions"] - 1)
        r.input("read")[0, 0] = t % self.c["read_every"] == 0
        del mask  # LiteRT runs only while nobody holds a view
        r.run()
        for name in self.c["layers"]:
            r.input(f"k.{name}")[:, slot] = r.output(f"new.k.{name}")[:, 0]
            r.input(f"v.{name}")[:, slot] = r.output(f"new.v.{name}")[:, 0]
        for name in self.state:
            r.input(name)[...] = r.output(f"new.{name}")
        r.input("mask")[0, 0, slot] = 0
        self.t += 1
        return int(r.output("pick")[0])


def status_kib(key: str) -> int:
    """A line of /proc/self/status in KiB, 0 where the system has none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0)


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Picks over the streams with the largest caches, then times with full caches of each size, the largest
    first: ``us``, the runtime's call alone at its best; ``median_us``, its median; ``loop_us``, the median
    with the loop around it in Python.
    """
    pin(order["cpu"])
    make, module = RUNTIMES[order["package"]]
    importlib.import_module(module)
    found: dict[str, Any] = {
        "runtime_kib": status_kib("VmRSS"),
        "us": {},
        "median_us": {},
        "loop_us": {},
        "picks": [],
    }
    for context, file in sorted(order["files"].items(), key=lambda item: -int(item[0])):
        loop = Loop(make(file), order, int(context))
        for tokens, image in zip(order["streams"], order["images"], strict=True) if not found["us"] else ():
            loop.begin(dict(np.load(image)))
            found["picks"].append([loop.step(token) for token in tokens])
        loop.begin(dict(np.load(order["images"][0])))
        loop.r.input("mask")[...] = 0
        loop.t = int(context)
        found["loop_us"][context] = measure(lambda loop=loop: loop.step(7), order["seconds"]).median_s * 1e6
        call = measure(loop.r.run, order["seconds"])
        found["us"][context], found["median_us"][context] = call.min_s * 1e6, call.median_s * 1e6
        found.setdefault("peak_kib", status_kib("VmHWM"))
    return found


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
