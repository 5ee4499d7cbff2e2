# SPDX-License-Identifier: Apache-2.0
"""``verify --on onnx|tflite``: an exported model beside golden, tensor by tensor and as it is shipped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..exchange.files import open_runtime
from ..exchange.ports import PAST
from ..exchange.target import Arrays, ExportedModel, Runtime
from ..extras import installed
from ..frozen import FrozenModel
from ..golden.model import GoldenModel
from ..run.exported import ExportedSession
from .compare import Verdict, verify
from .script import Event


@dataclass(frozen=True)
class Agreement:
    """An exported file as shipped beside golden, over ``steps`` tokens. ``integers`` tensors were compared:
    logits, ring, pooled query, memory; ``first_difference`` names the first that differed. ``prefilled``
    tokens went through the prefill graph at once.
    """

    runtime: str
    steps: int
    top1: float
    integers: int
    integers_equal: int
    largest_logit_difference: float
    prefilled: int
    seconds: float
    first_difference: str = ""

    @property
    def exact(self) -> bool:
        return self.top1 == 1 and self.integers == self.integers_equal and self.largest_logit_difference == 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"exact": self.exact}


def cross_check(
    frozen: FrozenModel,
    format_name: str,
    path: Path,
    script: Sequence[Event],
    progress: Callable[[int], None] = lambda event: None,
) -> tuple[Verdict | None, Agreement]:
    """Every tap of every step, then the file as shipped; only that on a board whose old runtime cannot show
    taps. ``DataError`` for files that are damaged or another model's.
    """
    shipped = open_runtime(format_name, path)
    if shipped.model_sha256 != frozen.digest:
        raise DataError(
            f"{path}: exported from another model (SHA-256 {shipped.model_sha256[:16]}..., not "
            f"{frozen.digest[:16]}...).",
            "Export this model.",
        )
    if format_name == "tflite" and not installed("ai_edge_litert"):
        return None, agreement(frozen, shipped, script, progress)
    session = ExportedSession(frozen, open_runtime(format_name, path, taps=True))
    verdict = verify(frozen, session, script, progress=progress)
    return verdict, agreement(frozen, shipped, script, progress)


def agreement(
    frozen: FrozenModel,
    runtime: Runtime,
    script: Sequence[Event],
    progress: Callable[[int], None] = lambda event: None,
) -> Agreement:
    """Run ``script`` on golden and on the runtime, to its end whatever differs; where there is a prefill
    graph, the longest stream goes through it too.
    """
    started, steps, top1, largest, tally = time.monotonic(), 0, 0, 0.0, _Tally()
    golden, model = GoldenModel(frozen.config, frozen.arrays), ExportedModel(frozen, runtime)
    for number, event in enumerate(script):
        model, out = play(frozen, model, event)
        golden, acc = _golden(frozen, golden, event)
        if event.kind == "token":
            steps += 1
            top1 += int(np.argmax(out["logits"]) == np.argmax(acc))
            largest = max(largest, float(np.abs(out["logits.float"][0] - golden.logits(acc)).max()))
            tally.compare(f"step {steps - 1}", [("logits", acc, out["logits"]), *_state(golden, model)])
        elif event.kind == "write":
            tally.compare(f"the write after step {steps - 1}", _memory(golden, model))
        progress(number)
    prefilled = _prefill(frozen, runtime, script, tally) if "prefill" in runtime.graphs else 0
    return Agreement(
        runtime.name,
        steps,
        top1 / max(steps, 1),
        tally.count,
        tally.equal,
        largest,
        prefilled,
        time.monotonic() - started,
        tally.first,
    )


class _Tally:
    """Counts integer tensors and the equal ones, and keeps the name of the first that differs."""

    def __init__(self) -> None:
        self.count = self.equal = 0
        self.first = ""

    def compare(self, where: str, pairs: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> None:
        for name, want, got in pairs:
            same = np.array_equal(want.ravel(), got.ravel())
            self.count, self.equal = self.count + 1, self.equal + same
            if not same and not self.first:
                self.first = f"{name} at {where}"


def play(frozen: FrozenModel, model: ExportedModel, event: Event) -> tuple[ExportedModel, Arrays]:
    """One event of a script: the model after it (another one after a power cut), and what it reported."""
    if event.kind == "token":
        return model, model.step(event.token)
    if event.kind == "image":
        return model, model.set_image(event.image)
    if event.kind == "write":
        return model, model.end_episode()
    if event.kind == "power":
        return ExportedModel(frozen, model.runtime), {}
    if event.kind == "memory":
        model.memory_on = event.on
    else:
        model.begin_episode()
    return model, {}


def _golden(frozen: FrozenModel, golden: GoldenModel, event: Event) -> tuple[GoldenModel, np.ndarray | None]:
    if event.kind == "token":
        return golden, golden.step(event.token)
    if event.kind == "power":
        return GoldenModel(frozen.config, frozen.arrays), None
    if event.kind == "image":
        golden.set_image(event.image)
    elif event.kind == "write":
        golden.end_episode()
    elif event.kind == "memory":
        golden.memory_on = event.on
    else:
        golden.begin_episode()
    return golden, None


def _state(golden: GoldenModel, model: ExportedModel) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    state = model.state
    yield "pool.sum", golden.pooled, state[PAST + "pool.sum"]
    for stack, rings in (("enc", golden.enc), ("dec", golden.dec)):
        for i, ring in enumerate(rings):
            for part in ("k", "v"):
                yield (
                    f"{stack}.{i}.cache.{part}",
                    getattr(ring, part),
                    state[f"{PAST}{stack}.{i}.cache.{part}"],
                )


def _memory(golden: GoldenModel, model: ExportedModel) -> list[tuple[str, np.ndarray, np.ndarray]]:
    codes = model.memory["memory.high"].astype(np.int32) * 256 + model.memory["memory.low"]
    return [
        ("memory codes", golden.m_codes, codes),
        ("memory.usage", golden.m_usage, model.memory["memory.usage"]),
    ]


def _prefill(frozen: FrozenModel, runtime: Runtime, script: Sequence[Event], tally: _Tally) -> int:
    """The last episode of the script in two calls of the prefill graph."""
    last = max(i for i, e in enumerate(script) if e.kind == "begin")
    golden, model = GoldenModel(frozen.config, frozen.arrays), ExportedModel(frozen, runtime)
    tokens = [e.token for e in script[last:] if e.kind == "token"]
    for event in script[last:]:
        if event.kind == "image":
            golden.set_image(event.image)
            model.set_image(event.image)
    half = (len(tokens) + 1) // 2
    for part in filter(None, (tokens[:half], tokens[half:])):
        out: Arrays = model.prefill(part)
        for token in part:
            acc = golden.step(token)
        tally.compare("the end of a prefill", [("logits", acc, out["logits"]), *_state(golden, model)])
    return len(tokens)
