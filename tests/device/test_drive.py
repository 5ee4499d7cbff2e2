# SPDX-License-Identifier: Apache-2.0
"""`bitmar-tiny flash` for boards whose boot loader is a drive, with folders as drives."""

import errno
import json
import os

import pytest
from click.testing import CliRunner

from bitmar_tiny.cli.flash import command
from bitmar_tiny.codegen import uf2
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.device import drive
from bitmar_tiny.errors import ConfigError, DataError, DeviceError

BOARD = load_board("pico2")


@pytest.fixture
def project(tiny, tmp_path):
    """A generated project with what the build leaves behind."""
    made = emit(tiny, BOARD, tmp_path / "p")
    image = made.path / "build" / "gcc-O2" / "bitmar.uf2"
    image.parent.mkdir(parents=True)
    content = bytes.fromhex(tiny.digest).ljust(4096, b"\xff")
    image.write_bytes(uf2.encode(0x10000000, content, BOARD.uf2.family))
    return made.path


def plug_in(folder, name="RP2350"):
    folder.mkdir(parents=True)
    text = f"UF2 Bootloader v1.0\r\nModel: Raspberry Pi {name}\r\nBoard-ID: {name}\r\n"
    (folder / "INFO_UF2.TXT").write_text(text)
    return folder


def test_the_program_is_copied_to_the_only_drive_of_its_kind(project, tmp_path):
    there = plug_in(tmp_path / "media" / "me" / "RP2350")
    plug_in(tmp_path / "media" / "me" / "RPI-RP2", "RPI-RP2")
    (tmp_path / "media" / "me" / "camera").mkdir()
    assert drive.find_drive(BOARD, mounts=[f"{tmp_path}/media/*/*"]) == there
    done = drive.copy_project(project, BOARD, there)
    image = project / "build" / "gcc-O2" / "bitmar.uf2"
    assert done == {"board": "pico2", "drive": str(there), "file": str(image), "bytes": 16 * 512}
    assert (there / "bitmar.uf2").read_bytes() == image.read_bytes()


def test_drives_that_will_not_do_are_called_by_name(tmp_path):
    mounts = [f"{tmp_path}/*"]
    with pytest.raises(DeviceError, match="No drive of a boot loader RP2350 is mounted") as error:
        drive.find_drive(BOARD, mounts=mounts)
    assert "Hold BOOTSEL" in error.value.hint and "--drive" in error.value.hint
    with pytest.raises(DeviceError, match="not the drive of a boot loader"):
        drive.find_drive(BOARD, tmp_path)
    with pytest.raises(DeviceError, match="the drive of a RPI-RP2, the board profile is for a RP2350"):
        drive.find_drive(BOARD, plug_in(tmp_path / "old", "RPI-RP2"))
    plug_in(tmp_path / "one")
    plug_in(tmp_path / "two")
    with pytest.raises(DeviceError, match="Several boards show a drive: .*one, .*two"):
        drive.find_drive(BOARD, mounts=mounts)


def test_a_drive_that_goes_too_early_is_said(project, tmp_path, monkeypatch):
    def gone(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", gone)
    with pytest.raises(DeviceError, match="input/output error while the program was copied") as error:
        drive.copy_project(project, BOARD, plug_in(tmp_path / "d"))
    assert "run the command again" in error.value.hint


def test_projects_that_do_not_fit_are_refused_before_a_drive_is_looked_for(project, tiny, tmp_path):
    image = project / "build" / "gcc-O2" / "bitmar.uf2"
    with pytest.raises(ConfigError, match="was generated for board pico2, not for pico"):
        drive.board_image(project, load_board("pico"))
    whole = image.read_bytes()
    image.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="Not a whole UF2 file"):
        drive.board_image(project, BOARD)
    for address, content, family in [(0, uf2.decode(whole)[1], 1), (0, bytes(4096), BOARD.uf2.family)]:
        image.write_bytes(uf2.encode(address, content, family))
        with pytest.raises(DataError, match="built for another board or model"):
            drive.board_image(project, BOARD)
    image.unlink()
    with pytest.raises(DataError, match="not built yet"):
        drive.board_image(project, BOARD)


def test_the_command(project, tmp_path):
    there = plug_in(tmp_path / "d")
    base = [str(project), "--board", "pico2", "--drive", str(there), "--json"]
    done = CliRunner().invoke(command, [*base, "--dry-run"], catch_exceptions=False)
    assert json.loads(done.stdout)["dry_run"] and not (there / "bitmar.uf2").exists()
    done = CliRunner().invoke(command, base, catch_exceptions=False)
    assert json.loads(done.stdout)["bytes"] == (there / "bitmar.uf2").stat().st_size
    for extra in (["--port", "/dev/ttyUSB0"], ["--baud", "115200"], ["--model"]):
        with pytest.raises(ConfigError, match="is copied to a drive"):
            CliRunner().invoke(command, [*base, *extra], catch_exceptions=False)
    with pytest.raises(ConfigError, match="has no drive"):
        CliRunner().invoke(
            command, ["--board", "esp32-s3-n16r8", "--drive", str(there)], catch_exceptions=False
        )
