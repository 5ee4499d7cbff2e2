# SPDX-License-Identifier: Apache-2.0
"""FIRMWARE: projects generated, built, flashed and proven."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..codegen.boards import Board as BoardProfile
from ..codegen.boards import load_board
from ..codegen.build import Program, build, check_tools
from ..codegen.emit import Project, emit, read_manifest
from ..device.flash import flash
from ..device.pieces import APP, MODEL, Piece, collect
from ..errors import ConfigError
from ..frozen import FrozenModel
from ..run.firmware import is_board
from ..run.session import Session
from ..verify.compare import Verdict
from ..verify.crosscheck import Agreement
from ..verify.script import standard
from ..verify.target import Progress, silent
from ..verify.target import verify_board as prove_board
from ..verify.target import verify_export as prove_export
from ..verify.target import verify_session as prove_session
from .run import session

__all__ = [
    "Agreement",
    "Program",
    "Project",
    "Verdict",
    "build_project",
    "flash_project",
    "verify_export",
    "verify_model",
    "write_project",
]

#: Tokens of a verification: enough to go past the window of small models, and a second or two.
VERIFY_TOKENS = 300


def write_project(
    model: FrozenModel,
    board: BoardProfile | str,
    out: str | Path,
    *,
    kernels: str | None = None,
    head_bits: str = "2",
    memory: str = "auto",
    features: str | Path | None = None,
) -> Project:
    """Generate a standalone C project for a board, as ``bitmar-tiny codegen`` does; see ``codegen.emit.emit``
    for the options.

    ``FitError`` before anything is written if the board cannot hold the model: it names the region, the bytes
    and the knob.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_project(load("demo"), "esp32-s3-n16r8", folder).family
    'pie'
    """
    profile = load_board(board) if isinstance(board, str) else board
    return emit(model, profile, Path(out), kernels, head_bits, memory, Path(features) if features else None)


def build_project(project: Project | str | Path, *, compiler: str | None = None, opt: str = "-O2") -> Program:
    """Compile what :func:`write_project` wrote, or a folder with it. ``ConfigError`` for a folder without a
    project, ``ToolError`` with the fix if a compiler is missing or complains.
    """
    if isinstance(project, Project):
        return build(project.path, project.board, project.family, compiler=compiler, opt=opt)
    manifest = read_manifest(Path(project))
    board = load_board(manifest["board"])
    return build(Path(project), board, manifest["kernels"], compiler=compiler, opt=opt)


def flash_pieces(
    project: str | Path, board: BoardProfile | str, parts: Sequence[str] = (MODEL, APP)
) -> list[Piece]:
    """What goes where into a board's flash, checked: the ``model`` of a project, and the ``app``, its
    program.
    """
    return collect(Path(project), load_board(board) if isinstance(board, str) else board, tuple(parts))


def flash_project(
    project: str | Path,
    board: BoardProfile | str,
    port: str,
    *,
    parts: Sequence[str] = (MODEL, APP),
    baud: int | None = None,
    reset: bool = True,
    verify: bool = True,
    record: str | Path | None = None,
    report: Callable[[Piece, str, float], None] = lambda piece, state, share: None,
) -> dict[str, Any]:
    """Write the model and the program of a project into a board's flash: what is not there already.

    parts: ``model``, ``app`` or both; port: a serial port, or ``replay:FILE``; baud: default the board's;
    reset: False for a chip that is in its boot loader; verify: read back what was written; record: file for
    what esptool is asked and says. Returns {board, port, pieces}. ``ConfigError`` and ``DataError`` for a
    project that does not fit together, before anything is written; ``DeviceError`` says what the board holds
    now. Needs ``bitmar-tiny[device]``.
    """
    profile = load_board(board) if isinstance(board, str) else board
    return flash(
        Path(project),
        profile,
        port,
        flash_pieces(project, profile, parts),
        baud=baud,
        reset=reset,
        verify=verify,
        record=Path(record) if record else None,
        report=report,
    )


def verify_model(
    model: FrozenModel,
    on: str | Session = "host",
    *,
    tokens: int = VERIFY_TOKENS,
    seed: int = 0,
    kernels: str | None = None,
    compiler: str | None = None,
    opt: str = "-O2",
    head_bits: str = "2",
    memory: str = "auto",
    keep: str | Path | None = None,
    progress: Progress = silent,
) -> Verdict:
    """Compare every tensor of every step on a target with golden, bit for bit.

    on: a board, whose C is generated, built and run here; any other target of :func:`session`; or a session
    that was opened with ``taps``. kernels, compiler, opt, head_bits, memory: how the C of a board is made
    (default: its first kernels and compiler), keep: the folder that it stays in; tokens: steps to compare.
    ``exact`` of the verdict says whether all agree, ``difference`` where they do not first. ``ToolError`` for
    a compiler or emulator that is missing, ``DeviceError`` for a board that stops answering.
    """
    script = standard(model.config, tokens, seed)
    if not isinstance(on, str):
        return prove_session(model, on, script, progress)
    if not is_board(on):
        with session(model, on, taps=True, memory_in=memory) as opened:
            return prove_session(model, opened, script, progress)
    board = load_board(on)
    with tempfile.TemporaryDirectory() as folder:
        return prove_board(
            model,
            board,
            script,
            kernels or board.kernels[0],
            Path(keep or folder),
            compiler=compiler,
            opt=opt,
            head_bits=head_bits,
            memory=memory,
            progress=progress,
        )


def verify_export(
    model: FrozenModel, on: str, *, tokens: int = VERIFY_TOKENS, seed: int = 0, progress: Progress = silent
) -> tuple[Verdict | None, Agreement]:
    """Compare exported files with golden: every tensor (None where the runtime shows none), and as shipped.

    on: ``onnx[:FOLDER]`` or ``tflite[:FILE]``; without files the model is exported first. ``DataError`` for
    files that are damaged or another model's. Needs ``bitmar-tiny[export]``.
    """
    return prove_export(model, on, standard(model.config, tokens, seed), progress)


def verification_boards(
    names: Sequence[str], kernels: str | None = None, compiler: str | None = None
) -> list[tuple[str, str]]:
    """(board, kernel family) of everything that is to be verified; every family of a board unless one is
    named.

    ``ConfigError`` where none of the boards has it, ``ToolError`` where tools are missing, before the long
    work.
    """
    boards = {name: load_board(name) for name in names}
    known = sorted({family for board in boards.values() for family in board.kernels})
    if boards and kernels and kernels not in known:
        raise ConfigError(f"No chosen board has a kernel family '{kernels}'.", f"Known: {', '.join(known)}.")
    for board in boards.values():
        check_tools(board, compiler)
    return [(name, f) for name, board in boards.items() for f in board.kernels if kernels in (None, f)]
