# SPDX-License-Identifier: Apache-2.0
"""Boards whose boot loader pretends to be a drive: find it, and copy a project's program there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bitmar_tiny.codegen import uf2
from bitmar_tiny.codegen.boards import Board
from bitmar_tiny.codegen.emit import read_manifest

from ..errors import ConfigError, DataError, DeviceError

#: Where systems show drives: Linux desktops, servers with a mount by hand, macOS.
MOUNTS = ("/media/*", "/media/*/*", "/run/media/*/*", "/mnt", "/mnt/*", "/Volumes/*")
ABOUT = "INFO_UF2.TXT"
BOARD_ID = "Board-ID:"


def board_image(project: str | Path, board: Board) -> Path:
    """The file for the board that was built last in a project.

    ``ConfigError`` and ``DataError`` name what does not fit together.
    """
    project, manifest = Path(project), read_manifest(Path(project))
    if manifest["board"] != board.name:
        raise ConfigError(
            f"{project}: was generated for board {manifest['board']}, not for {board.name}.",
            f"Name another project, or make one: bitmar-tiny codegen --board {board.name} -o FOLDER",
        )
    built = sorted(project.glob("build/*/*.uf2"), key=lambda path: path.stat().st_mtime)
    again = f"Run 'bitmar-tiny build {project}'."
    if not built:
        raise DataError(f"{project}: the program is not built yet.", again)
    _, data, family = uf2.decode(built[-1].read_bytes())
    if family != board.uf2.family or bytes.fromhex(manifest["model_sha256"]) not in data:
        raise DataError(f"{built[-1]}: was built for another board or model than the project's.", again)
    return built[-1]


def find_drive(board: Board, folder: Path | None = None, mounts: Sequence[str] = MOUNTS) -> Path:
    """The drive of the board's boot loader: ``folder``, which must be one, or the only one that is mounted.
    ``DeviceError`` says what to do.
    """
    how = "Hold BOOTSEL while you plug the board in; mount the drive that appears"
    if folder:
        found = board_id(folder)
        if found is None:
            raise DeviceError(f"{folder}: not the drive of a boot loader, it has no {ABOUT}.", f"{how}.")
        if found != board.uf2.drive:
            raise DeviceError(
                f"{folder}: the drive of a {found}, the board profile is for a {board.uf2.drive}.",
                "Choose the board with --board.",
            )
        return folder
    drives = [path for path in _mounted(mounts) if board_id(path) == board.uf2.drive]
    if len(drives) > 1:
        raise DeviceError(
            f"Several boards show a drive: {', '.join(map(str, drives))}.", "Name one with --drive."
        )
    if not drives:
        raise DeviceError(
            f"No drive of a boot loader {board.uf2.drive} is mounted.",
            f"{how}, and name its folder with --drive if it is not found.",
        )
    return drives[0]


def board_id(drive: Path) -> str | None:
    """Whose drive it is, as its own file says; None if it is no boot loader's."""
    try:
        lines = (drive / ABOUT).read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((line.removeprefix(BOARD_ID).strip() for line in lines if line.startswith(BOARD_ID)), None)


def copy_project(project: str | Path, board: Board, drive: Path | None = None) -> dict[str, Any]:
    """Copy what was built to the board, which then restarts with it. Returns {board, drive, file, bytes}.

    The boot loader checks every block, but says nothing: who wants to be sure asks the board (``info``).
    ``DeviceError`` if the drive is missing, or goes before all is written.
    """
    image = board_image(project, board)
    drive = find_drive(board, drive)
    data = image.read_bytes()
    try:
        with open(drive / image.name, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DeviceError(
            f"{drive}: {(error.strerror or 'cannot be written').lower()} while the program was copied.",
            "The board may hold half of it: plug it in again with BOOTSEL held, and run the command again.",
        ) from None
    return {"board": board.name, "drive": str(drive), "file": str(image), "bytes": len(data)}


def _mounted(mounts: Sequence[str]) -> Iterator[Path]:
    for pattern in mounts:
        yield from sorted(Path("/").glob(pattern.lstrip("/")))
