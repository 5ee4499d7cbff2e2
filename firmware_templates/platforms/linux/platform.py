# SPDX-License-Identifier: Apache-2.0
"""Linux: a program with commands, which runs here, under an emulator, or on a board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitmar_tiny.codegen.platform import Platform

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board


class Linux(Platform):
    """A program with commands."""

    components = ("model", "blob", "serve")
    optional = ("memory_store", "show_once")
    hot = ("linux_peak",)
    compile_flags = ("-pthread",)
    runs_here = takes_backbone = True
    port_kind = "host"

    def templates(self, board: Board) -> dict[str, str]:
        return super().templates(board) | {self.own("templates/CMakeLists.txt.j2"): "CMakeLists.txt"}

    def context(self, board: Board, copied: dict[str, list[str]]) -> dict[str, Any]:
        own = {f.name for f in self.sources(board, self.runtime())}
        c = [name for name in copied[self.model_folder] if name.endswith(".c")]
        return super().context(board, copied) | {
            "library_sources": [*(name for name in c if name not in own), "bm_step.c"],
            "program_sources": [name for name in c if name in own],
        }


platform = Linux()
