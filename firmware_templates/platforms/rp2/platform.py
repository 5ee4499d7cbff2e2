# SPDX-License-Identifier: Apache-2.0
"""Raspberry Pi's microcontrollers, RP2040 and RP2350, without an SDK: a program in flash that the boot ROM
starts, and a .uf2 file for its boot drive.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitmar_tiny.codegen import uf2
from bitmar_tiny.codegen.components import Component, c_files
from bitmar_tiny.codegen.platform import region_that_holds
from bitmar_tiny.errors import ConfigError

from ..bare.platform import HERE as BARE
from ..bare.platform import Bare

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board


class Rp2(Bare):
    """As ``bare``, on the chip itself: code and weights are read where they lie in flash."""

    port_kind = ""
    elsewhere = "Run 'bitmar-tiny build' and 'bitmar-tiny flash', then name the serial port with --port."

    def check_board(self, board: Board) -> None:
        super().check_board(board)
        if board.uf2 is None:
            raise ConfigError(f"Board {board.name}: a profile for {self.name} needs [uf2], its boot drive.")

    def regions(self, board: Board) -> dict[str, Any]:
        store = any("store" in r.holds for r in board.regions)
        return super().regions(board) | ({"store": region_that_holds(board, "store")} if store else {})

    def sources(self, board: Board, runtime: list[Component]) -> list[Path]:
        return c_files(BARE / "src") + super().sources(board, runtime)

    def image(self, board: Board, program: Path) -> Path:
        address, data = uf2.flash_image(program.read_bytes())
        path = program.with_suffix(".uf2")
        path.write_bytes(uf2.encode(address, data, board.uf2.family))
        return path


platform = Rp2()
