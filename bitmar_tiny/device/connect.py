# SPDX-License-Identifier: Apache-2.0
"""From the name of a port to a session on it; and, where there is none, what is wrong."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bitmar_tiny.codegen.boards import Board as Profile
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import Program, build, runner
from bitmar_tiny.codegen.emit import emit

from ..errors import ConfigError, DeviceError
from ..files import TemporaryFolder
from ..frozen import FrozenModel
from .channel import SETTLE_S, LinkChannel
from .emulator import EmulatorLine
from .lines import Line, ProgramLine, PtyLine, Rfc2217Line, SerialLine, SocketLine
from .link import PATIENCE_S, Link, Opened
from .protocol import BY_NAME, VERSION

Log = Callable[[str], None]
BAUD = 115200
OPEN_S, BOOT_S = 1.5, 4.0  # for an answer; for one of a board that is just starting
ATTACH_S = 60.0  # for somebody to open the other end of a terminal
OTHER_S, ROM_S = 0.25, 0.4  # for an answer at another speed; of a boot loader
FOLLOW_S = 0.6  # for an answer at a changed speed
STARTS, START_S = 6, 5.0  # for firmware that is started here to answer, however busy this machine is
LOCAL_S = 60.0  # the same for a token; its end is noticed at once
SPEEDS = (921600, 115200, 460800, 230400, 1500000, 57600)
KINDS = (
    "a device such as /dev/ttyUSB0, socket://HOST:PORT, rfc2217://HOST:PORT, host:[BOARD[/KERNELS]], "
    "qemu:BOARD[/KERNELS], "
    "pty:, or replay:FILE"
)
BOOTING = re.compile(rb"rst:0x|ESP-ROM:|U-Boot|boot:")
LOADER = re.compile(rb"waiting for download|DOWNLOAD\(|DOWNLOAD_BOOT", re.I)
CRASHED = re.compile(rb"Guru Meditation|abort\(\) was called|HardFault|hard fault", re.I)
#: SYNC of Espressif's boot loader in ROM, and how its answer begins (esptool documentation, Serial Protocol).
ROM_SYNC = b"\xc0\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20" + 32 * b"\x55" + b"\xc0"
ROM_ANSWER = b"\xc0\x01\x08"


def silent(text: str) -> None:
    """Nobody wants to see what the board prints."""


class Firmware:
    """Firmware for ``board`` generated and built on this machine, in a folder of its own until ``close``.

    ``plan``: what the project's plan.json says; ``emulated``: it does not run on this processor itself.
    """

    def __init__(
        self, model: FrozenModel, board: Profile, family: str | None, flags: tuple[str, ...], memory: str
    ) -> None:
        self.folder = TemporaryFolder()
        try:
            project = emit(model, board, Path(self.folder.name) / "project", family, memory=memory)
            self.program = build(project.path, board, project.family, extra=flags)
            self.plan: dict[str, Any] = json.loads((project.path / "plan.json").read_text())
        except BaseException:
            self.folder.cleanup()
            raise
        self.store = project.memory_store
        self.emulated = board.emulated or bool(self.program.runner) and not board.platform.real_time

    def close(self) -> None:
        self.folder.cleanup()


class HostLine(ProgramLine):
    """Firmware as a program, or in an emulator that passes its input and output on."""

    def __init__(self, firmware: Firmware, name: str) -> None:
        self.firmware = firmware
        store = ["--store", str(firmware.store)] if firmware.store else []
        super().__init__([*firmware.program.command, "link", *store], name)

    def close(self) -> None:
        super().close()
        self.firmware.close()


class QemuLine(EmulatorLine):
    """Firmware on an emulated board."""

    def __init__(self, firmware: Firmware, board: Profile, name: str) -> None:
        self.firmware = firmware
        super().__init__(board, firmware.program.path, name)

    def close(self) -> None:
        super().close()
        self.firmware.close()


def program_line(program: Program, board: Profile, name: str, store: Path | None = None) -> Line:
    """A built program as a line: on this machine, or on the board's emulator. ``store``: that its memory is
    in.
    """
    if board.platform.on_uart:
        return EmulatorLine(board, program.path, name)
    return ProgramLine([*program.command, "link", *(["--store", str(store)] if store else [])], name)


def firmware_line(
    port: str,
    model: FrozenModel,
    flags: tuple[str, ...] = (),
    memory: str = "auto",
    store: Path | None = None,
) -> HostLine | QemuLine:
    """``host:[BOARD[/KERNELS]]`` or ``qemu:BOARD[/KERNELS]``: generated, built and started. It ends with the
    line. ``store``: a memory store in the place of the project's.
    """
    kind, _, rest = port.partition(":")
    name, _, family = rest.partition("/")
    board = load_board(name or "host")
    if board.platform.port_kind != kind:
        other = (
            f"Use {board.platform.port_kind}:{board.name}."
            if board.platform.port_kind
            else f"Name the port that the {board.name} is on."
        )
        raise ConfigError(f"{port}: firmware for {board.name} cannot be started so.", other)
    runner(board)  # complain before the work
    firmware = Firmware(model, board, family or None, flags, "sd" if store else memory)
    firmware.store = store or firmware.store
    try:
        return (
            QemuLine(firmware, board, port)
            if board.platform.port_kind == "qemu"
            else HostLine(firmware, port)
        )
    except BaseException:
        firmware.close()
        raise


def open_line(
    port: str,
    model: FrozenModel | None,
    baud: int = BAUD,
    flags: tuple[str, ...] = (),
    memory: str = "auto",
    log: Log = silent,
    store: Path | None = None,
) -> Line:
    """The line that ``port`` names; nobody has spoken on it yet."""
    kind, colon, _ = port.partition(":")
    if store and kind != "host":
        raise ConfigError(
            f"{port}: the memory of a board lies where its firmware has it.", "Leave out --store."
        )
    if not colon or "/" in kind:
        return SerialLine(port, baud)
    if kind == "pty":
        line = PtyLine()
        log(f"Waiting for a board at {line.other}.")
        return line
    if kind == "socket":
        return SocketLine(port)
    if kind == "rfc2217":
        return Rfc2217Line(port, baud)
    if kind not in ("host", "qemu"):
        raise ConfigError(f"There is no kind of port '{kind}:'.", f"A port is {KINDS}.")
    if model is None:
        raise ConfigError(f"{port}: which model shall it run?", "Name a MODEL.")
    return firmware_line(port, model, flags, memory, store)


def connect(line: Line, log: Log = silent, patience_s: float | None = None) -> Link:
    """A session on ``line``; ``DeviceError`` says why there is none, within 5 s (a terminal waits longer for
    its other end, firmware that is started here may take its time).
    """
    local = isinstance(line, (ProgramLine, EmulatorLine))
    link = Link(line, log, patience_s or (LOCAL_S if local else PATIENCE_S))
    opened = _started(link) if local else link.open(ATTACH_S if type(line) is PtyLine else OPEN_S)
    booting = BOOTING.search(link.counts.text)
    if opened is None and not local and booting and not LOADER.search(link.counts.text):
        opened = link.open(BOOT_S - OPEN_S)
    if (
        opened is None
        and isinstance(line, (SerialLine, Rfc2217Line))
        and not booting
        and not LOADER.search(link.counts.text)
    ):
        opened = _other_speed(link, line)
    if opened is not None and opened.version == VERSION:
        return link
    raise _diagnosis(link)


def _started(link: Link) -> Opened | None:
    opened = None
    for _ in range(STARTS):
        opened = opened or (None if CRASHED.search(link.counts.text) else link.open(START_S))
    return opened


def _other_speed(link: Link, line: SerialLine) -> Opened | None:
    """Look for the board at other speeds, and bring it to the one that was asked for if it can follow."""
    asked = line.baud
    for speed in (s for s in SPEEDS if s != asked):
        line.set_baud(speed)
        opened = link.open(OTHER_S)
        if opened is None:
            continue
        if opened.version != VERSION:
            return opened
        *_, (_, payload) = LinkChannel(link).exchange(BY_NAME["baud"].pack(asked))
        if BY_NAME["result"].unpack(payload)[0]["status"]:
            raise DeviceError(
                f"{line.name}: the board speaks {speed} baud, not {asked}.", f"Add --baud {speed}."
            )
        link.settle(SETTLE_S)
        line.set_baud(asked)
        opened = link.open(FOLLOW_S)
        if opened is None:
            raise DeviceError(
                f"{line.name}: the board speaks {speed} baud, and {asked} does not work on this line.",
                f"Add --baud {speed}.",
            )
        return opened
    line.set_baud(asked)
    return None


def _diagnosis(link: Link) -> DeviceError:
    name, counts, line = link.line.name, link.counts, link.line
    if link.opened:
        return DeviceError(
            f"{name}: the firmware speaks version {link.opened.version} of the protocol, this program "
            f"version {VERSION}.",
            "Generate, build and flash the firmware again with this version of bitmar-tiny.",
        )
    if LOADER.search(counts.text):
        return _in_loader(name)
    if CRASHED.search(counts.text):
        return DeviceError(
            f"{name}: the firmware crashed while it started: {_last_line(counts.text)}.",
            "Flash model and program of one project again.",
        )
    if isinstance(line, (SerialLine, Rfc2217Line)) and _rom_answers(line):
        return _in_loader(name)
    if counts.text.strip() and len(counts.text) > counts.damaged:
        return DeviceError(
            f"{name}: something prints text there, but no firmware of bitmar-tiny answers: "
            f"{_last_line(counts.text)}.",
            "Flash it: bitmar-tiny flash, or the project's own way.",
        )
    if counts.damaged or counts.bytes_in:
        return DeviceError(
            f"{name}: {counts.bytes_in} bytes came back, but no whole frame: the speed is wrong or the line "
            "is bad.",
            "Try another --baud, a shorter cable, a common ground.",
        )
    return DeviceError(
        f"{name}: nothing answers.",
        "Check that the board has power and that its firmware is flashed; reset it; try another cable.",
    )


def _in_loader(name: str) -> DeviceError:
    return DeviceError(
        f"{name}: the board waits in its boot loader.",
        "Press RESET (with BOOT released), then run the command again.",
    )


def _rom_answers(line: SerialLine) -> bool:
    """Whether a boot loader in ROM answers."""
    line.set_baud(115200)
    line.write(ROM_SYNC)
    until, heard = time.monotonic() + ROM_S, b""
    while time.monotonic() < until and ROM_ANSWER not in heard:
        heard += line.read(until - time.monotonic())
    return ROM_ANSWER in heard


def _last_line(text: bytes) -> str:
    lines = [t for t in text.decode(errors="replace").split("\n") if t.strip()]
    return repr(lines[-1].strip()[:80]) if lines else "''"
