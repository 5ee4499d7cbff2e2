"""Lines of bytes to a board: a serial port, or a terminal with a program or an emulator at its other end."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import tty
from collections.abc import Callable
from typing import Protocol

from ..errors import DeviceError
from .ports import check, explain

GONE = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF)
END_S = 2.0  # for a program to end before it is killed


PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """In a child: the kernel kills it when its parent dies, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Line(Protocol):
    """What a link needs of a line."""

    name: str

    def read(self, wait_s: float, writable: bool = False) -> bytes:
        """What has arrived; waits at most so long for it, or, if ``writable``, until more can be written."""

    def write(self, data: bytes) -> int:
        """How many bytes were taken; never waits."""

    def unsent(self) -> int:
        """Bytes that were taken and have not left yet."""

    def close(self) -> None: ...


class FdLine:
    """A file descriptor of a terminal. ``DeviceError`` when its other end is gone."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd, self.name = fd, name
        os.set_blocking(fd, False)

    def read(self, wait_s: float, writable: bool = False) -> bytes:
        try:
            readable, _, _ = select.select([self.fd], [self.fd] if writable else [], [], wait_s)
            data = os.read(self.fd, 65536) if readable else b""
        except BlockingIOError:
            return b""
        except (OSError, ValueError) as error:
            raise self._gone(error) from None
        if readable and not data:
            raise self._gone(None)
        return data

    def write(self, data: bytes) -> int:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._gone(error) from None

    def unsent(self) -> int:
        try:
            return struct.unpack("i", fcntl.ioctl(self.fd, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        except OSError:  # the line does not tell
            return 0

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _gone(self, error: Exception | None) -> DeviceError:
        if error is None or getattr(error, "errno", None) in GONE:
            return DeviceError(
                f"{self.name}: the connection was lost in the middle.",
                "Plug the board in again, and run the command again.",
            )
        return DeviceError(
            f"{self.name}: the port failed: {error}.",
            "Unplug the board, plug it in, and run the command again.",
        )


class SerialLine(FdLine):
    """A serial port. Its control lines stay quiet, so that boards whose reset hangs on them do not restart."""

    def __init__(self, path: str, baud: int) -> None:
        import serial

        check(path)
        self.serial = serial.Serial()
        self.serial.port, self.serial.baudrate, self.serial.exclusive = path, baud, True
        self.serial.dtr = self.serial.rts = False
        try:
            self.serial.open()
        except ValueError:
            raise DeviceError(
                f"{path}: the port does not know {baud} baud.", "Choose another speed with --baud."
            ) from None
        except OSError as error:
            raise explain(path, error) from None
        super().__init__(self.serial.fileno(), path)

    @property
    def baud(self) -> int:
        return self.serial.baudrate

    def set_baud(self, baud: int) -> None:
        """Another speed, once all is sent."""
        self.serial.flush()
        self.serial.baudrate = baud

    def set_control(self, *, dtr: bool, rts: bool) -> None:
        self.serial.dtr, self.serial.rts = dtr, rts

    def close(self) -> None:
        self.serial.close()
        self.fd = -1


class PtyLine(FdLine):
    """A new terminal: whoever opens ``other`` is the board."""

    def __init__(self) -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        self.other = os.ttyname(slave)
        self._slave = slave  # kept open: a master whose slave nobody has open reads as gone
        super().__init__(master, f"pty:{self.other}")

    def close(self) -> None:
        super().close()
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1


class ProgramLine(PtyLine):
    """A program at the other end of a new terminal; it ends with the line. ``command`` gets the terminal's path."""

    def __init__(self, command: Callable[[str], list[str]], name: str) -> None:
        super().__init__()
        self.name, self._command = name, command
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            self._command(self.other),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )

    def read(self, wait_s: float, writable: bool = False) -> bytes:
        data = super().read(wait_s, writable)
        if not data and self.process.poll() is not None:
            words = self.process.stderr.read().decode(errors="replace").strip().splitlines()
            raise DeviceError(
                f"{self.name}: the program ended with status {self.process.returncode}{': ' + words[-1] if words else ''}.",
                "Run 'bitmar-tiny doctor' if that is no fault of the model.",
            )
        return data

    def restart(self) -> None:
        """Power off and on."""
        self._end()
        self._start()

    def close(self) -> None:
        self._end()
        super().close()

    def _end(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(END_S)
        self.process.stderr.close()
