# SPDX-License-Identifier: Apache-2.0
"""Espressif's ESP-IDF: a project of its build, with the model as a component and the board as main."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitmar_tiny.codegen.platform import Platform, three_numbers
from bitmar_tiny.codegen.update import RECORDS, UNIT, filled
from bitmar_tiny.errors import ConfigError, ToolError

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board, Region
    from bitmar_tiny.codegen.lower import Blob

#: Bytes of a slot behind the blob.
PROOF_ROOM = UNIT
#: Template -> file of the project.
TEMPLATES = {
    "CMakeLists.txt.j2": "CMakeLists.txt",
    "sdkconfig.defaults.j2": "sdkconfig.defaults",
    "partitions.csv.j2": "partitions.csv",
    "platformio.ini.j2": "platformio.ini",
    "README.md.j2": "README.md",
    "component_CMakeLists.txt.j2": "components/bitmar/CMakeLists.txt",
    "idf_component.yml.j2": "components/bitmar/idf_component.yml",
    "Kconfig.projbuild.j2": "main/Kconfig.projbuild",
    "main_idf_component.yml.j2": "main/idf_component.yml",
    "main_CMakeLists.txt.j2": "main/CMakeLists.txt",
    "main_arenas.c.j2": "main/espidf_arenas.c",
}
#: Of a chip that can stream the head.
STREAM = "espidf_stream.c"
#: For a board with a camera.
PINS_TEMPLATE = "main_pins.h.j2"
#: What its profile names.
PINS = (
    "button",
    *(f"camera_{pin}" for pin in ("sda", "scl", "xclk", "pclk", "vsync", "href")),
    *(f"camera_d{bit}" for bit in range(8)),
)


class EspIdf(Platform):
    """The weights lie in a flash partition; ESP-IDF compiles."""

    components = ("model", "serve")
    optional = ("memory_store", "update", "update_signature")
    model_folder = "components/bitmar/src"
    own_folder = "main"

    def check_board(self, board: Board) -> None:
        super().check_board(board)
        if board.flash is None or board.serial is None or board.speed is None:
            raise ConfigError(
                f"Board {board.name}: a profile for ESP-IDF needs [flash], [serial] and [speed]."
            )
        if board.flash.partition("model") is None or board.flash.partition("app") is None:
            raise ConfigError(
                f"Board {board.name}: the flash layout has no partition that holds the app, or the model."
            )
        if board.stream and not (self.folder / "chips" / board.chip / STREAM).is_file():
            raise ConfigError(
                f"Board {board.name}: platform {self.name} does not stream the head on {board.chip}.",
                "Leave out [stream].",
            )
        missing = [pin for pin in PINS if pin not in board.pins] if "picture" in board.components else []
        if missing:
            raise ConfigError(
                f"Board {board.name}: it has a camera, and the profile does not say at which pins.",
                f"Add to pins: {', '.join(missing)}.",
            )
        psram = _psram(board)
        if psram and psram.data_lines is None:
            raise ConfigError(
                f"Board {board.name}: region '{psram.name}' does not say how PSRAM is wired.",
                "Give it data_lines = 4 (quad), 8 (octal) or 16 (hex).",
            )

    def check_blob(self, board: Board, blob: Blob) -> None:
        model = board.flash.partition("model")
        if blob.size > model.size:
            raise ConfigError(
                f"Board {board.name}: partition '{model.name}' has {model.size} bytes, the model blob needs "
                f"{blob.size}.",
                "Choose a smaller model, or a board with more flash.",
            )

    def for_updates(self, board: Board, blob: Blob) -> Board:
        """Two slots in the place of the flash that the model leaves, each with room for a proof."""
        size = filled(blob.size)
        flash = board.flash.with_slots(size, size + PROOF_ROOM, RECORDS)
        return board.model_copy(update={"flash": flash})

    def check_build(self, board: Board) -> None:
        raise ToolError(
            f"Projects for {board.name} are built by ESP-IDF, not here.",
            "Run 'idf.py build' in the project's folder; --board xtensa-sim proves the same C on an Xtensa.",
        )

    def templates(self, board: Board) -> dict[str, str]:
        pins = {PINS_TEMPLATE: "main/espidf_pins.h"} if "picture" in board.components else {}
        return {self.own(f"templates/{name}"): target for name, target in (TEMPLATES | pins).items()} | {
            self.own(f"chips/{board.chip}/sdkconfig.defaults.j2"): f"sdkconfig.defaults.{board.chip}"
        }

    def context(self, board: Board, copied: dict[str, list[str]]) -> dict[str, Any]:
        psram = _psram(board)
        return super().context(board, copied) | {
            "model_partition": board.flash.partition("model"),
            "internal": [r.name for r in board.regions if r.cache_line is None],
            "psram_mode": {4: "QUAD", 8: "OCT", 16: "HEX"}[psram.data_lines] if psram else "",
            "component_sources": sorted(
                [*(f for f in copied[self.model_folder] if f.endswith((".c", ".S"))), "bm_step.c"]
            ),
            "package_version": three_numbers(),
            "targets": lambda family: [board.chip],
            "main_sources": sorted(
                [*(f for f in copied[self.own_folder] if f.endswith(".c")), "espidf_arenas.c"]
            ),
        }

    def next_step(self, project: Path) -> str:
        return f"cd {shlex.quote(str(project))} && idf.py build"


def _psram(board: Board) -> Region | None:
    """PSRAM: the region that changes and lies behind the cache."""
    return next((r for r in board.regions if r.cache_line is not None and "arena" in r.holds), None)


platform = EspIdf()
