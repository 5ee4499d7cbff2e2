# SPDX-License-Identifier: Apache-2.0
"""Write a project into a board's flash: skip what is there, write, read back by hash, and always know what
the board holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bitmar_tiny.codegen.boards import Board, Flash, load_board

from ..errors import DeviceError
from ..extras import need
from .esptool import Port, run
from .pieces import APP, MODEL, Piece, collect
from .ports import check, patient
from .record import Playback, Record

VERIFY_BYTES_PER_S = 200_000  # the chip hashes its own flash; a slow one
WRITE_MARGIN_S, VERIFY_MARGIN_S = 60.0, 20.0
WRITE_SLOWNESS = 4.0  # of the line's own rate: erasing, retries

Report = Callable[[Piece, str, float], None]


def flash_project(
    project: str | Path,
    board: Board | str,
    port: str,
    *,
    parts: Sequence[str] = (MODEL, APP),
    baud: int | None = None,
    reset: bool = True,
    verify: bool = True,
    record: str | Path | None = None,
    report: Report = lambda piece, state, share: None,
) -> dict[str, Any]:
    """Write the model and the program of a project into a board's flash: what is not there already.

    parts: ``model``, ``app`` or both; port: a serial port, or ``replay:FILE``; baud: default the board's;
    reset: False leaves the chip in the boot loader that it is in; verify: read back what was written; record:
    file for what esptool is asked and says. Returns {board, port, pieces}. ``ConfigError`` and ``DataError``
    for a project that does not fit together, before anything is written; ``DeviceError`` says what the board
    holds now. Needs ``bitmar-tiny[device]``.
    """
    board = load_board(board) if isinstance(board, str) else board
    project, pieces = Path(project), collect(project, board, parts)
    replay = Playback(Path(port.removeprefix("replay:"))) if port.startswith("replay:") else None
    tape = Record(Path(record)) if record else None
    if tape:
        tape.begin({"port": port})
    name = replay.head.get("port", port) if replay else port
    how = "default-reset" if reset else "no-reset"
    line = Port(name, board.chip, baud or board.flash.baud, project / "flash.log", how, tape, replay)
    return {"board": board.name, "port": name, "pieces": write(pieces, board, line, verify, report)}


def write(
    pieces: list[Piece],
    board: Board,
    port: Port,
    verify: bool = True,
    report: Report = lambda piece, state, share: None,
) -> list[dict[str, Any]]:
    """Write what is not there yet; returns a record for every piece, with ``state`` ``written`` or ``already
    there``.

    ``DeviceError`` says what went wrong, what is on the board now, and that the command can be run again.
    """
    _check_port(port)
    done: list[dict[str, Any]] = []
    try:
        _check_chip(board.flash, port)
        for i, piece in enumerate(pieces):
            done.append(_one(piece, port, verify, report, last=i == len(pieces) - 1))
    except DeviceError as error:
        there = ", ".join(d["name"] for d in done) or "nothing of this project that is known to be whole"
        rest = ", ".join(p.name for p in pieces[len(done) :])
        raise DeviceError(
            error.message, f"{error.hint} On the board now: {there}; not yet: {rest}."
        ) from None
    if done and done[-1]["state"] == "already there":  # so the last call was not one that starts the program
        _start(port)
    return done


def _check_port(port: Port) -> None:
    if port.replay:
        port.replay.take("port")
        return
    need("esptool")
    if port.record:
        port.record.act("port", lambda: patient(lambda: check(port.name)))
    else:
        patient(lambda: check(port.name))


def _check_chip(flash: Flash, port: Port) -> None:
    """The chip by its own word, and its flash."""
    text = run(port, ["flash-id"], limit_s=20)
    found = re.search(r"Detected flash size:\s*(\d+)\s*([KM])B", text)
    size = int(found[1]) << (20 if found[2] == "M" else 10) if found else None
    if size is not None and size < flash.size:
        raise DeviceError(
            f"{port.name}: the chip has {size >> 20} MB of flash, the board profile says {flash.size >> 20} "
            "MB.",
            "Choose the board that you have with --board.",
        )


def _start(port: Port) -> None:
    """Leave the boot loader: esptool resets the chip after a command that only asks."""
    run(port, ["flash-id"], limit_s=20, last=True)


def _one(piece: Piece, port: Port, verify: bool, report: Report, last: bool) -> dict[str, Any]:
    if _holds(piece, port):
        report(piece, "already there", 1.0)
        return piece.as_dict() | {"state": "already there"}
    limit = WRITE_MARGIN_S + WRITE_SLOWNESS * piece.seconds(port.baud)
    report(piece, "writing", 0.0)
    run(
        port,
        ["write-flash", f"{piece.offset:#x}", str(piece.path)],
        limit,
        last=last and not verify,
        progress=lambda share: report(piece, "writing", share),
    )
    if verify:
        report(piece, "verifying", 1.0)
        run(port, ["verify-flash", f"{piece.offset:#x}", str(piece.path)], _verify_s(piece), last=last)
    report(piece, "written", 1.0)
    return piece.as_dict() | {"state": "written"}


def _holds(piece: Piece, port: Port) -> bool:
    """Whether the flash has the piece already, by the MD5 that the chip computes over it."""
    try:
        run(port, ["verify-flash", f"{piece.offset:#x}", str(piece.path)], _verify_s(piece))
    except DeviceError as error:
        if "does not hold" in error.message:
            return False
        raise
    return True


def _verify_s(piece: Piece) -> float:
    return VERIFY_MARGIN_S + len(piece.data) / VERIFY_BYTES_PER_S
