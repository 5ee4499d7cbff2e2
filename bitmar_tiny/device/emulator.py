# SPDX-License-Identifier: Apache-2.0
"""Boards that exist in an emulator, as lines: QEMU with its serial port on a terminal."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
import tty
from pathlib import Path

from bitmar_tiny.codegen.boards import Board
from bitmar_tiny.codegen.build import install_hint

from ..errors import DeviceError, ToolError
from .lines import FdLine, end_with_parent

START_S = 10.0  # for QEMU to name its terminal
TERMINAL = re.compile(rb"char device redirected to (\S+)")
OPTIONS = ["-display", "none", "-monitor", "none", "-parallel", "none", "-serial", "pty"]


class EmulatorLine(FdLine):
    """QEMU runs ``program`` for ``board``; it ends with the line, or with this process."""

    def __init__(self, board: Board, program: Path, name: str) -> None:
        if shutil.which(board.emulator[0]) is None:
            raise ToolError(
                f"The emulator '{board.emulator[0]}' for board {board.name} was not found.",
                f"Install it: {install_hint(board.emulator_package)}.",
            )
        self.process = subprocess.Popen(
            [*board.emulator, *OPTIONS, "-kernel", str(program)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        try:
            fd = os.open(self._terminal(board), os.O_RDWR | os.O_NOCTTY)
        except BaseException:
            self._end()
            raise
        tty.setraw(fd)
        super().__init__(fd, name)

    def close(self) -> None:
        super().close()
        self._end()

    def _terminal(self, board: Board) -> str:
        said, until = b"", time.monotonic() + START_S
        out = self.process.stdout
        while time.monotonic() < until and select.select([out], [], [], until - time.monotonic())[0]:
            piece = os.read(out.fileno(), 4096)
            said += piece
            if found := TERMINAL.search(said):
                return found[1].decode()
            if not piece:
                break
        words = said.decode(errors="replace").strip().splitlines()
        raise DeviceError(
            f"{board.name}: the emulator did not start{': ' + words[-1] if words else ''}.",
            f"Run it by hand: {' '.join(board.emulator)}.",
        )

    def _end(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdout.close()
