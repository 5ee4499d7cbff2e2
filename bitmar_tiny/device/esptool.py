# SPDX-License-Identifier: Apache-2.0
"""esptool as a subprocess: every call has a time limit, its output goes to a log, and what went wrong becomes
a sentence.
"""

from __future__ import annotations

import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import DeviceError
from .lines import end_with_parent
from .ports import BusyError, patient
from .record import Playback, Record

CONNECT_S = 40.0  # reset, sync, upload of esptool's helper program
IDLE_S = 30.0  # without a line of output
CONNECT_ATTEMPTS = 3

BUSY = (
    r"Resource busy|Device or resource busy|Errno 16|Could not exclusively lock|Resource temporarily "
    r"unavailable",
    "another program uses the port",
    "Close the serial monitor; 'bitmar-tiny ports' names it.",
)

LOST = (
    r"chip stopped responding|serial exception error|Lost connection|device disconnected|Input/output error|"
    r"Errno 5\b|Write timeout|The chip stopped|No more data to read",
    "the connection was lost in the middle",
    "Check cable and power, then run the command again.",
)
#: What esptool prints -> what it means, and what to do. The first that matches counts.
WORDS: tuple[tuple[str, str, str], ...] = (
    (
        r"[Cc]ould not open (?:port )?\w+://",
        "the port in the network cannot be opened",
        "Check the address, HOST:PORT, and that the other end listens and serves nobody else.",
    ),
    (
        r"No such file or directory|could not open port .*FileNotFound|does(n't| not) exist.*\(\[Errno 2\]",
        "there is no such port",
        "Plug the board in; 'bitmar-tiny ports' shows what is there.",
    ),
    (r"Permission denied|Errno 13", "you may not use the port", "'bitmar-tiny ports' says what to do."),
    BUSY,
    (
        r"This chip is ([\w-]+), not ([\w-]+)",
        r"the chip is a {1}, the board profile is for a {2}",
        "Choose the board with --board.",
    ),
    LOST,
    (
        r"No serial data received|Wrong boot mode|Failed to connect|Invalid head of packet|Timed out "
        r"waiting for packet",
        "the chip does not answer as a boot loader",
        "Hold BOOT, press RESET, release BOOT, and run the command again; check that the cable carries data.",
    ),
    (
        r"MD5 of file does not match|Verification failed|digest mismatch|verify failed",
        "the flash does not hold what was written",
        "Run the command again at a lower speed, --baud 115200 for example; if it stays, the flash chip is "
        "worn or its supply weak.",
    ),
    (
        r"Image hash mismatch|does not fit|larger than|exceeds",
        "a piece does not fit the flash",
        "Check the flash size of the board profile.",
    ),
)
UNKNOWN = ("esptool failed", "Its own words are in the log.")


@dataclass(frozen=True)
class Port:
    """A serial port with a chip's boot loader on it; ``log`` collects what esptool prints. ``record``: it is
    written down, too; ``replay``: a record stands in place of the chip.
    """

    name: str
    chip: str
    baud: int
    log: Path
    reset: str = "default-reset"
    record: Record | None = None
    replay: Playback | None = None


def run(
    port: Port,
    arguments: list[str],
    limit_s: float,
    *,
    last: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> str:
    """Run one command of esptool and return its output. ``DeviceError`` in words; nothing is left running.

    ``limit_s``: seconds for the work itself. ``last``: start the program afterwards instead of staying in the
    boot loader. ``progress`` is told the share of a write that is done.
    """
    if port.replay:
        if port.replay.take("esptool") != arguments:
            raise port.replay.other()
        return port.replay.take("said")
    if not port.record:
        return _run(port, arguments, limit_s, last, progress)
    port.record.write({"esptool": arguments})
    return port.record.act("said", lambda: _run(port, arguments, limit_s, last, progress))


def _run(
    port: Port, arguments: list[str], limit_s: float, last: bool, progress: Callable[[float], None]
) -> str:
    return patient(lambda: _once(port, arguments, limit_s, last, progress))


def _once(
    port: Port, arguments: list[str], limit_s: float, last: bool, progress: Callable[[float], None]
) -> str:
    command = [
        sys.executable,
        "-m",
        "esptool",
        "--chip",
        port.chip,
        "--port",
        port.name,
        "--baud",
        str(port.baud),
        "--before",
        port.reset,
        "--after",
        "hard-reset" if last and port.reset != "no-reset" else "no-reset",
        "--connect-attempts",
        str(CONNECT_ATTEMPTS),
        *arguments,
    ]
    with open(port.log, "ab") as log:
        log.write(f"$ esptool {shlex.join(command[3:])}\n".encode())
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        try:
            text = _follow(process, log, CONNECT_S + limit_s, progress)
        finally:
            _end(process)
    if text is None:
        raise DeviceError(
            f"{port.name}: no answer for too long, esptool was stopped.",
            f"Unplug the board, plug it in and run the command again; the log is {port.log}.",
        )
    if process.returncode:
        raise words_for(text, port)
    return text


def _follow(process: subprocess.Popen, log, limit_s: float, progress: Callable[[float], None]) -> str | None:
    """Read the output to its end; None when the time is over or nothing came for ``IDLE_S``."""
    text, until, heard = "", time.monotonic() + limit_s, time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < until and time.monotonic() - heard < IDLE_S:
            if not selector.select(timeout=0.5):
                continue
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                process.wait(timeout=CONNECT_S)
                return text
            heard = time.monotonic()
            log.write(piece)
            text += piece.decode(errors="replace")
            shares = re.findall(r"([\d.]+)\s*%", text[-400:])
            if shares:
                progress(float(shares[-1]) / 100)
    return None


def _end(process: subprocess.Popen) -> None:
    """Stop esptool and whatever it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()


def words_for(text: str, port: Port) -> DeviceError:
    """The error that esptool's output stands for. A port that is gone was there when the command began
    (``ports.check``).
    """
    if port.name.startswith("/") and not Path(port.name).exists():
        return DeviceError(f"{port.name}: {LOST[1]}.", LOST[2])
    errors = text[max(text.lower().find("error"), 0) :]
    for pattern, meaning, hint in WORDS:
        found = re.search(pattern, errors)
        if found:
            for i, group in enumerate(found.groups(), 1):
                meaning = meaning.replace(f"{{{i}}}", group or "")
            kind = BusyError if pattern == BUSY[0] else DeviceError
            return kind(f"{port.name}: {meaning}.", hint.replace("PORT", port.name))
    return DeviceError(f"{port.name}: {UNKNOWN[0]}.", f"{UNKNOWN[1].removesuffix('.')}: {port.log}.")
