# SPDX-License-Identifier: Apache-2.0
"""The memory on, off and shuffled: what it does to scores (the paper's table 4) and costs (table 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import emit

from ..errors import ConfigError
from ..files import TemporaryFolder
from ..run.session import open_session
from .paired import difference
from .scoring import Progress
from .suite import MEMORY, Open, Subject, TextTask, open_scorer
from .token_cost import Profile, build_profile, run_profile

#: Profiles with the memory on and off take turns so many times, and the quickest of each counts: other work
#: on the machine only slows.
ROUNDS = 3


def ablate_tasks(
    subject: Subject,
    tasks: Sequence[TextTask],
    on: str,
    progress: Callable[[str], Progress | None],
    opened: Open = open_session,
    known: dict[str, dict[str, Any]] | None = None,
    keep: Path | None = None,
) -> dict[str, dict[str, Any]]:
    """Every task with the memory in every condition: {task: {"on": figures, "off": ..., "shuffled": ...,
    "difference": {"off": on minus off as ``paired`` has it, "shuffled": ...}}}.

    ``progress``: gives the callback for a label; ``known``: figures of tasks with the memory on; ``keep``: as
    ``open_scorer`` has it.
    """
    found: dict[str, dict[str, Any]] = {
        task.name: {"on": known[task.name]} if known else {} for task in tasks
    }
    for condition in MEMORY[1:] if known else MEMORY:
        with open_scorer(subject, on, condition, opened, keep) as scorer:
            for task in tasks:
                found[task.name][condition] = task.run(scorer, progress(f"{task.name}, memory {condition}"))
    for by in found.values():
        by["difference"] = {other: difference(by["on"], by[other]) for other in MEMORY[1:]}
    return found


def measure_cost(subject: Subject, board: str, watts: float | None) -> dict[str, Any]:
    """Throughput, latency, energy and memory of the generated program with the memory read and unread, full
    window.

    ``label``: measured, or simulated under an emulator; energy is always estimated: seconds per token times
    ``watts``. A step here is all of a token: layers, head and greedy pick, and its share of the reads.
    """
    target = load_board(board)
    if not target.platform.runs_here:
        raise ConfigError(
            f"Programs for {target.name} do not run here.", "Choose a Linux board, host for example."
        )
    with TemporaryFolder() as folder:
        project = emit(subject.frozen, target, Path(folder) / "project")
        program = build_profile(project)
        rounds = [
            {condition: run_profile(project, program, condition == "on") for condition in ("on", "off")}
            for _ in range(ROUNDS)
        ]
    best = {condition: min((r[condition] for r in rounds), key=_step_ns) for condition in ("on", "off")}
    slots = sum(p.size for p in project.plan.placements if p.name.startswith("memory"))
    return {
        "label": best["on"].label,
        "board": target.name,
        "kernels": project.family,
        "watts": watts,
        "memory_bytes": slots,
        **{condition: _cost(profile, watts) for condition, profile in best.items()},
    }


def _step_ns(profile: Profile) -> float:
    return profile.result["step"][-1]["step_ns"]


def _cost(profile: Profile, watts: float | None) -> dict[str, Any]:
    step = profile.result["step"][-1]
    seconds = step["step_ns"] * 1e-9
    return {
        "window": step["context"],
        "tokens_per_second": 1 / seconds,
        "ms_per_token": seconds * 1e3,
        "joules_per_token": None if watts is None else seconds * watts,
        "anonymous_kib": profile.result["anonymous_kib"],
    }
