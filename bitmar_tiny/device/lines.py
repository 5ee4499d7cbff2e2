# SPDX-License-Identifier: Apache-2.0
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
import time
import tty
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import DeviceError
from .ports import check, explain

POLL_S = 0.005  # a port in the network is asked so often
GONE = (
    errno.EPIPE,
    errno.EIO,
    errno.ENXIO,
    errno.ENODEV,
    errno.EBADF,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.ETIMEDOUT,
)
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
    """A file descriptor of a terminal. ``DeviceError`` when its other end is gone. ``out``: where another one
    is written to.
    """

    def __init__(self, fd: int, name: str, out: int | None = None) -> None:
        self.fd, self.name, self.out = fd, name, fd if out is None else out
        for each in (self.fd, self.out):
            os.set_blocking(each, False)

    def read(self, wait_s: float, writable: bool = False) -> bytes:
        try:
            readable, _, _ = select.select([self.fd], [self.out] if writable else [], [], wait_s)
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
            return os.write(self.out, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._gone(error) from None

    def unsent(self) -> int:
        try:
            return struct.unpack("i", fcntl.ioctl(self.out, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
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
    """A serial port. Its control lines stay quiet, so that boards reset by them do not restart."""

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


def _open_url(url: str, **settings):
    """A port in the network; ``DeviceError`` if it cannot be opened."""
    import serial

    try:
        return serial.serial_for_url(url, **settings)
    except (ValueError, TypeError, OSError) as error:  # TypeError: pyserial compares a port that is missing
        raise DeviceError(
            f"{url}: cannot be opened: {error}.",
            "Check the address, HOST:PORT, and that the other end listens.",
        ) from None


class SocketLine(FdLine):
    """``socket://HOST:PORT``: bytes over TCP, as a terminal server or ``ser2net`` in raw mode passes them."""

    def __init__(self, url: str) -> None:
        self.serial = _open_url(url)
        super().__init__(self.serial.fileno(), url)

    def close(self) -> None:
        self.serial.close()
        self.fd = -1


class Rfc2217Line:
    """``rfc2217://HOST:PORT``: a serial port in the network with its speed and its control lines."""

    def __init__(self, url: str, baud: int) -> None:
        self.name, self.serial = url, _open_url(url, baudrate=baud, timeout=POLL_S)

    @property
    def baud(self) -> int:
        return self.serial.baudrate

    def read(self, wait_s: float, writable: bool = False) -> bytes:
        until, data = time.monotonic() + (0 if writable else wait_s), b""
        while not data:
            data = self._call(lambda: self.serial.read(max(1, self.serial.in_waiting)))
            if time.monotonic() >= until:
                break
        return data

    def write(self, data: bytes) -> int:
        self._call(lambda: self.serial.write(data))
        return len(data)

    def unsent(self) -> int:
        return 0

    def set_baud(self, baud: int) -> None:
        """Another speed, once all is sent."""
        self._call(lambda: setattr(self.serial, "baudrate", baud))

    def set_control(self, *, dtr: bool, rts: bool) -> None:
        self.serial.dtr, self.serial.rts = dtr, rts

    def close(self) -> None:
        self.serial.close()

    def _call(self, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except (OSError, ValueError) as error:
            raise DeviceError(
                f"{self.name}: the connection was lost in the middle: {error}.",
                "See that the other end still runs, and run the command again.",
            ) from None


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


class ProgramLine(FdLine):
    """A program that is spoken to over its standard input and output; it ends with the line."""

    def __init__(self, command: list[str], name: str) -> None:
        self._command = command
        self._start()
        super().__init__(self.fd, name, self.out)

    def _start(self) -> None:
        self.process = subprocess.Popen(
            self._command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        self.fd, self.out = self.process.stdout.fileno(), self.process.stdin.fileno()
        for fd in (self.fd, self.out):
            os.set_blocking(fd, False)

    def restart(self) -> None:
        """Power off and on."""
        self._end()
        self._start()

    def close(self) -> None:
        if self.fd >= 0:
            self._end()
            self.fd = self.out = -1

    def _end(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(END_S)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()

    def _gone(self, error: Exception | None) -> DeviceError:
        if self.fd < 0:
            return super()._gone(error)
        try:
            status = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            return super()._gone(error)
        words = self.process.stderr.read().decode(errors="replace").strip().splitlines()
        return DeviceError(
            f"{self.name}: the program ended with status {status}{': ' + words[-1] if words else ''}.",
            "Run 'bitmar-tiny doctor' if that is no fault of the model.",
        )
