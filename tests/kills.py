# SPDX-License-Identifier: Apache-2.0
"""A command that is killed in the middle of what it writes, and runs again."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

#: What the interpreter tells of before it touches the disk.
EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "shutil.copyfile")


def writes(work: Callable[[], object], folder: Path, stop: int | None = None) -> int:
    """Run ``work`` in a process of its own; how many times it touched ``folder``. Before it does so for the
    time ``stop``, counted from 0, it ends as by SIGKILL.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        _child(work, str(folder), stop, write)
    os.close(write)
    with open(read, "rb") as told:
        count = len(told.read())
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (0 if stop is None else 9)
    return count


def _child(work: Callable[[], object], folder: str, stop: int | None, told: int) -> None:
    count = 0

    def hear(event: str, arguments: tuple) -> None:
        nonlocal count
        if event not in EVENTS or not any(str(a).startswith(folder) for a in arguments[:2]):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if count == stop:
            os._exit(9)
        count += 1
        os.write(told, b".")

    sys.addaudithook(hear)
    try:
        work()
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    os._exit(0)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
