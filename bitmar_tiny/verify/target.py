# SPDX-License-Identifier: Apache-2.0
"""Verify what a user names: a session, a generated project, an exported file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bitmar_tiny.codegen.boards import Board
from bitmar_tiny.codegen.build import build, emulator_name, find_compiler, runner
from bitmar_tiny.codegen.emit import Project, emit
from bitmar_tiny.codegen.resources import resource_dir

from ..exchange.files import export
from ..files import TemporaryFolder
from ..frozen import FrozenModel
from ..run.firmware import ProgramSession
from ..run.session import Session
from .compare import Verdict, verify
from .crosscheck import Agreement, cross_check
from .script import TOKENS, Event, standard
from .trace import possible

#: What is being done, how many events of the script are done, and of how many.
Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """No progress is shown."""


def _events(progress: Progress, what: str, script: Sequence[Event]) -> Callable[[int], None]:
    progress(what, 0, len(script))
    return lambda event: progress(what, event + 1, len(script))


def verify_session(
    model: FrozenModel, session: Session, script: Sequence[Event], progress: Progress = silent
) -> Verdict:
    """Whatever runs behind a session, as far as it can follow the script."""
    what, sources = session.describe(), resource_dir("firmware_templates") / "runtime" / "model"
    told = _events(progress, f"verify {what}", script)
    return replace(verify(model, session, possible(script, session), sources, told), target=what)


def verify_board(
    model: FrozenModel,
    board: Board,
    script: Sequence[Event],
    family: str,
    folder: Path,
    *,
    compiler: str | None = None,
    opt: str = "-O2",
    head_bits: str = "2",
    memory: str = "auto",
    progress: Progress = silent,
) -> Verdict:
    """C of one board and kernel family: generated below ``folder``, built, and run here or in the emulator.

    ``FitError``, ``ToolError``; ``ProcessorError`` where this processor cannot run it.
    """
    name, emulator = find_compiler(board, compiler)[0], runner(board)
    label = f"{board.name}/{family}/{name} {opt}" + (f" under {emulator_name(board)}" if emulator else "")
    label += f", {head_bits}-bit head" if head_bits != "2" else ""
    label += f", memory in {memory}" if memory != "auto" else ""
    progress(f"build  {label}", 0, len(script))
    project = emit(model, board, folder / f"{board.name}-{family}", family, head_bits, memory)
    return verify_project(model, project, script, label, compiler, opt, progress)


def verify_project(
    model: FrozenModel,
    project: Project,
    script: Sequence[Event],
    label: str,
    compiler: str | None = None,
    opt: str = "-O2",
    progress: Progress = silent,
) -> Verdict:
    """A generated project, called ``label`` in what is said of it."""
    program = build(project.path, project.board, project.family, compiler=compiler, opt=opt, taps=True)
    with ProgramSession(program, project.board, label, project.memory_store) as session:
        return verify(model, session, script, project.sources, _events(progress, f"verify {label}", script))


def verify_export(
    model: FrozenModel, on: str, *, tokens: int = TOKENS, seed: int = 0, progress: Progress = silent
) -> tuple[Verdict | None, Agreement]:
    """Compare exported files with golden: every tensor (None where the runtime shows none), and as shipped.

    on: ``onnx[:FOLDER]`` or ``tflite[:FILE]``; without files the model is exported first. ``DataError`` for
    files that are damaged or another model's. Needs ``bitmar-tiny[export]``.
    """
    format_name, _, name = on.partition(":")
    script = standard(model.config, tokens, seed)
    with TemporaryFolder() as folder:
        path = Path(name) if name else Path(folder) / f"model.{format_name}"
        told = _events(progress, f"verify {on}", script)
        if not name:
            export(model, format_name, path)
        return cross_check(model, format_name, path, script, told)
