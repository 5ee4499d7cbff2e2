# SPDX-License-Identifier: Apache-2.0
"""BOARD: profiles, ports and the line to a board."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..codegen.boards import Board as BoardProfile
from ..codegen.boards import board_files, load_board
from ..device.ports import SerialPort, find
from ..run.device import DeviceSession
from ..run.linktest import LineTest, control_lines, line_tests
from ..run.session import Session

__all__ = ["BoardProfile", "LineTest", "SerialPort", "board_names", "line_test", "load_board", "serial_ports"]


def board_names() -> list[str]:
    """Every board profile there is, those in $BITMAR_TINY_BOARDS included.

    >>> "rpi-zero2" in board_names()
    True
    """
    return list(board_files())


def serial_ports(names: Iterable[str] = ()) -> list[SerialPort]:
    """The serial ports of this computer, or those of ``names``: what is on them, who uses them, whether you
    may. No port is opened: that would reset many boards.
    """
    return find(names)


def line_test(
    board: Session,
    size: int = 200_000,
    speeds: Sequence[int] = (),
    progress: Callable[[str], None] = lambda what: None,
) -> tuple[list[LineTest], dict[int, str]]:
    """Send ``size`` bytes each way over the line to a board, at its speed and then at others: what was
    measured, and why a speed failed.
    """
    assert isinstance(board, DeviceSession)
    return line_tests(board, size, speeds, progress)


def pulses(board: Session) -> dict[str, str]:
    """What a pulse on DTR and on RTS does to a board. It may restart it."""
    assert isinstance(board, DeviceSession)
    return control_lines(board)
