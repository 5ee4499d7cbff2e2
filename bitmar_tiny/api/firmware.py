# SPDX-License-Identifier: Apache-2.0
"""FIRMWARE: projects generated, built, flashed and proven."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..codegen.boards import Board as BoardProfile
from ..codegen.boards import load_board
from ..codegen.build import Program, build, check_tools
from ..codegen.ecosystem import ecosystem_names, load_ecosystem
from ..codegen.emit import Project, emit, read_manifest
from ..device.drive import board_image, copy_project
from ..device.flash import flash_project
from ..device.pieces import APP, MODEL, Piece
from ..device.pieces import collect as flash_pieces
from ..errors import ConfigError
from ..files import TemporaryFolder
from ..frozen import FrozenModel
from ..run.firmware import is_board
from ..run.session import Session
from ..verify.compare import Verdict
from ..verify.crosscheck import Agreement
from ..verify.script import TOKENS as VERIFY_TOKENS
from ..verify.script import standard
from ..verify.target import Progress, silent, verify_board, verify_export, verify_session
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
    "write_package",
    "write_project",
]


def write_project(
    model: FrozenModel,
    board: BoardProfile | str,
    out: str | Path,
    *,
    kernels: str | None = None,
    head_bits: str = "2",
    memory: str = "auto",
    features: str | Path | None = None,
    updates: bool = False,
    public_key: str | Path | None = None,
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
    backbone, key = (Path(path) if path else None for path in (features, public_key))
    return emit(model, profile, Path(out), kernels, head_bits, memory, backbone, updates, key)


def write_package(
    model: FrozenModel,
    ecosystem: str,
    out: str | Path,
    *,
    kernels: str | None = None,
    head_bits: str = "2",
    memory: str = "auto",
) -> Project:
    """Generate a library for any board of an ecosystem, as ``bitmar-tiny codegen --as`` does.

    ecosystem: ``arduino``, ``cmake``, ``esp-component``, ``pico-sdk``, ``platformio`` or ``zephyr``; kernels:
    default ``portable``; memory: ``auto`` (RAM) or ``flash`` (read-only). ``ConfigError`` for an unknown
    ecosystem, or kernels that it cannot compile.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     sorted(p.name for p in write_package(load("recall"), "arduino", folder).path.glob("*.properties"))
    ['library.properties']
    """
    return emit(model, load_ecosystem(ecosystem).board(), Path(out), kernels, head_bits, memory)


def build_project(project: Project | str | Path, *, compiler: str | None = None, opt: str = "-O2") -> Program:
    """Compile what :func:`write_project` wrote, or a folder with it. ``ConfigError`` for a folder without a
    project, ``ToolError`` with the fix if a compiler is missing or complains.
    """
    if isinstance(project, Project):
        return build(project.path, project.board, project.family, compiler=compiler, opt=opt)
    manifest = read_manifest(Path(project))
    package = manifest.get("as")
    board = load_ecosystem(package).board() if package else load_board(manifest["board"])
    return build(Path(project), board, manifest["kernels"], compiler=compiler, opt=opt)


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
        return verify_session(model, on, script, progress)
    if not is_board(on):
        with session(model, on, taps=True, memory_in=memory) as opened:
            return verify_session(model, opened, script, progress)
    board = load_board(on)
    with TemporaryFolder() as folder:
        return verify_board(
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
