# SPDX-License-Identifier: Apache-2.0
"""QEMU's Xtensa simulator: no devices, only the simulator's own input and output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitmar_tiny.codegen.platform import Platform, region_that_holds

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board

SCRIPT = "xtensa.ld"


class Xtensa(Platform):
    """Firmware that answers on the simulator's standard input and output."""

    components = ("model", "blob", "serve")
    port_kind = "qemu"

    def check_board(self, board: Board) -> None:
        super().check_board(board)
        self._regions(board)

    def templates(self, board: Board) -> dict[str, str]:
        return super().templates(board) | {self.own("templates/xtensa.ld.j2"): f"{self.own_folder}/{SCRIPT}"}

    def context(self, board: Board, copied: dict[str, list[str]]) -> dict[str, Any]:
        return super().context(board, copied) | {"linked": self._regions(board)}

    def link_flags(self, board: Board) -> list[str]:
        return ["-nostartfiles", f"-T{{src}}/{SCRIPT}"]

    @staticmethod
    def _regions(board: Board) -> dict[str, Any]:
        return {what: region_that_holds(board, what) for what in ("code", "arena")}


platform = Xtensa()
