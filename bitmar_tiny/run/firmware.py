# SPDX-License-Identifier: Apache-2.0
"""Sessions with firmware: on a board, in an emulator, as a program of this machine, or out of a record."""

from __future__ import annotations

import shutil
from pathlib import Path

from bitmar_tiny.codegen.boards import Board as Profile
from bitmar_tiny.codegen.boards import board_files, load_board
from bitmar_tiny.codegen.build import Program, runner

from ..device.channel import Channel, LinkChannel
from ..device.connect import HostLine, QemuLine, connect, open_line, program_line
from ..device.record import Record, RecordingChannel, ReplayChannel
from ..errors import DeviceError, ProcessorError, ToolError
from ..files import TemporaryFolder
from ..frozen import FrozenModel
from ..memory.store import MemoryStore
from .device import DeviceSession
from .session import SessionOptions, is_local

#: Words of firmware whose processor lacks the instructions of its kernels (bm_status_text).
WRONG_PROCESSOR = "this processor lacks the instructions that this build uses"


def port_of(target: str) -> str:
    """The port that a target names: a board that this machine can run or emulate is firmware that is built
    and started here.
    """
    kind, colon, rest = target.partition(":")
    name, slash, family = (rest if colon else target).partition("/")
    is_file = Path(target).exists() and name not in board_files() and not name.endswith(".toml")
    if colon and kind != "qemu" or not name or is_file:
        return target
    board = load_board(name)
    emulated = bool(runner(board))  # or complains that it cannot be started here
    if colon and not emulated:
        return target
    return f"{board.platform.port_kind}:{name}{slash}{family}"


def is_board(target: str) -> bool:
    """Whether a target is the name or the file of a board profile."""
    if is_local(target) or ":" in target:
        return False
    file = "/" in target or Path(target).exists()
    return target.endswith(".toml") or not file or target in board_files()


def open_device(port: str, model: FrozenModel | None, options: SessionOptions) -> DeviceSession:
    """The firmware on ``port``, which runs ``model`` if one is given.

    ``ConfigError`` for a name that is none, ``DeviceError`` for a board that is not as it should be.
    """
    if options.store and model:
        MemoryStore.open(options.store, model.digest)  # says best what is wrong with one
    file = Record(options.record) if options.record else None
    try:
        channel: Channel = (
            ReplayChannel(Path(port.removeprefix("replay:")))
            if port.startswith("replay:")
            else _live(port, model, options)
        )
    except DeviceError as error:
        if file:
            file.begin({"error": error.message, "hint": error.hint})
        raise
    try:
        session = DeviceSession(RecordingChannel(channel, file) if file else channel)
        if model:
            session.need(model)
    except BaseException:
        channel.close()
        raise
    return session


def _live(port: str, model: FrozenModel | None, options: SessionOptions) -> LinkChannel:
    line = open_line(port, model, options.baud, options.flags, options.memory, options.log, options.store)
    try:
        link = connect(line, options.log, options.timeout_s)
    except BaseException:
        line.close()
        raise
    firmware = line.firmware if isinstance(line, (HostLine, QemuLine)) else None
    return LinkChannel(
        link,
        lambda: connect(line, options.log, options.timeout_s),
        bool(firmware and firmware.emulated),
        firmware and firmware.plan,
    )


class ProgramSession(DeviceSession):
    """A program that was built from generated C, run on this machine or in the board's emulator. A copy of
    its ``store`` is used.

    ``ToolError`` where it refuses to start, ``ProcessorError`` where this processor cannot run it.
    """

    def __init__(self, program: Program, board: Profile, name: str = "", store: Path | None = None) -> None:
        self.folder = TemporaryFolder()
        line = None
        try:
            if store:
                store = Path(shutil.copy(store, self.folder.name))
            line = program_line(program, board, name or board.name, store)
            super().__init__(LinkChannel(connect(line)))
            why = self.identity.why
            if why == WRONG_PROCESSOR:
                raise ProcessorError(
                    f"{self.name}: this processor lacks the instructions of the kernel family.",
                    "Choose another with --kernels.",
                )
            if why:
                raise ToolError(f"{self.name}: the program does not start: {why}.")
        except BaseException:
            if line:
                line.close()
            self.folder.cleanup()
            raise

    def close(self) -> None:
        super().close()
        self.folder.cleanup()
