# SPDX-License-Identifier: Apache-2.0
"""A library for PlatformIO: library.json, and an example project for a computer and for a board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitmar_tiny.codegen.ecosystem import Ecosystem

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board


class PlatformIo(Ecosystem):
    """Any framework, any platform."""

    title = "PlatformIO"
    own_folder = "examples/caption/src"
    builds = (
        "Run 'pio run -e native -t exec' in examples/caption, or name the folder in lib_deps of your own."
    )
    files = {"library.json.j2": "library.json", "platformio.ini.j2": "examples/caption/platformio.ini"}

    def templates(self, board: Board) -> dict[str, str]:
        return super().templates(board) | {
            "ecosystems/example/arduino.cpp.j2": f"{self.own_folder}/arduino.cpp"
        }

    def context(self, board: Board, copied: dict[str, list[str]]) -> dict[str, Any]:
        return super().context(board, copied) | {
            "example_sources": sorted([*copied[self.own_folder], "arduino.cpp", "main.c"])
        }


ecosystem = PlatformIo()
