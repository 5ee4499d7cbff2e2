# SPDX-License-Identifier: Apache-2.0
"""Settings, partitions, manifests and PlatformIO file of projects for ESP-IDF, against the documented formats
and its own tools.
"""

import configparser
import csv
import re
from pathlib import Path

import pytest

from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.build import find_compiler
from bitmar_tiny.errors import ConfigError, ToolError

KCONFIG = Path(__file__).parent / "idf" / "Kconfig"
#: Data lines of the PSRAM that the title of a board speaks of.
WIRED = {
    "esp32-s3-n16r8": [8],
    "esp32-s3-n16r2": [4],
    "esp32-p4-function-ev": [16],
    "esp32-p4x-function-ev": [16],
}
#: GPIOs of each chip that are free of its flash, by its data sheet.
PINS = {
    "esp32s3": {*range(22), *range(33, 49)},
    "esp32c3": {*range(11), *range(18, 22)},
    "esp32c6": {*range(24)},
    "esp32p4": {*range(55)},
}


@pytest.fixture(scope="module")
def kconfiglib():
    return pytest.importorskip(
        "esp_kconfiglib", reason="esp-idf-kconfig is not installed (pip install esp-idf-kconfig)"
    )


def settings_of(project) -> list[Path]:
    """In the order in which ESP-IDF loads them: the file for every chip, then the one of this chip."""
    return [project.path / "sdkconfig.defaults", project.path / f"sdkconfig.defaults.{project.board.chip}"]


def test_settings_exist_and_are_taken(idf_project, kconfiglib):
    config, asked = kconfiglib.Kconfig(str(KCONFIG)), {}
    for i, path in enumerate(settings_of(idf_project)):
        config.load_config(str(path), replace=i == 0)
        text = path.read_text()
        asked |= dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.M))
        asked |= dict.fromkeys(re.findall(r"^# CONFIG_(\w+) is not set", text, re.M), "n")
    lines = [r.data_lines for r in idf_project.board.regions if r.data_lines]
    assert len(asked) > (20 if lines else 15)
    for key, value in asked.items():
        assert key in config.syms and config.syms[key].nodes, f"ESP-IDF has no setting {key}"
        assert config.syms[key].str_value == value.strip('"'), key
    modes = {4: "QUAD", 8: "OCT", 16: "HEX"}
    wired = [n for n, mode in modes.items() if config.syms[f"SPIRAM_MODE_{mode}"].str_value == "y"]
    assert wired == lines == WIRED.get(idf_project.board.name, [])
    assert config.syms["IDF_TARGET"].str_value == idf_project.board.chip
    assert config.syms["ESP_DEFAULT_CPU_FREQ_MHZ"].str_value == f"{idf_project.board.speed.clock_mhz:.0f}"


def test_files_on_a_card_that_are_no_8_3_names_come_with_long_names(idf_project, kconfiglib):
    config = kconfiglib.Kconfig(str(KCONFIG))
    assert config.syms["FATFS_LFN_NONE"].str_value == "y", "FatFs alone finds 8.3 names only"
    for i, path in enumerate(settings_of(idf_project)):
        config.load_config(str(path), replace=i == 0)
    names = re.findall(
        r'#define STORE CARD "/([^"]+)"',
        "".join(p.read_text() for p in (idf_project.path / "main").glob("*.c")),
    )
    assert len(names) == (idf_project.memory_store is not None)
    long = [n for n in names if not re.fullmatch(r"[A-Za-z0-9_-]{1,8}(\.[A-Za-z0-9_-]{1,3})?", n)]
    assert config.syms["FATFS_LFN_HEAP"].str_value == ("y" if long else "n")


def test_readme_says_how_the_store_gets_to_the_board(idf_project):
    text, partition = (
        (idf_project.path / "README.md").read_text(),
        idf_project.board.flash.partition("memory"),
    )
    if idf_project.memory_store is None:
        assert "memory.store" not in text
        return
    fits = partition and idf_project.memory_store.stat().st_size <= partition.size
    assert "cp memory.store" in text and "menuconfig" in text
    assert ("write-flash" in text) == bool(fits) and (
        not fits or f"write-flash {partition.offset:#x} memory.store" in text
    )


def test_menu_of_the_board(idf_project, kconfiglib):
    used = set(
        re.findall(
            r"CONFIG_(BITMAR_\w+)",
            "".join(p.read_text() for p in idf_project.path.rglob("*") if p.suffix in (".c", ".txt")),
        )
    )
    config = kconfiglib.Kconfig(str(idf_project.path / "main" / "Kconfig.projbuild"))
    assert config.syms["BITMAR_LINK_UART"].str_value == "y" and config.syms["BITMAR_TAPS"].str_value == "n"
    missing = {"BITMAR_MEMORY_PARTITION"}  # offered only where the flash has a partition for it
    chip = idf_project.board.chip
    if not any(r.data_lines for r in idf_project.board.regions):
        missing |= {"BITMAR_TEXT_MODE"}  # its input takes PSRAM
        assert "BITMAR_TEXT_MODE" not in config.syms
    if chip != "esp32p4":
        missing |= {"BITMAR_SD_LDO"}
    if idf_project.memory_store is None:
        missing |= {"BITMAR_MEMORY_OPTIONAL"}
    elif chip in ("esp32c3", "esp32c6"):
        missing |= {f"BITMAR_SD_{pin}" for pin in ("WIDTH", "CMD", "D0", "D1", "D2", "D3")}
        assert config.syms["BITMAR_MEMORY_SDSPI"].str_value == "y", "there is no SDMMC host"
        assert "BITMAR_MEMORY_SDMMC" not in config.syms
    else:
        assert (
            config.syms["BITMAR_MEMORY_SDMMC"].str_value == "y"
            and config.syms["BITMAR_SD_WIDTH"].str_value == "4"
        )
    assert len(used) > 3 and used - missing <= set(config.syms)
    menu = (idf_project.path / "main" / "Kconfig.projbuild").read_text()
    pins = re.findall(r"int \"Pin of \w+\"\n +default (\d+)", menu)
    assert bool(pins) == (idf_project.memory_store is not None) and {int(p) for p in pins} <= PINS[chip]


def test_an_unknown_setting_would_be_noticed(tmp_path, kconfiglib):
    config = kconfiglib.Kconfig(str(KCONFIG))
    (tmp_path / "c").write_text("CONFIG_SPIRAM_MODE_OCTAL=y\nCONFIG_ESP32S3_DATA_CACHE_LINE_128B=y\n")
    config.load_config(str(tmp_path / "c"))
    assert not any(
        name in config.syms and config.syms[name].nodes
        for name in ("SPIRAM_MODE_OCTAL", "ESP32S3_DATA_CACHE_LINE_128B")
    )


def test_partitions_follow_the_rules(idf_project):
    """docs.espressif.com, Partition Tables: order, alignment, custom types, nothing over the bootloader or
    the end.
    """
    lines = [
        line
        for line in (idf_project.path / "partitions.csv").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    flash, end = idf_project.board.flash, 0x9000
    for name, kind, subtype, offset, size, flags in rows:
        offset, size = int(offset, 0), int(size, 0)
        assert len(name) <= 16 and not flags
        assert offset >= end and offset % (0x10000 if kind == "app" else 0x1000) == 0 and size % 0x1000 == 0
        assert kind in ("app", "data") or 0x40 <= int(kind, 0) <= 0xFE and 0 <= int(subtype, 0) <= 0xFE
        end = offset + size
    assert end <= flash.size
    model = flash.partition("model")
    assert model.offset % 0x10000 == 0, "mapped from the start of a page"
    assert idf_project.blob.size == (idf_project.path / "model.blob").stat().st_size <= model.size


def test_component_manifests(idf_project):
    manager = pytest.importorskip(
        "idf_component_tools.manager",
        reason="idf-component-manager is not installed (pip install idf-component-manager)",
    )
    loaded = manager.ManifestManager(str(idf_project.path / "components" / "bitmar"), "bitmar").load()
    assert str(loaded.version) and loaded.targets == [idf_project.board.chip]
    main = manager.ManifestManager(str(idf_project.path / "main"), "main").load()
    oldest = {"esp32c6": "5.1", "esp32p4": "5.4"}.get(idf_project.board.chip, "5.0")
    for manifest, first in ((loaded, "5.0"), (main, oldest)):
        assert [(d.name, d.version) for d in manifest.requirements] == [("idf", f">={first},<6.0")]


def test_platformio_project(idf_project):
    parsed = configparser.ConfigParser()
    parsed.read(idf_project.path / "platformio.ini")
    values = parsed[f"env:{idf_project.board.name}"]
    documented = {
        "platform",
        "framework",
        "board",
        "board_upload.flash_size",
        "board_upload.maximum_size",
        "board_build.flash_mode",
        "board_build.f_cpu",
        "board_build.partitions",
        "monitor_speed",
        "upload_speed",
    }
    assert set(values) == documented and parsed["platformio"]["src_dir"] == "main"
    assert values["framework"] == "espidf"
    assert values["board_upload.flash_size"] == f"{idf_project.board.flash.size >> 20}MB"
    assert values["board"] in (
        "esp32-s3-devkitc-1",
        "esp32-c3-devkitm-1",
        "esp32-c6-devkitc-1",
        "esp32-p4-evboard",
    )


def test_a_profile_that_cannot_be_an_esp_project():
    def refused(words, **changes):
        with pytest.raises(ConfigError, match=words):
            Board.parse(load_board("esp32-s3-n16r8").model_dump() | changes, "test")

    values = load_board("esp32-s3-n16r8").model_dump()
    refused("needs .flash., .serial. and .speed.", flash=None)
    refused("knows no chip 'esp32h2'", chip="esp32h2")
    refused("does not say how PSRAM is wired", regions=[{**r, "data_lines": None} for r in values["regions"]])
    refused(
        "no partition that holds the app, or the model",
        flash=values["flash"]
        | {"partitions": [p for p in values["flash"]["partitions"] if p["holds"] != "model"]},
    )


def test_building_here_is_refused_with_what_to_do_instead():
    with pytest.raises(ToolError, match="idf.py build"):
        find_compiler(load_board("esp32-s3-n16r8"))
