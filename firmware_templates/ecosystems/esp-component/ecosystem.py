# SPDX-License-Identifier: Apache-2.0
"""A component of ESP-IDF, as its component manager takes one, of the templates of the platform espidf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitmar_tiny.codegen.ecosystem import Ecosystem
from bitmar_tiny.codegen.kernels import families
from bitmar_tiny.codegen.platform import Platform, load_platform

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board

#: Templates of the platform -> file of the component.
OF_PLATFORM = {"component_CMakeLists.txt.j2": "CMakeLists.txt", "idf_component.yml.j2": "idf_component.yml"}


class EspComponent(Ecosystem):
    """For every chip; with kernels of one chip, for that one."""

    title = "ESP-IDF"
    own_folder = "examples/caption/main"
    builds = "Run 'idf.py set-target CHIP build' in examples/caption there."
    entry = "void app_main(void)\n{\n    (void)run();\n}"
    files = {
        "Kconfig.j2": "Kconfig",
        "example_CMakeLists.txt.j2": "examples/caption/CMakeLists.txt",
        "sdkconfig.defaults.j2": "examples/caption/sdkconfig.defaults",
        "main_CMakeLists.txt.j2": "examples/caption/main/CMakeLists.txt",
        "main_idf_component.yml.j2": "examples/caption/main/idf_component.yml",
    }

    def templates(self, board: Board) -> dict[str, str]:
        shared = {_platform().own(f"templates/{name}"): target for name, target in OF_PLATFORM.items()}
        return super().templates(board) | shared

    def context(self, board: Board, copied: dict[str, list[str]]) -> dict[str, Any]:
        values = super().context(board, copied)
        return values | {"component_sources": values["library_sources"], "targets": chips}


def chips(family: str) -> list[str]:
    """Chips that a kernel family is for; empty: every chip."""
    machine = families()[family].machine
    return [chip for chip in _platform().chips() if machine.endswith(f"-{chip}")]


def _platform() -> Platform:
    return load_platform("espidf")


ecosystem = EspComponent()
