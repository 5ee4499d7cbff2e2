# SPDX-License-Identifier: Apache-2.0
"""`bitmar-tiny flash` against a mock boot loader on a pty: what it writes, what it skips, and how each
failure is called.
"""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import serial
from click.testing import CliRunner
from device.boards import NetworkPort
from documents import ROOT, commands

from bitmar_tiny.cli.flash import command
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import MANIFEST, emit
from bitmar_tiny.device import esptool, flash, ports
from bitmar_tiny.device.esptool import Port, words_for
from bitmar_tiny.device.flash import write
from bitmar_tiny.device.lines import SerialLine
from bitmar_tiny.device.pieces import APP, MODEL, collect
from bitmar_tiny.errors import ConfigError, DataError, DeviceError

BOARD = load_board("esp32-s3-n16r8")
OTHERS = ("esp32-c3-devkitm-1", "esp32-c6-devkitc-1", "esp32-p4-function-ev", "esp32-p4x-function-ev")
HERE = Path(__file__).parent
START_S = 60.0
CHIPS = {"esp32c3": "ESP32-C3", "esp32c6": "ESP32-C6", "esp32p4": "ESP32-P4"}


@pytest.fixture
def project(tiny, tmp_path):
    return built(tiny, BOARD, tmp_path / "p")


def built(model, board, folder: Path) -> Path:
    """A generated project with what ESP-IDF's build leaves behind: as small as it can be, but of the real
    form.
    """
    made = emit(model, board, folder)
    build, flash = made.path / "build", board.flash
    size, (app, blob) = f"{flash.size >> 20}MB", (flash.partition(p).offset for p in ("app", "model"))
    for name, content in (
        ("bootloader/bootloader.bin", b"boot" * 1000),
        ("partition_table/partition-table.bin", b"part" * 768),
        ("bitmar.bin", b"app" + bytes.fromhex(model.digest) + os.urandom(9000)),
    ):
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).write_bytes(content)
    (build / "flasher_args.json").write_text(
        json.dumps(
            {
                "write_flash_args": ["--flash_mode", "dio", "--flash_size", size, "--flash_freq", "80m"],
                "flash_settings": {"flash_mode": "dio", "flash_size": size, "flash_freq": "80m"},
                "flash_files": {
                    f"{flash.bootloader:#x}": "bootloader/bootloader.bin",
                    f"{app:#x}": "bitmar.bin",
                    f"{flash.partition_table:#x}": "partition_table/partition-table.bin",
                    f"{blob:#x}": "../model.blob",
                },
                "app": {"offset": f"{app:#x}", "file": "bitmar.bin", "encrypted": "false"},
                "extra_esptool_args": {
                    "after": "hard_reset",
                    "before": "default_reset",
                    "stub": True,
                    "chip": board.chip,
                },
            }
        )
    )
    return made.path


@pytest.fixture
def board():
    """Start a mock board; yields a function fault, chip -> port name."""
    pytest.importorskip(
        "esp32_mock_bootloader",
        reason="esp32-mock-bootloader is not installed (pip install esp32-mock-bootloader)",
    )
    running = []

    def start(fault: str = "none", chip: str = "esp32s3") -> str:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "mock_board.py"), fault, chip], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            found = re.search(r"/dev/pts/\d+", process.stdout.readline())
            if found:
                return found[0]
        pytest.fail("the mock boot loader did not start")

    yield start
    for process in running:
        process.kill()
        process.wait()


def line(port: str, project: Path, chip: str = "esp32s3") -> Port:
    return Port(port, chip, 921600, project / "flash.log", "no-reset")


def test_everything_is_written_read_back_and_then_skipped(project, board):
    pieces, port = collect(project, BOARD, (MODEL, APP)), line(board(), project)
    assert [p.name for p in pieces] == ["model", "bootloader", "partition table", "program"]
    seen = []
    done = write(pieces, BOARD, port, report=lambda piece, state, share: seen.append((piece.name, state)))
    assert {d["state"] for d in done} == {"written"} and ("model", "verifying") in seen
    again = write(pieces, BOARD, port)
    assert {d["state"] for d in again} == {"already there"}
    program = next(p for p in pieces if p.name == "program")
    program.path.write_bytes(program.data[:-1] + bytes([program.data[-1] ^ 1]))
    states = {d["name"]: d["state"] for d in write(collect(project, BOARD, (MODEL, APP)), BOARD, port)}
    assert states == {
        "model": "already there",
        "bootloader": "already there",
        "partition table": "already there",
        "program": "written",
    }
    log = (project / "flash.log").read_text()
    assert log.count("$ esptool") > 10 and "write-flash 0x210000" in log


def test_where_the_boot_loader_of_a_chip_lies():
    """docs.espressif.com, Bootloader: its offset is given by the chip's ROM; as esptool knows it, too."""
    targets = pytest.importorskip("esptool.targets", reason="esptool is not installed (pip install esptool)")
    for name in (BOARD.name, *OTHERS):
        board = load_board(name)
        rom = targets.CHIP_DEFS[board.chip]
        assert board.flash.bootloader == rom.BOOTLOADER_FLASH_OFFSET == (0x2000 if "p4" in name else 0), name


@pytest.mark.parametrize("name", OTHERS[:3])
def test_the_boot_loader_of_another_chip(tiny, tmp_path, board, name):
    """It goes where that chip looks for it, and the chip is asked what it is."""
    profile = load_board(name)
    project = built(tiny, profile, tmp_path / "p")
    port = line(board(chip=profile.chip), project, profile.chip)
    assert [p.offset for p in collect(project, profile, (MODEL, APP))] == [
        profile.flash.partition("model").offset,
        profile.flash.bootloader,
        0x8000,
        0x10000,
    ]
    pieces = collect(project, profile, (APP,))[:1]
    assert {d["state"] for d in write(pieces, profile, port)} == {"written"}
    assert f"--chip {profile.chip}" in (project / "flash.log").read_text()
    with pytest.raises(DeviceError, match=f"the chip is a {CHIPS[profile.chip]}, the board profile is for a"):
        write(pieces, BOARD, line(port.name, project))


def test_a_board_behind_a_port_in_the_network(project, board):
    """RFC 2217: no file of this machine, so nothing to look at before esptool opens it. (A whole write takes
    a minute: pyserial waits 0.2 s for every message.)
    """
    server = NetworkPort(SerialLine(board(), 115200), telnet=True)
    port = line(f"rfc2217://127.0.0.1:{server.port}", project)
    flash._check_port(port)
    assert "ESP32-S3" in esptool.run(port, ["--no-stub", "read-mac"], 60)
    server.close()
    with pytest.raises(DeviceError, match="127.0.0.1:.*: the port in the network cannot be opened"):
        write(collect(project, BOARD, (MODEL,)), BOARD, port)


def test_a_port_that_is_held_for_a_moment_is_waited_for(project, board, monkeypatch):
    """ModemManager opens what was just plugged in. A port that stays busy is one sentence."""
    port, pieces = line(board(), project), collect(project, BOARD, (APP,))[:1]
    with serial.Serial(port.name, exclusive=True) as held:
        monkeypatch.setattr(ports, "BUSY_S", 0.0)
        with pytest.raises(DeviceError, match="uses the port"):
            write(pieces, BOARD, port)
        with pytest.raises(DeviceError, match="another program uses the port"):
            esptool.run(port, ["flash-id"], 20)
        monkeypatch.setattr(ports, "BUSY_S", START_S)
        tries = []
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda s: (tries.append(s), held.close()))
        monkeypatch.setattr(ports, "time", clock)
        assert write(pieces, BOARD, port)[0]["state"] == "written"
    assert len(tries) == 1


@pytest.mark.parametrize("fault", ["none", "rot"])
def test_a_record_replays_the_same_result(project, board, tmp_path, fault):
    record, name = tmp_path / "r", board(fault)

    def flashed(port, **options):
        done = CliRunner().invoke(
            command,
            [
                "--board",
                BOARD.name,
                str(project),
                "--port",
                port,
                "--no-reset",
                "--model",
                "--json",
                *options.get("more", ()),
            ],
        )
        return done.stdout, str(done.exception)

    live = flashed(name, more=("--record", str(record)))
    assert flashed(f"replay:{record}") == live and (
        "does not hold" in live[1] if fault == "rot" else '"state": "written"' in live[0]
    )
    record.write_text("\n".join(record.read_text().splitlines()[:3]))
    assert "ends early" in flashed(f"replay:{record}")[1]


def test_the_parts_alone(project, board):
    assert [p.part for p in collect(project, BOARD, (MODEL,))] == [MODEL]
    assert [p.name for p in collect(project, BOARD, (APP,))] == ["bootloader", "partition table", "program"]


def test_a_worn_flash_is_noticed(project, board):
    with pytest.raises(
        DeviceError,
        match="does not hold what was written.*On the board now: nothing.*not yet: model, bootloader",
    ):
        write(collect(project, BOARD, (MODEL, APP)), BOARD, line(board("rot"), project))


def test_a_board_that_vanishes(project, board, monkeypatch):
    monkeypatch.setattr(esptool, "IDLE_S", 6.0)
    with pytest.raises(DeviceError, match="(lost|no answer).*On the board now: .*not yet: model"):
        write(collect(project, BOARD, (MODEL, APP)), BOARD, line(board("die:1"), project))


def test_another_chip_and_a_smaller_flash(project, board):
    with pytest.raises(DeviceError, match="the chip is a ESP32-C3, the board profile is for a ESP32-S3"):
        write(collect(project, BOARD, (MODEL,)), BOARD, line(board(chip="esp32c3"), project))
    big = BOARD.model_copy(update={"flash": BOARD.flash.model_copy(update={"size": 32 << 20})})
    with pytest.raises(DeviceError, match="has 16 MB of flash, the board profile says 32 MB"):
        write(collect(project, BOARD, (MODEL,)), big, line(board(), project))


@pytest.mark.parametrize("noise", [b"", b"I (312) wifi: hello\r\n", bytes(range(256))])
def test_a_port_without_a_boot_loader(project, noise):
    """Silence, the log of a running program, garbage: not a boot loader, and no hang."""
    master, slave = pty.openpty()
    stop = threading.Event()

    if noise:
        os.set_blocking(master, False)
        speaker = threading.Thread(target=_chatter, args=(master, noise, stop), daemon=True)
        speaker.start()
    started = time.monotonic()
    try:
        with pytest.raises(
            DeviceError, match="does not answer as a boot loader.*BOOT|no answer for too long"
        ):
            write(collect(project, BOARD, (MODEL,)), BOARD, line(os.ttyname(slave), project))
    finally:
        stop.set()
    assert time.monotonic() - started < esptool.CONNECT_S + 90


def _chatter(master, noise, stop):
    while not stop.wait(0.02):
        for action in (lambda: os.write(master, noise), lambda: os.read(master, 4096)):
            try:
                action()
            except (BlockingIOError, OSError):
                pass


@pytest.mark.parametrize(
    "text, words",
    [
        ("A fatal error occurred: Could not open /dev/ttyUSB0 ([Errno 13] Permission denied)", "may not use"),
        (
            "A fatal error occurred: Could not open /dev/ttyUSB0, the port is busy ([Errno 16] Device or "
            "resource busy)",
            "another program",
        ),
        (
            "A fatal error occurred: Failed to connect to ESP32-S3: Wrong boot mode detected (0x8)",
            "boot loader",
        ),
        ("A fatal error occurred: The chip stopped responding.", "lost in the middle"),
        (
            "A fatal error occurred: This chip is ESP32, not ESP32-S3. Wrong chip argument?",
            "is a ESP32, the board",
        ),
        (
            "A fatal error occurred: MD5 of file does not match data in flash!",
            "does not hold what was written",
        ),
        ("something new", "esptool failed"),
    ],
)
def test_words(text, words, tmp_path):
    (tmp_path / "port").touch()
    assert words in words_for(text, Port(str(tmp_path / "port"), "esp32s3", 115200, tmp_path / "log")).message


def test_a_port_that_is_gone_was_lost_whatever_esptool_says(tmp_path):
    for text in (
        "A fatal error occurred: Could not open port, [Errno 2] No such file or directory",
        "something new",
    ):
        assert (
            "lost in the middle"
            in words_for(text, Port(str(tmp_path / "port"), "esp32s3", 115200, tmp_path / "log")).message
        )


@pytest.mark.parametrize(
    "there", [(), ("model",), ("program",), ("model", "bootloader", "partition table", "program")], ids=str
)
@pytest.mark.parametrize("verify", [True, False])
def test_the_program_is_started_at_the_end_and_only_then(project, monkeypatch, there, verify):
    pieces, calls = collect(project, BOARD, (MODEL, APP)), []

    def run(port, arguments, limit_s, *, last=False, progress=None):
        calls.append(last)
        piece = next((p for p in pieces if str(p.path) in arguments), None)
        if arguments[0] == "verify-flash" and piece.name not in there and piece.name not in written:
            raise DeviceError("the flash does not hold what was written.")
        written.update({piece.name} if arguments[0] == "write-flash" else ())
        return ""

    written = set()
    monkeypatch.setattr(flash, "run", run)
    monkeypatch.setattr(flash, "need", lambda module: None)
    monkeypatch.setattr(flash, "check", lambda name: None)
    write(pieces, BOARD, Port("/dev/ttyUSB0", "esp32s3", 921600, project / "flash.log"), verify)
    assert calls[-1] and not any(calls[:-1]) and written == {p.name for p in pieces} - set(there)


def spoil(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_pieces_that_do_not_belong_together_are_refused_before_writing(project, tiny):
    args = json.loads((project / "build/flasher_args.json").read_text())
    cases = [
        (lambda: spoil(project / "model.blob", 200), "damaged"),
        (lambda: spoil(project / "model.blob", 20), "another model than the project's manifest"),
        (lambda: (project / "model.blob").write_bytes(b""), "is empty"),
        (lambda: (project / "build/bitmar.bin").write_bytes(b"old app"), "built for another model"),
        (lambda: (project / "build/bitmar.bin").unlink(), "no such file"),
        (
            lambda: (project / "build/bootloader/bootloader.bin").write_bytes(bytes(40_000)),
            "would overwrite the partition table",
        ),
        (lambda: (project / "build/flasher_args.json").write_text("{"), "not what ESP-IDF's build writes"),
        (
            lambda: (project / "build/flasher_args.json").write_text(
                json.dumps(args | {"app": {"offset": "0x20000"}})
            ),
            "with the program at 0x20000",
        ),
        (lambda: (project / "build/flasher_args.json").unlink(), "not built yet"),
    ]
    saved = {p: p.read_bytes() for p in project.rglob("*") if p.is_file()}
    for change, words in cases:
        change()
        with pytest.raises(DataError, match=words):
            collect(project, BOARD, (MODEL, APP))
        for path, data in saved.items():
            path.write_bytes(data)
    assert len(collect(project, BOARD, (MODEL, APP))) == 4
    with pytest.raises(ConfigError, match="not a generated project"):
        collect(project / "build", BOARD, (MODEL,))
    for other in ("esp32-s3-n16r8", "host"):  # a board that can be flashed, and one that cannot
        manifest = json.loads((project / MANIFEST).read_text()) | {"board": other}
        (project / MANIFEST).write_text(json.dumps(manifest))
        with pytest.raises(ConfigError, match=f"generated for board {other}, not for esp32-s3-n16r2") as said:
            collect(project, load_board("esp32-s3-n16r2"), (MODEL,))
        assert "bitmar-tiny codegen --board esp32-s3-n16r2 -o FOLDER" in said.value.hint


def test_the_pages_dry_run_works_as_written_for_a_project_of_the_readmes_name(project, monkeypatch):
    monkeypatch.chdir(project.parent)
    project.rename("firmware-esp32")
    lines = [c.line for c in commands(ROOT / "docs" / "how-to" / "flash.md") if "--dry-run" in c.line]
    assert lines
    for line in lines:
        done = CliRunner().invoke(command, shlex.split(line)[2:])
        assert done.exit_code == 0 and "model" in done.output, done.exception
