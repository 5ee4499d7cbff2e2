# SPDX-License-Identifier: Apache-2.0
"""A browser, or another WebAssembly runtime: a module that answers on a line in its own memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitmar_tiny.codegen.platform import Platform

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board

#: JavaScript that holds a module: as a line of bytes, and as a program of node.
HOSTS = ("module.mjs", "node.mjs")


class Web(Platform):
    """A module without a system: src/web.h says what it exports. ``link`` is its own, on a line that waits
    for nobody; the weights and the memory's store are put into its memory by what runs it.
    """

    components = ("model", "serve")
    port_kind = "host"
    program = "bitmar.wasm"
    real_time = True

    def templates(self, board: Board) -> dict[str, str]:
        """``HOSTS`` have nothing to fill in; a project has them at its top."""
        return super().templates(board) | {self.own(f"templates/{name}"): name for name in HOSTS}

    def link_flags(self, board: Board) -> list[str]:
        return ["-nostdlib", "-Wl,--no-entry", "-Wl,--strip-all", f"-Wl,-z,stack-size={board.stack_bytes}"]


platform = Web()
