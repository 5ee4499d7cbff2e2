# SPDX-License-Identifier: Apache-2.0
"""Who uses a serial port, from /proc: looked at without opening it, since opening raises DTR and RTS, which
resets many boards.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Unix98 pseudo terminals (Linux, Documentation/admin-guide/devices.txt).
PTY_MAJORS = range(136, 144)
#: Where minicom and others leave their process number (Filesystem Hierarchy Standard, /var/lock).
LOCK_DIRS = ("/run/lock", "/var/lock", "/run/lock/lockdev")
_PIDFD_GETFD, _TIOCGEXCL = 438, 0x80045440  # the same on these machines
_KNOWN_NUMBERS = ("x86_64", "aarch64")
_COMMAND_CHARS = 60


@dataclass(frozen=True)
class Holder:
    """A process that uses a port. how: ``open``, ``exclusive`` (TIOCEXCL), ``locked`` (flock) or ``lock
    file``.
    """

    pid: int
    program: str
    how: str


def holders(path: str) -> tuple[list[Holder], int]:
    """The processes that use the port, and how many processes of other users could not be looked at.

    The program behind a pseudo terminal, an emulator for example, holds its other end and does not count; nor
    does this process, unless it has locked the port.
    """
    port, found, hidden = os.stat(path), {}, 0
    master = os.minor(port.st_rdev) + 256 * (os.major(port.st_rdev) - PTY_MAJORS[0]) if is_pty(port) else None
    locked = _flocks(port)
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            fds = list(_devices(pid))
        except PermissionError:
            hidden += 1
            fds = []
        except OSError:
            continue  # it has ended
        if master is not None and any(
            link.endswith("/ptmx") and _tty_index(pid, fd) == master for fd, link, _ in fds
        ):
            if pid not in locked:
                continue
        mine = [fd for fd, _, st in fds if _same(st, port)]
        if pid in locked:
            found[pid] = "locked"
        elif mine and pid != os.getpid():
            found[pid] = "exclusive" if _is_exclusive(pid, mine[0]) else "open"
    for pid in _lock_files(path):
        found.setdefault(pid, "lock file")
    return [Holder(pid, program(pid), how) for pid, how in found.items()], hidden


def is_pty(port: os.stat_result) -> bool:
    return os.major(port.st_rdev) in PTY_MAJORS


def program(pid: int) -> str:
    """A process's command, cut to a readable length."""
    try:
        command = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
        text = command or Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "a program that has just ended"
    return text if len(text) <= _COMMAND_CHARS else text[: _COMMAND_CHARS - 3] + "..."


def _devices(pid: int) -> Iterator[tuple[int, str, os.stat_result]]:
    """Open files of a process below /dev: number, name, what it is."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
            if link.startswith("/dev/"):
                yield int(fd), link, os.stat(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue  # closed since


def _same(st: os.stat_result, port: os.stat_result) -> bool:
    """The same device, maybe by another node; pseudo terminals are numbered in each /dev/pts anew."""
    return (
        stat.S_ISCHR(st.st_mode)
        and st.st_rdev == port.st_rdev
        and (st.st_dev == port.st_dev or not is_pty(port))
    )


def _tty_index(pid: int, fd: int) -> int | None:
    try:
        found = re.search(r"^tty-index:\s*(\d+)", Path(f"/proc/{pid}/fdinfo/{fd}").read_text(), re.M)
    except OSError:
        return None
    return int(found[1]) if found else None


def _flocks(port: os.stat_result) -> set[int]:
    """Processes that have locked the port's node, as pyserial and esptool do."""
    node = f"{os.major(port.st_dev):02x}:{os.minor(port.st_dev):02x}:{port.st_ino}"
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return set()
    fields = [line.split() for line in lines if f" {node} " in line and "->" not in line]
    return {int(f[4]) for f in fields if int(f[4]) > 0}


def _lock_files(path: str) -> set[int]:
    """Processes, still alive, that a lock file names: as text, or as an int of the machine."""
    name, pids = Path(path).resolve().name, set()
    for folder in LOCK_DIRS:
        try:
            data = Path(folder, f"LCK..{name}").read_bytes()
            pid = struct.unpack("=i", data)[0] if len(data) == 4 else int(data.split()[0])
        except (OSError, ValueError, IndexError):
            continue
        if os.path.isdir(f"/proc/{pid}"):
            pids.add(pid)
    return pids


def _is_exclusive(pid: int, fd: int) -> bool:
    """Whether the process keeps others from opening the port; False, too, where it may not be looked into
    that deep.
    """
    if platform.machine() not in _KNOWN_NUMBERS or not hasattr(os, "pidfd_open"):
        return False
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return False
    copy = ctypes.CDLL(None).syscall(_PIDFD_GETFD, process, fd, 0)
    os.close(process)
    if copy < 0:
        return False
    try:
        return struct.unpack("i", fcntl.ioctl(copy, _TIOCGEXCL, bytes(4)))[0] == 1
    except OSError:
        return False
    finally:
        os.close(copy)
