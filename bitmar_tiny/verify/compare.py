# SPDX-License-Identifier: Apache-2.0
"""Compare a session with golden, tap by tap, and explain the first difference."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arch.config import ModelConfig
from ..arch.records import Tap
from ..arch.tables import tap_table
from ..errors import ToolError
from ..frozen import FrozenModel
from ..run.golden import GoldenSession
from ..run.session import DATA, Session
from .script import Event
from .suspects import layer_in_words, source_line, suspect
from .trace import Record, default_modes, trace


@dataclass(frozen=True)
class Difference:
    """The first place where a target leaves golden. Values are also given as hex bits."""

    event: int
    step: int
    what: str
    tap: str
    layer: str
    element: str
    expected: str
    got: str
    suspect: str
    line: str

    def sentence(self) -> str:
        return (
            f"first difference at step {self.step} ({self.what}), tensor {self.tap}{self.element}: "
            f"golden {self.expected}, target {self.got}; suspect {self.suspect}"
            f"{' (' + self.line + ')' if self.line else ''}"
        )


@dataclass(frozen=True)
class Verdict:
    """Outcome of one verification. ``taps`` tensors over ``steps`` tokens were compared bit for bit."""

    target: str
    exact: bool
    steps: int
    taps: int
    seconds: float
    difference: Difference | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def verify(
    model: FrozenModel,
    target: Session,
    script: Sequence[Event],
    sources: Path | None = None,
    progress: Callable[[int], None] = lambda event: None,
    golden: Session | None = None,
) -> Verdict:
    """Run ``script`` on golden and ``target``; every tap's CRC-32 must agree. Stops at the first that does
    not.

    ``golden``: the reference (default: one that keeps its memory where the target does).
    """
    golden = golden or GoldenSession(model, target.memory_tier)
    taps, started = tap_table(model.config), time.monotonic()
    steps = sum(e.kind == "token" for e in script)
    compared, pair = _first_difference(model, golden, target, script, default_modes(taps), progress)
    difference = _explain(model, golden, target, script, taps, *pair, sources) if pair else None
    seconds = time.monotonic() - started
    return Verdict(target.name, pair is None, steps, compared, seconds, difference)


def _first_difference(
    model: FrozenModel,
    golden: Session,
    target: Session,
    script: Sequence[Event],
    modes: dict[int, int],
    progress: Callable[[int], None],
) -> tuple[int, tuple[Record | None, Record | None] | None]:
    """How many taps agree, and the first pair of golden and target that does not."""
    compared = 0
    with (
        contextlib.closing(trace(golden, model, script, modes)) as wanted,
        contextlib.closing(trace(target, model, script, modes)) as found,
    ):
        for want, got in itertools.zip_longest(wanted, found):
            if (
                want is None
                or got is None
                or (want.event, want.tap, want.crc) != (got.event, got.tap, got.crc)
            ):
                return compared, (want, got)
            compared += 1
            progress(want.event)
    return compared, None


def _explain(
    model: FrozenModel,
    golden: Session,
    target: Session,
    script: Sequence[Event],
    taps: list[Tap],
    want: Record | None,
    got: Record | None,
    sources: Path | None,
) -> Difference:
    here = want or got
    tap = taps[here.tap]
    if want is None or got is None or (want.event, want.tap) != (got.event, got.tap):
        names = [f"tap {taps[r.tap].name} of event {r.event}" if r else "the end" for r in (want, got)]
        return Difference(
            here.event,
            _step(script, here),
            script[here.event].describe(),
            tap.name,
            layer_in_words(model.config, tap),
            "",
            *names,
            "the order of the steps in bm_step.c",
            "",
        )
    for candidate in (*_finer(tap, taps), tap):  # a finer tap that differs too tells more
        pair = _dump(model, golden, target, script, taps, candidate, here)
        if pair is not None:
            break
    else:
        raise ToolError(
            f"{target.name}: tensor {tap.name} differed once and agreed when asked again.",
            "The target is not deterministic: look for uninitialised memory.",
        )
    return _difference(model.config, script, here, (candidate, *pair), sources)


def _finer(tap: Tap, taps: list[Tap]) -> list[Tap]:
    """Quiet taps that can tell more: the cache that an attention output was computed from."""
    return [t for t in taps if t.quiet and t.layer == tap.layer and tap.field == "attn.out"]


def _dump(
    model: FrozenModel,
    golden: Session,
    target: Session,
    script: Sequence[Event],
    taps: list[Tap],
    tap: Tap,
    where: Record,
) -> tuple[np.ndarray, np.ndarray] | None:
    """The tensor ``tap`` of one event from golden and target, or None if they agree."""
    index, head = taps.index(tap), script[: where.event + 1]
    modes = {index: DATA}
    wanted, found = (list(trace(s, model, head, modes, where.event)) for s in (golden, target))
    for want, got in zip(wanted, found, strict=False):  # a target may show a tensor less often
        if want.data != got.data:
            return tuple(np.frombuffer(r.data, tap.dtype).reshape(tap.shape) for r in (want, got))
    return None


def _difference(
    cfg: ModelConfig, script: Sequence[Event], where: Record, found, sources: Path | None
) -> Difference:
    tap, want, got = found
    bits = np.dtype(f"u{want.itemsize}")
    index = tuple(int(i) for i in np.argwhere(want.view(bits) != got.view(bits))[0])
    return Difference(
        where.event,
        _step(script, where),
        script[where.event].describe(),
        tap.name,
        layer_in_words(cfg, tap),
        str(list(index)),
        _value(want[index]),
        _value(got[index]),
        suspect(tap, index),
        source_line(tap, sources),
    )


def _step(script: Sequence[Event], where: Record) -> int:
    return sum(e.kind == "token" for e in script[: where.event])


def _value(v: np.generic) -> str:
    return f"{v} (0x{int(v.view(f'u{v.itemsize}')):0{2 * v.itemsize}x})"
