# SPDX-License-Identifier: Apache-2.0
"""Our own kernels and steps, measured by the generated program itself (`bitmar bench`)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit

from ..errors import ToolError
from ..frozen import FrozenModel

#: Flag sets by name: compilers schedule vector code differently for one machine than for all.
FLAG_SETS = {"plain": (), "native": ("-march=native",)}
#: Exit status of a program that its processor cannot run (linux_main.c).
WRONG_PROCESSOR = 3
BENCH_TIMEOUT_S = 300


@dataclass(frozen=True)
class Run:
    """What one build measured. ``result`` is the program's JSON (``linux_bench.c``); ``missing`` says why
    there is none.
    """

    family: str
    flags: str
    compiler: str
    result: dict[str, Any] | None
    missing: str = ""
    program_bytes: int = 0  # size of the program, the model in it

    @property
    def label(self) -> str:
        return f"{self.family} ({self.flags})"


def families_here() -> list[tuple[Board, str]]:
    """(board, kernel family) of this machine: what its processor can do first."""
    board = load_board("host")
    return [(board, family) for family in board.kernels]


def measure_ours(
    model: FrozenModel, folder: Path, cpu: int, families: tuple[str, ...] = (), opt: str = "-O2"
) -> Iterator[Run]:
    """Build and run every family with every flag set, pinned to ``cpu``. A family this processor lacks is
    reported.
    """
    for board, family in families_here():
        if families and family not in families:
            continue
        project = emit(model, board, folder / family, family)
        for flags, extra in FLAG_SETS.items():
            program = build(
                project.path,
                board,
                family,
                opt=opt,
                extra=("-DBM_PROFILE", *extra),
                out=project.path / "build" / f"bench-{flags}",
            )
            yield run_program(program.command, family, flags, f"{program.compiler} {opt}", cpu)


def run_program(command: list[str], family: str, flags: str, compiler: str, cpu: int) -> Run:
    """Run `bitmar bench` on one CPU. ``ToolError`` for anything but a refusal by the program."""
    try:
        done = subprocess.run(
            ["taskset", "-c", str(cpu), *command, "bench"],
            capture_output=True,
            text=True,
            timeout=BENCH_TIMEOUT_S,
        )
    except FileNotFoundError:
        raise ToolError(
            "The command 'taskset' was not found, which pins a measurement to one processor.",
            "Install it: apt-get install util-linux.",
        ) from None
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"{family} ({flags}): the benchmark did not end within {BENCH_TIMEOUT_S} s."
        ) from None
    words = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[0]
    if done.returncode == WRONG_PROCESSOR:
        return Run(family, flags, compiler, None, words)
    if done.returncode:
        raise ToolError(f"{family} ({flags}): {words}.")
    return Run(
        family, flags, compiler, json.loads(done.stdout), program_bytes=Path(command[-1]).stat().st_size
    )
