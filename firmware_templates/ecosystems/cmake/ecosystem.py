# SPDX-License-Identifier: Apache-2.0
"""A CMake package: targets that are installed, and found with find_package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitmar_tiny.codegen.ecosystem import Ecosystem

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board


class CMake(Ecosystem):
    """The target is bitmar_MODEL::bitmar."""

    title = "CMake"
    own_folder = "examples/caption"
    builds = "Run 'cmake -B build && cmake --build build && cmake --install build --prefix FOLDER' there."
    passes_flags = True

    def templates(self, board: Board) -> dict[str, str]:
        return super().templates(board) | {
            self.own("templates/CMakeLists.txt.j2"): "CMakeLists.txt",
            self.own("templates/config.cmake.in.j2"): "config.cmake.in",
            self.own("templates/example_CMakeLists.txt.j2"): f"{self.own_folder}/CMakeLists.txt",
        }


ecosystem = CMake()
