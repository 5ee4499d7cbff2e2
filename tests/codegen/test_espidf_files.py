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
    assert len(asked) > 20
    for key, value in asked.items():
        assert key in config.syms and config.syms[key].nodes, f"ESP-IDF has no setting {key}"
        assert config.syms[key].str_value == value.strip('"'), key
    octal = next(r for r in idf_project.board.regions if r.data_lines).data_lines == 8
    assert config.syms["SPIRAM_MODE_OCT"].str_value == ("y" if octal else "n") and octal == (
        idf_project.board.name != "esp32-s3-n16r2"
    )
    usb = idf_project.board.serial.usb
    assert config.syms["ESP_CONSOLE_USB_SERIAL_JTAG"].str_value == ("y" if usb else "n")


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
    by_itself = "picture" in idf_project.board.components
    does = "BITMAR_BUTTON" if by_itself else "BITMAR_LINK_UART"
    assert config.syms[does].str_value == "y" and config.syms["BITMAR_TAPS"].str_value == "n"
    # offered only where the flash has a partition for it, and where there is a button
    missing = {"BITMAR_MEMORY_PARTITION"} | (set() if by_itself else {"BITMAR_BUTTON"})
    if idf_project.memory_store is None:
        missing |= {"BITMAR_MEMORY_OPTIONAL"}
    else:
        assert (
            config.syms["BITMAR_MEMORY_SDMMC"].str_value == "y"
            and config.syms["BITMAR_SD_WIDTH"].str_value == ("1" if by_itself else "4")
            and config.syms["BITMAR_SD_CLK"].str_value == ("39" if by_itself else "14")
        )
    assert len(used) > 3 and used - missing <= set(config.syms)


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
    assert str(loaded.version) and loaded.targets == ["esp32s3"]
    main = manager.ManifestManager(str(idf_project.path / "main"), "main").load()
    camera = [("espressif/esp32-camera", "^2.0.4")] if "picture" in idf_project.board.components else []
    for manifest, more in ((loaded, []), (main, camera)):
        assert sorted((d.name, d.version) for d in manifest.requirements) == [*more, ("idf", ">=5.0,<6.0")]


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
    size = f"{idf_project.board.flash.size >> 20}MB"
    assert size in ("8MB", "16MB") and values["board_upload.flash_size"] == size
    assert values["framework"] == "espidf"


def test_a_profile_that_cannot_be_an_esp_project():
    def refused(words, **changes):
        with pytest.raises(ConfigError, match=words):
            Board.parse(load_board("esp32-s3-n16r8").model_dump() | changes, "test")

    values = load_board("esp32-s3-n16r8").model_dump()
    refused("needs .flash., .serial. and .speed.", flash=None)
    refused("knows no chip 'esp32c3'", chip="esp32c3")
    refused("does not say how PSRAM is wired", regions=[{**r, "data_lines": None} for r in values["regions"]])
    refused(
        "no partition that holds the app, or the model",
        flash=values["flash"]
        | {"partitions": [p for p in values["flash"]["partitions"] if p["holds"] != "model"]},
    )


def test_building_here_is_refused_with_what_to_do_instead():
    with pytest.raises(ToolError, match="idf.py build"):
        find_compiler(load_board("esp32-s3-n16r8"))
