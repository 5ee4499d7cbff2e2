# SPDX-License-Identifier: Apache-2.0
"""The whole model as one would have run it without us, beside ours: tokens/s, memory, file size, the same
first choice.

Contenders: the plain step (:mod:`.plain`) in ONNX Runtime and LiteRT, float32 and int8, each in a process of
its own so that its peak memory is its own; our exact exports in the same runtimes; our generated programs.
All run the same streams, which golden continued greedily: a choice agrees when it is golden's. Times are the
most favourable for the others: of ours the median, of a runtime its call alone at its best, for a long call
is interrupted more often than a short one where other programs run. The median, and what the loop around it
costs in Python, are in the report beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from bitmar_tiny.codegen.boards import Board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit

from ..arch.tables import tap_table
from ..errors import BitmarError
from ..extras import install, installed
from ..frozen import FrozenModel
from ..run.firmware import ProgramSession
from ..run.session import DATA
from ..verify.script import Event, random_image
from ..verify.trace import trace
from .ours import Run, families_here
from .plain import golden_stream, image_caches, layers

#: Pictures, and tokens after each of them.
IMAGES, LENGTH = 8, 40
SECONDS, TIMEOUT_S = 1.0, 600


@dataclass(frozen=True)
class Contender:
    """``write(model, folder, context)`` makes the file or folder that ``module`` runs in ``package``."""

    name: str
    package: str
    write: Callable[[FrozenModel, Path, int], Path]
    module: str = "bitmar_tiny.bench.plain_run"
    one_file: bool = False  # for every context

    @property
    def missing(self) -> str:
        """Why it cannot run here, or nothing."""
        for package in {self.package, "onnx"} if self.package == "onnxruntime" else {self.package}:
            module = package.replace("-", "_")
            if not installed(module):
                return f"{package} is not installed ({install(module)})"
        return ""


def _onnx(int8: bool) -> Callable[[FrozenModel, Path, int], Path]:
    def write(model: FrozenModel, folder: Path, context: int) -> Path:
        from . import plain_onnx

        path = folder / f"step{context}.onnx"
        (plain_onnx.write_int8 if int8 else plain_onnx.write_float)(model, path, context)
        return path

    return write


def _tflite(int8: bool) -> Callable[[FrozenModel, Path, int], Path]:
    def write(model: FrozenModel, folder: Path, context: int) -> Path:
        from . import plain_tflite

        path = folder / f"step{context}.tflite"
        plain_tflite.write(model, path, context, int8)
        return path

    return write


def _exact_onnx(model: FrozenModel, folder: Path, context: int) -> Path:
    from ..exchange.onnx_export import export_onnx

    export_onnx(model, folder / "export")
    return folder / "export"


def _exact_tflite(model: FrozenModel, folder: Path, context: int) -> Path:
    from ..exchange.tflite_export import export_tflite

    export_tflite(model, folder / "export.tflite")
    return folder / "export.tflite"


EXACT = "bitmar_tiny.bench.exact_run"
CONTENDERS = (
    Contender("ONNX Runtime float32", "onnxruntime", _onnx(False)),
    Contender("ONNX Runtime int8 (quantize_dynamic)", "onnxruntime", _onnx(True)),
    Contender("LiteRT float32 (XNNPACK)", "ai-edge-litert", _tflite(False)),
    Contender("LiteRT int8 (dynamic range, XNNPACK)", "ai-edge-litert", _tflite(True)),
    Contender("our exact .onnx in ONNX Runtime", "onnxruntime", _exact_onnx, EXACT, True),
    Contender("our exact .tflite in LiteRT", "ai-edge-litert", _exact_tflite, EXACT, True),
)


class Streams:
    """What every contender is asked, written once into ``folder``."""

    def __init__(self, model: FrozenModel, folder: Path, images: int = 0, length: int = LENGTH) -> None:
        images = images or IMAGES
        rng = np.random.default_rng(0)
        self.images = [random_image(model.config, rng) for _ in range(images)]
        self.tokens, self.picks = golden_stream(model, self.images, length)
        self.model = folder / "model.bitmar"
        model.save(self.model)
        self.features, self.caches = (
            [folder / f"{what}{i}" for i in range(images)] for what in ("features.npy.", "caches.npz.")
        )
        for image, features, caches in zip(self.images, self.features, self.caches, strict=True):
            with open(features, "wb") as f:
                np.save(f, image)
            with open(caches, "wb") as f:
                np.savez(f, **image_caches(model, image))

    def agreement(self, picks: list[list[int]]) -> float:
        """Share of first choices that are golden's."""
        return float(np.mean(np.array(picks) == np.array(self.picks)))


def measure_contender(
    c: Contender, model: FrozenModel, streams: Streams, folder: Path, contexts: list[int], cpu: int
) -> dict[str, Any]:
    """One row of the comparison; with ``missing`` instead of figures where it cannot run."""
    row: dict[str, Any] = {"label": c.name, "peer": c.module != EXACT}
    if c.missing:
        return row | {"missing": c.missing}
    folder.mkdir()
    cfg = model.config
    try:
        first = c.write(model, folder, max(contexts))
        files = {
            str(n): str(first if c.one_file or n == max(contexts) else c.write(model, folder, n))
            for n in contexts
        }
    except BitmarError as error:
        return row | {"missing": error.message}
    except Exception as error:  # a library's own complaint is the reason why it is left out
        return row | {
            "missing": f"{c.package} {metadata.version(c.package)}: "
            f"{(str(error).splitlines() or [type(error).__name__])[0][:100]}"
        }
    order = {
        "package": c.package,
        "files": files,
        "cpu": cpu,
        "seconds": SECONDS,
        "model": str(streams.model),
        "streams": streams.tokens,
        "images": list(map(str, streams.caches)),
        "features": list(map(str, streams.features)),
        "sinks": cfg.n_sinks,
        "positions": cfg.n_positions,
        "read_every": cfg.read_every,
        "decoder_layers": cfg.n_decoder_layers,
        "layers": layers(cfg),
    }
    (folder / "order.json").write_text(json.dumps(order))
    try:
        done = subprocess.run(
            [sys.executable, "-m", c.module, str(folder / "order.json")],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=Path(__file__).parents[2],
        )
    except subprocess.TimeoutExpired:
        return row | {"missing": f"did not end within {TIMEOUT_S} s"}
    if done.returncode:
        return row | {
            "missing": f"{c.package} {metadata.version(c.package)}: "
            f"{(done.stderr.strip().splitlines() or ['died'])[-1][:150]}"
        }
    found = json.loads(done.stdout)
    return row | {
        "version": f"{c.package} {metadata.version(c.package)}",
        "us": found["us"],
        "median_us": found["median_us"],
        "loop_us": found["loop_us"],
        "top1": streams.agreement(found["picks"]),
        "file_bytes": size_of(first),
        "peak_kib": found["peak_kib"],
        "runtime_kib": found["runtime_kib"],
    }


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    return sum(f.stat().st_size for f in path.iterdir()) if path.is_dir() else path.stat().st_size


def our_picks(
    model: FrozenModel, board: Board, family: str, streams: Streams, folder: Path
) -> list[list[int]]:
    """First choices of the generated program, from the integer logits that it reports."""
    project = emit(model, board, folder, family)
    program = build(project.path, board, family, extra=("-DBM_TAPS",))
    taps = tap_table(model.config)
    logits = next(i for i, t in enumerate(taps) if t.name == "logits")
    script = [
        e
        for tokens, image in zip(streams.tokens, streams.images, strict=True)
        for e in (Event("begin"), Event("image", image=image), *(Event("token", t) for t in tokens))
    ]
    with ProgramSession(program, board, family, project.memory_store) as session:
        records = list(trace(session, model, script, {logits: DATA}))
    picks = [int(np.frombuffer(r.data, "<i4").argmax()) for r in records]
    return np.array(picks).reshape(len(streams.tokens), -1).tolist()


def our_rows(runs: list[Run], model: FrozenModel, streams: Streams, folder: Path) -> Iterator[dict[str, Any]]:
    """Rows of the families that were measured as a project's Makefile builds them. Their steps look at an
    image, as everyone's here.
    """
    boards = {family: board for board, family in families_here()}
    for run in runs:
        if run.result is not None and run.flags == "plain":
            picks = our_picks(model, boards[run.family], run.family, streams, folder / f"taps-{run.family}")
            yield {
                "label": f"ours: {run.family}",
                "peer": False,
                "us": {str(s["context"]): s["image_step_ns"] / 1e3 for s in run.result["step"]},
                "top1": streams.agreement(picks),
                "file_bytes": run.program_bytes,
                "peak_kib": run.result["peak_kib"],
                "runtime_kib": 0,
            }


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For every other row, how many times slower, larger and hungrier it is than the quickest of ours at the
    largest context.
    """
    whole = [r for r in rows if "us" in r]
    ours = [r for r in whole if r["label"].startswith("ours: ")]
    if not ours:
        return []
    last = str(max(map(int, ours[0]["us"])))
    best = min(ours, key=lambda r: r["us"][last])
    return [
        {
            "label": r["label"],
            "than": best["label"],
            "time": {n: r["us"][n] / best["us"][n] for n in r["us"]},
            "peak_ram": r["peak_kib"] / best["peak_kib"] if best["peak_kib"] else None,
            "file": r["file_bytes"] / best["file_bytes"],
        }
        for r in whole
        if r is not best
    ]
