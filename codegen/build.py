# SPDX-License-Identifier: Apache-2.0
"""Compile a generated project with a compiler of its board, and find the tools of this machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bitmar_tiny.errors import ToolError
from bitmar_tiny.extras import install, installed

from .boards import Board, Compiler
from .platform import hot_sources

#: Part of the numerics contract, and warnings. The tests add -Werror; what a compiler of tomorrow warns of
#: must stop no user.
BASE_FLAGS = ["-std=c99", "-ffp-contract=off", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion"]
COMPILE_TIMEOUT_S = 300


@dataclass(frozen=True)
class Program:
    """A built program: its file, the command that runs it here, and how it was built. ``image``: what its
    board is handed, where that is another file.
    """

    path: Path
    runner: list[str]
    compiler: str
    opt: str
    image: Path | None = None

    @property
    def command(self) -> list[str]:
        named = any("{program}" in part for part in self.runner)
        command = [part.format(program=self.path, python=sys.executable) for part in self.runner]
        return command if named else [*command, str(self.path)]


def find_compiler(board: Board, wanted: str | None = None) -> tuple[str, Compiler]:
    """The wanted compiler, or the first of the board's that this machine has. ``ToolError`` if none."""
    board.platform.check_build(board)
    if wanted is not None and wanted not in board.compilers:
        raise ToolError(
            f"Board {board.name} knows no compiler '{wanted}'.", f"It has: {', '.join(board.compilers)}."
        )
    for name, compiler in board.compilers.items():
        if wanted in (None, name) and has_compiler(compiler):
            return name, compiler
    names = [wanted] if wanted else list(board.compilers)
    how = " or ".join(install_hint(board.compilers[n].package) for n in names)
    raise ToolError(
        f"No compiler for board {board.name} was found ({', '.join(names)}).", f"Install one: {how}."
    )


def has_compiler(compiler: Compiler) -> bool:
    """Whether this machine can run it (a command on PATH, or an installed Python package)."""
    return _is_here(compiler.command, compiler.package)


def has_emulator(board: Board) -> bool:
    """The same of what runs the board's programs."""
    return bool(board.emulator) and _is_here(board.emulator, board.emulator_package)


def emulator_name(board: Board) -> str:
    """Of the program or the Python package that runs the board's programs."""
    package = board.emulator_package
    return package.removeprefix("pip:") if package.startswith("pip:") else board.emulator[0]


def _is_here(command: list[str], package: str) -> bool:
    if package.startswith("pip:"):
        return installed(package.removeprefix("pip:"))
    return shutil.which(command[0]) is not None


def install_hint(package: str) -> str:
    """How to get what a profile names: a Debian package, ``pip:MODULE``, or the address of instructions."""
    if package.startswith("pip:"):
        return install(package.removeprefix("pip:"))
    return f"see {package}" if package.startswith("https:") else f"apt-get install {package}"


def runs_natively(board: Board) -> bool:
    """Whether this machine runs the board's programs as its own."""
    return board.platform.runs_here and platform.machine() == board.machine


def runner(board: Board) -> list[str]:
    """Command prefix that runs the board's programs on this machine; ``ToolError`` if there is none."""
    board.platform.check_build(board)
    if runs_natively(board):
        return []
    if not board.emulator:
        raise ToolError(
            f"Programs for {board.name} ({board.machine}) do not run on this {platform.machine()} machine.",
            board.platform.elsewhere,
        )
    if not has_emulator(board):
        raise ToolError(
            f"The emulator '{emulator_name(board)}' for board {board.name} was not found.",
            f"Install it: {install_hint(board.emulator_package)}.",
        )
    return board.emulator


def check_tools(board: Board, compiler: str | None = None) -> None:
    """``ToolError`` unless this machine can build the board's programs and run them."""
    find_compiler(board, compiler)
    runner(board)


def build(
    project: Path,
    board: Board,
    family: str,
    *,
    compiler: str | None = None,
    opt: str = "-O2",
    taps: bool = False,
    extra: tuple[str, ...] = (),
    out: Path | None = None,
) -> Program:
    """Compile ``project`` and return the program. ``ToolError`` carries the compiler's first complaint."""
    name, tool = find_compiler(board, compiler)
    out = out or project / "build" / f"{name}{opt}{'-taps' if taps else ''}"
    out.mkdir(parents=True, exist_ok=True)
    flags = [
        *BASE_FLAGS,
        opt,
        *tool.flags,
        *extra,
        *(["-DBM_TAPS"] if taps else []),
        f"-I{project / 'src'}",
        f"-I{project}",
    ]
    command = [*tool.argv, *board.platform.compile_flags]
    sources = sorted((project / "src").glob("*.c")) + sorted((project / "src").glob("*.S"))
    if not sources:
        raise ToolError(f"{project}: holds no generated sources.", "Run 'bitmar-tiny codegen' first.")

    # What runs once per token is compiled with the flags of the kernel family. The start-up code is not, so
    # that a processor that lacks the family gets a sentence and no illegal instruction. Where the rest is
    # built with -O2 it gets -O3, with which gcc vectorises, too.
    per_token = hot_sources(board.platform)

    def one(source: Path) -> Path:
        target = out / (source.stem + ".o")
        hot = source.suffix == ".c" and source.stem in per_token
        own = [*board.family_flags(family, name), *(["-O3"] if opt == "-O2" else [])] if hot else []
        mine = flags if source.suffix == ".c" else [f for f in flags if f.startswith(("-D", "-I", "-m"))]
        _run([*command, *mine, *own, "-c", str(source), "-o", str(target)], source.name)
        return target

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        objects = list(pool.map(one, sources))
    program = out / board.platform.program
    link = [part.format(src=project / "src") for part in link_flags(board, tool)]
    link += board.platform.libraries([source.name for source in sources])
    # zig makes a C library for each optimisation it links with, in a minute: one is enough.
    _run([*command, *tool.flags, *extra, "-O2", *map(str, objects), "-o", str(program), *link], "link")
    return Program(
        program, runner(board) if _can_run(board) else [], name, opt, board.platform.image(board, program)
    )


def link_flags(board: Board, compiler: Compiler) -> list[str]:
    """What comes behind the objects; {src} is the folder of the sources."""
    return [*board.platform.link_flags(board), *compiler.link]


def _can_run(board: Board) -> bool:
    try:
        runner(board)
    except ToolError:
        return False
    return True


def _run(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ToolError(f"Compiling {what} took longer than {COMPILE_TIMEOUT_S} s.") from None
    if done.returncode:
        lines = done.stderr.splitlines() or ["no message"]
        words = ("error", "undefined", "overflowed")
        complaint = next((line for line in lines if any(w in line for w in words)), lines[0])
        raise ToolError(f"Compiling {what} failed: {complaint.strip()}")
