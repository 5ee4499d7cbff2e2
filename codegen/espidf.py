"""What differs in a project for ESP-IDF: its folders, files, and what its templates need to know."""

from __future__ import annotations

import re
from typing import Any

from bitmar_tiny import __version__
from bitmar_tiny.errors import ConfigError

from .boards import Board, Region
from .build import HOT_SOURCES
from .lower import Blob

#: The one that the templates have settings for.
CHIP = "esp32s3"
MODEL, PLATFORM = "components/bitmar/src", "main"
#: Template (in firmware_templates/project) -> file of the project.
TEMPLATES = {
    "espidf/CMakeLists.txt.j2": "CMakeLists.txt",
    "espidf/sdkconfig.defaults.j2": "sdkconfig.defaults",
    "espidf/sdkconfig.defaults.esp32s3.j2": "sdkconfig.defaults.esp32s3",
    "espidf/partitions.csv.j2": "partitions.csv",
    "espidf/platformio.ini.j2": "platformio.ini",
    "espidf/README.md.j2": "README.md",
    "espidf/component_CMakeLists.txt.j2": "components/bitmar/CMakeLists.txt",
    "espidf/idf_component.yml.j2": "components/bitmar/idf_component.yml",
    "espidf/Kconfig.projbuild.j2": "main/Kconfig.projbuild",
    "espidf/main_idf_component.yml.j2": "main/idf_component.yml",
    "espidf/main_CMakeLists.txt.j2": "main/CMakeLists.txt",
    "espidf/main_arenas.c.j2": "main/espidf_arenas.c",
}


def check(board: Board, blob: Blob) -> None:
    """``ConfigError`` if the profile cannot be that of an ESP32."""
    if board.flash is None or board.serial is None or board.speed is None:
        raise ConfigError(f"Board {board.name}: a profile for ESP-IDF needs [flash], [serial] and [speed].")
    if board.flash.chip != CHIP:
        raise ConfigError(
            f"Board {board.name}: projects for chip '{board.flash.chip}' cannot be written.",
            f"The one known is {CHIP}.",
        )
    model = board.flash.partition("model")
    if model is None or board.flash.partition("app") is None:
        raise ConfigError(
            f"Board {board.name}: the flash layout has no partition that holds the app, or the model."
        )
    psram = _psram(board)
    if psram and psram.data_lines is None:
        raise ConfigError(
            f"Board {board.name}: region '{psram.name}' does not say how PSRAM is wired.",
            "Give it data_lines = 4 (quad) or 8 (octal).",
        )
    if blob.size > model.size:
        raise ConfigError(
            f"Board {board.name}: partition '{model.name}' has {model.size} bytes, the model blob needs {blob.size}.",
            "Make the partition and the region 'flash' of the profile agree.",
        )


def context(board: Board, sources: dict[str, list[str]]) -> dict[str, Any]:
    """Values for ``TEMPLATES``. ``sources``: folder -> files that were copied there."""
    psram = _psram(board)
    c = sorted([*(f for f in sources[MODEL] if f.endswith((".c", ".S"))), "bm_step.c"])
    return {
        "model_partition": board.flash.partition("model"),
        "internal": [r.name for r in board.regions if r.cache_line is None],
        "psram_mode": {4: "QUAD", 8: "OCT"}[psram.data_lines] if psram else "",
        "component_sources": c,
        "component_hot": [
            f
            for f in c
            if f.removesuffix(".c") in HOT_SOURCES or f.startswith("bm_kernels__") and f.endswith(".c")
        ],
        "component_version": _version(),
        "main_sources": sorted([*(f for f in sources[PLATFORM] if f.endswith(".c")), "espidf_arenas.c"]),
    }


def _psram(board: Board) -> Region | None:
    """PSRAM: the region that changes and lies behind the cache."""
    return next((r for r in board.regions if r.cache_line is not None and "arena" in r.holds), None)


def _version() -> str:
    """A version that ESP-IDF's component manager accepts: three numbers."""
    return ".".join((re.findall(r"\d+", __version__) + ["0", "0", "0"])[:3])
