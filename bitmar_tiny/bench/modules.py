# SPDX-License-Identifier: Apache-2.0
"""Whole steps of programs that another program of this machine runs in real time, WebAssembly in its runtime:
asked over the link, timed by their own clock.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bitmar_tiny.codegen.boards import Board, board_files, load_board
from bitmar_tiny.codegen.build import build, check_tools
from bitmar_tiny.codegen.emit import emit

from ..errors import ToolError
from ..frozen import FrozenModel
from ..run.firmware import ProgramSession

STEPS = 96  # of each kind are timed
SHORT = 16  # tokens in the window, as the native program measures (linux_bench.c)


def modules_here() -> list[tuple[Board, str]]:
    """(board, its preferred kernel family) of every board whose tools this machine has."""
    boards = [board for board in map(load_board, board_files()) if board.platform.real_time]
    return [(board, board.kernels[0]) for board in boards if _has_tools(board)]


def measure_modules(
    model: FrozenModel, folder: Path, cpu: int, families: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    """Rows of steps, medians, pinned to ``cpu``: at a short context and at a full one."""
    for board, family in modules_here():
        if families and family not in families:
            continue
        project = emit(model, board, folder / f"{board.name}-{family}", family)
        with profiled(project.path, board, family, cpu) as session:
            full = model.config.context
            for context in sorted({min(SHORT, full), full}):
                yield {
                    "label": f"{family} ({board.name})",
                    "peer": False,
                    "context": context,
                    **_timed(session, context),
                    "arena_bytes": session.identity.arena_bytes,
                }


def profiled(project: Path, board: Board, family: str, cpu: int) -> ProgramSession:
    """The program of a project, built to time its steps, pinned to ``cpu``."""
    session = ProgramSession(build(project, board, family, extra=("-DBM_PROFILE",)), board, board.name)
    os.sched_setaffinity(session.channel.link.line.process.pid, {cpu})
    session.profile(2)
    return session


def _timed(session: ProgramSession, context: int) -> dict[str, float]:
    """Microseconds of a step that chooses a token, ``us``, and of one that takes one, ``prefill_us``."""
    session.begin()
    session.tokens(i % session.vocab for i in range(context))
    decode: list[float] = []
    while len(decode) < STEPS:
        session.steps.clear()
        list(session.generate([], STEPS))
        decode += [step.total for step in session.steps if step.decode]
    session.steps.clear()
    session.tokens(i % session.vocab for i in range(STEPS))
    to_us = 1e6 / session.identity.cycles_hz
    return {"us": median(decode) * to_us, "prefill_us": median(step.total for step in session.steps) * to_us}


def _has_tools(board: Board) -> bool:
    try:
        check_tools(board)
    except ToolError:
        return False
    return True
