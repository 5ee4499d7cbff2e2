# SPDX-License-Identifier: Apache-2.0
"""BOARD: profiles, ports and the line to a board."""

from __future__ import annotations

from ..codegen.boards import Board as BoardProfile
from ..codegen.boards import board_files, load_board
from ..device.ports import SerialPort
from ..device.ports import find as serial_ports
from ..run.linktest import LineTest, line_test, pulses

__all__ = ["BoardProfile", "LineTest", "SerialPort", "board_names", "line_test", "load_board", "serial_ports"]


def board_names() -> list[str]:
    """Every board profile there is, those in $BITMAR_TINY_BOARDS included.

    >>> "rpi-zero2" in board_names()
    True
    """
    return list(board_files())
