# SPDX-License-Identifier: Apache-2.0
"""A client that does what the published runner of MLPerf Tiny does with a board on a serial port.

After the behaviour of github.com/mlcommons/tiny at 1afd2c98, benchmark/runner: serial_device.py (how lines
are read, what ends an answer, the 5 s), device_under_test.py (commands, pieces of 31 bytes, 30 s for an
inference), script.py (what is taken from an answer), main.py (accuracy).
"""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path

import numpy as np
import serial

LINE_S, INFER_S = 30.0, 60.0
PIECE = 31


class Runner:
    def __init__(self, port: str, baud: int = 115200) -> None:
        self.serial = serial.Serial(
            port, baud, timeout=0.1, exclusive=True
        )  # numbers of pseudo terminals are soon used again

    def close(self) -> None:
        self.serial.close()

    def read_line(self, limit_s: float) -> str:
        """A line without its end; every other character is kept."""
        line, until = bytearray(), time.monotonic() + limit_s
        while time.monotonic() < until:
            byte = self.serial.read(1)
            if byte == b"\n":
                return line.decode()
            if byte not in (b"", b"\r", b"\0"):
                line += byte
        raise TimeoutError(f"no line after {limit_s} s; so far {bytes(line)}")

    def command(self, text: str, limit_s: float = LINE_S) -> list[str]:
        """Send a command; the lines up to the first that holds m-ready."""
        self.serial.write(text.encode() + b"%")
        lines = []
        while True:
            line = self.read_line(limit_s)
            if line:
                lines.append(line)
            if "m-ready" in line:
                return lines

    def identity(self) -> dict[str, str]:
        """name, profile, model."""
        found = {}
        for line in self.command("name") + self.command("profile"):
            match = re.match(r"^m-(?:(name)-dut|(model|profile))-\[([^]]+)]$", line)
            if match:
                found[match[1] or match[2]] = match[3]
        return found

    def load(self, data: bytes) -> list[str]:
        """Answer to the last piece."""
        lines = self.command(f"db load {len(data)}")
        for at in range(0, len(data), PIECE):
            lines = self.command("db " + data[at : at + PIECE].hex())
        return lines

    def infer(self, n: int, warmups: int) -> dict:
        """``results`` and, from the two time stamps, ``us``."""
        found: dict = {}
        lines = self.command(f"infer {n} {warmups}", INFER_S)
        for line in lines:
            if match := re.match(r"^m-results-\[([^]]+)\]$", line):
                found["results"] = [float(x) for x in match[1].split(",")]
            elif match := re.match(r"^m-lap-us-([0-9]+)$", line):
                found["end" if "start" in found else "start"] = int(match[1])
        assert {"start", "end", "results"} <= set(found), lines
        found["us"] = found["end"] - found["start"]
        return found

    def accuracy(self, folder: Path, labels: str) -> float:
        """Percent of the files of a data set whose most probable class is the right one."""
        right = []
        with open(folder / labels) as f:
            for name, classes, label in csv.reader(f):
                self.load((folder / name).read_bytes())
                results = self.infer(1, 0)["results"]
                assert len(results) == int(classes)
                right.append(int(np.argmax(np.array(results) / sum(results))) == int(label))
        return 100 * float(np.mean(right))
