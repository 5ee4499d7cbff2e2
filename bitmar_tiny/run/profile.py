# SPDX-License-Identifier: Apache-2.0
"""Let a board run, and record where its time goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bitmar_tiny.codegen.emit import read_manifest

from ..data.files import read_json
from ..device.protocol import PARTS
from ..errors import ConfigError, DeviceError
from ..profile.recording import Recording
from .device import DeviceSession, StepRecord, how_to_build_with

#: Steps are taken in many short streams: the first ones of a run tell little about the next.
TOKENS, ROUNDS, EPISODES = 32, 12, 5
WHERE, WHOLE, OFF = 1, 2, 0  # of a step is measured: where its time goes, only all of it, nothing
#: Counters of a board -> names in a recording.
STORE = {
    "reads": "reads",
    "read_bytes": "bytes",
    "read_cycles": "stall_cycles",
    "writes": "writes",
    "written_bytes": "written_bytes",
}
TEMPERATURE, TOP_K = 1.0, 40  # so that a model does not end its text at once


def record(
    board: DeviceSession,
    tokens: int = TOKENS,
    rounds: int = ROUNDS,
    *,
    plan: dict[str, Any] | None = None,
    progress: Callable[[int], None] = lambda round: None,
) -> tuple[Recording, float | None]:
    """Profile ``rounds`` streams of ``tokens`` prefilled and as many decoded tokens.

    plan: what was predicted (default: of firmware that was built here). Returns the recording, and how many
    times longer a step was for being measured (medians of decode steps). The memory is afterwards what it was
    before. ``DeviceError`` for firmware without marks.
    """
    who = board.identity
    if "profile" not in who.flags:
        raise DeviceError(
            f"{board.name}: this firmware was built without marks, so it cannot say where its time goes.",
            how_to_build_with("PROFILE"),
        )
    rng = np.random.default_rng(0)
    steps: list[StepRecord] = []
    whole: list[int] = []
    used: Counter[str] = Counter()
    for i in range(rounds):
        with _counted(board, used):
            steps += _stream(board, rng, tokens, WHERE)
        whole += [s.total for s in _stream(board, rng, tokens, WHOLE) if s.decode]
        progress(i + 1)
    episodes = [] if "read_only" in who.flags else _episodes(board, rng, tokens, used)
    board.profile(OFF)
    decoded = [s.total for s in steps if s.decode]
    overhead = float(np.median(decoded) / np.median(whole)) if decoded and whole else None
    return _recording(
        board, steps, tuple(episodes), dict(used) if "store" in who.flags else None, plan or board.plan
    ), overhead


def plan_of(project: Path, board: DeviceSession) -> dict[str, Any]:
    """What the project of a board's firmware predicted; ``ConfigError`` if it is another's."""
    build, plan = read_manifest(project).get("build"), read_json(project / "plan.json")
    if build != board.identity.build:
        raise ConfigError(
            f"{project}: the board's firmware is of another build ({board.identity.build}) than this "
            f"project ({build}).",
            "Build and flash the project, or leave out --project.",
        )
    return plan


@contextmanager
def _counted(
    board: DeviceSession, used: Counter[str], names: tuple[str, ...] = ("reads", "read_bytes", "read_cycles")
) -> Iterator[None]:
    """Add to ``used`` what the board counts meanwhile, under the names of a recording."""
    before = board.counters()
    yield
    after = board.counters()
    for name in names:
        used[STORE[name]] += after[name] - before[name]


def _stream(board: DeviceSession, rng: np.random.Generator, tokens: int, how: int) -> list[StepRecord]:
    board.profile(OFF)
    board.begin()
    board.profile(how)
    prompt = [int(t) for t in rng.integers(0, board.identity.vocab - 1, tokens)]
    for _ in board.generate(prompt, tokens, TEMPERATURE, TOP_K, int(rng.integers(1 << 31))):
        pass
    return list(board.steps)


def _episodes(board: DeviceSession, rng: np.random.Generator, tokens: int, used: Counter[str]) -> list[int]:
    """Cycles of writing each of a few episodes into the memory."""
    memory = board.read_memory()
    try:
        found = []
        with _counted(board, used, ("writes", "written_bytes")):
            for _ in range(EPISODES):
                board.profile(OFF)
                board.begin()
                board.tokens(rng.integers(0, board.identity.vocab - 1, tokens))
                found.append(board.request("end"))
        return found
    finally:
        board.write_memory(memory)


def _recording(
    board: DeviceSession,
    steps: list[StepRecord],
    episodes: tuple[int, ...],
    store: dict[str, int] | None,
    plan: dict[str, Any] | None,
) -> Recording:
    who = board.identity
    identity = {
        "model": who.model,
        "model_sha256": who.model_sha256,
        "board": who.board,
        "kernels": who.kernels,
        "build_id": who.build,
        "compiler": who.compiler,
        "port": board.name,
        "when": board.channel.about.when[:10],
    } | ({"head_kb_s": who.head_kb_s} if who.head_kb_s else {})
    return Recording(
        identity,
        "simulated" if board.emulated else "measured",
        who.cycles_hz,
        who.sections,
        PARTS,
        tuple("decode" if s.decode else "prefill" for s in steps),
        np.array([s.start for s in steps], np.uint64),
        np.array([s.total for s in steps], np.uint64),
        np.stack([s.cycles for s in steps]).astype(np.uint64),
        board.counters()["stack_peak"] or None,
        who.arenas,
        store,
        plan,
        episodes,
    )
