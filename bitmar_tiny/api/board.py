# SPDX-License-Identifier: Apache-2.0
"""BOARD: profiles, ports and the line to a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..codegen.boards import Board as BoardProfile
from ..codegen.boards import board_files, load_board
from ..codegen.held import READINGS
from ..codegen.neighbours import NEIGHBOURS
from ..codegen.speeds import BoardSpeed, board_speed
from ..device.ports import SerialPort
from ..device.ports import find as serial_ports
from ..frozen import FrozenModel
from ..run.linktest import LineTest, line_test, pulses

__all__ = [
    "BoardProfile",
    "BoardSpeed",
    "LineTest",
    "SerialPort",
    "board_names",
    "board_speeds",
    "estimate_errors",
    "line_test",
    "load_board",
    "neighbours",
    "serial_ports",
]


def board_names() -> list[str]:
    """Every board profile there is, those in $BITMAR_TINY_BOARDS included.

    >>> "rpi-zero2" in board_names()
    True
    """
    return list(board_files())


def board_speeds(model: FrozenModel, boards: Sequence[BoardProfile | str] | None = None) -> list[BoardSpeed]:
    """Whether a model fits each board, how fast it would be there and what a token would cost; all estimated.
    boards: profiles or names, default: every one.

    >>> [s.short.tokens_per_s > 100 for s in board_speeds(load("demo"), ["esp32-s3-n16r8"])]
    [True]
    """
    named = board_names() if boards is None else boards
    return [board_speed(model, load_board(b) if isinstance(b, str) else b) for b in named]


def neighbours(speeds: Sequence[BoardSpeed]) -> list[dict[str, Any]]:
    """What others published of language models on such boards: ``Neighbour`` as a dictionary, with
    "ours_at_these_bytes": tokens a second of ours on that board if a token read as many bytes [estimated],
    None where that is not known.
    """
    ours = {s.board.name: s for s in speeds}
    return [
        asdict(n) | {"ours_at_these_bytes": ours[n.board].at_bytes(n.read_mb) if n.board in ours else None}
        for n in NEIGHBOURS
    ]


def estimate_errors() -> list[dict[str, Any]]:
    """How far the estimate's rates are off where others measured on a chip what their firmware reads: each
    ``Reading`` as a dictionary, with "estimated_ms" and "off", the error as a part of "measured_ms".
    """
    return [r.as_dict() for r in READINGS]
