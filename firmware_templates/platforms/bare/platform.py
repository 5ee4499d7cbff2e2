# SPDX-License-Identifier: Apache-2.0
"""No operating system: firmware that answers on the chip's serial port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitmar_tiny.codegen.platform import Platform, region_that_holds

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board

SCRIPT = "bare.ld"


class Bare(Platform):
    """Start-up code, interrupts and serial port are the chip's; the linker script comes from the regions."""

    components = ("model", "blob", "serve")
    port_kind = "qemu"
    on_uart = True

    def check_board(self, board: Board) -> None:
        super().check_board(board)
        self._regions(board)

    def templates(self, board: Board) -> dict[str, str]:
        return super().templates(board) | {self.own("templates/bare.ld.j2"): f"{self.own_folder}/{SCRIPT}"}

    def context(self, board: Board, copied: dict[str, list[str]]) -> dict[str, Any]:
        return super().context(board, copied) | {"linked": self._regions(board)}

    def link_flags(self, board: Board) -> list[str]:
        return ["-nostartfiles", f"-T{{src}}/{SCRIPT}"]

    @staticmethod
    def _regions(board: Board) -> dict[str, Any]:
        """What a linker script must know: where the program goes, what changes, and the weights."""
        return {what: region_that_holds(board, what) for what in ("code", "arena", "weights")}


platform = Bare()
