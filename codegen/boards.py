"""Board profiles: one TOML file per board, validated strictly. Adding a board is adding one file."""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field

from bitmar_tiny.config import StrictModel
from bitmar_tiny.errors import ConfigError

from .pack import FAMILIES
from .resources import resource_dir

#: Where users keep profiles of their own, next to the ones that ship.
USER_BOARDS = "BITMAR_TINY_BOARDS"


class Region(StrictModel):
    """One memory region. ``largest_block`` is the largest contiguous piece a buffer can have."""

    name: str
    size: int = Field(gt=0, description="bytes the model may use")
    largest_block: int = Field(gt=0, description="bytes")
    holds: list[Literal["weights", "arena", "stack"]]
    what: str = ""


class Compiler(StrictModel):
    """How to compile for the board with one compiler."""

    command: list[str]
    flags: list[str] = []
    kernel_flags: dict[str, list[str]] = Field({}, description="by kernel family, where compilers differ")
    link: list[str] = Field([], description="added when linking, after the objects; {src} is the folder of the sources")
    package: str = Field("", description="Debian package or pip requirement that provides it")


class Board(StrictModel):
    """A board profile."""

    name: str
    title: str
    os: Literal["linux", "xtensa"]
    machine: str = Field(description="what `uname -m` says on it")
    kernels: list[str] = Field(min_length=1, description="kernel families, the preferred one first")
    kernel_flags: dict[str, list[str]] = {}
    compilers: dict[str, Compiler] = Field(min_length=1)
    emulator: list[str] = Field([], description="command that runs the board's programs elsewhere; {program} is the "
                                "program's path, which otherwise comes last")
    emulator_package: str = ""
    regions: list[Region]
    notes: str = ""

    def family_flags(self, family: str, compiler: Compiler) -> list[str]:
        """What this compiler needs for the sources that use the instructions of a kernel family."""
        return compiler.kernel_flags.get(family, self.kernel_flags.get(family, []))


def board_files() -> dict[str, Path]:
    """Every known profile by name: the shipped ones, then those in $BITMAR_TINY_BOARDS."""
    folders = [resource_dir("board_profiles")]
    if os.environ.get(USER_BOARDS):
        folders.append(Path(os.environ[USER_BOARDS]))
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}


def load_board(name: str) -> Board:
    """Load a profile by name or by the path of a TOML file; ``ConfigError`` in one sentence."""
    files = board_files()
    path = Path(name) if name.endswith(".toml") else files.get(name)
    if path is None:
        near = difflib.get_close_matches(name, files, n=1)
        raise ConfigError(f"There is no board profile '{name}'.",
                          f"Did you mean '{near[0]}'?" if near else f"Known boards: {', '.join(files)}.")
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not a readable board profile ({error}).") from None
    board = Board.parse(values, str(path))
    for family in (*board.kernels, *board.kernel_flags, *(f for c in board.compilers.values() for f in c.kernel_flags)):
        if family not in FAMILIES:
            raise ConfigError(f"{path}: there is no kernel family '{family}'.", f"Choose from: {', '.join(FAMILIES)}.")
    return board
