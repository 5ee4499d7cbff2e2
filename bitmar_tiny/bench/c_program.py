# SPDX-License-Identifier: Apache-2.0
"""A benchmark in C: compiled for this machine, and run for the JSON object that it prints."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import BASE_FLAGS, COMPILE_TIMEOUT_S, find_compiler

from ..errors import ToolError


def compiled(program: Path, sources: Sequence[Path], includes: Sequence[Path], what: str) -> Path:
    """``program``, compiled from ``sources``. ``what``: the benchmark, for a ``ToolError``."""
    _, compiler = find_compiler(load_board("host"))
    command = [
        *compiler.argv,
        *BASE_FLAGS,
        *compiler.flags,
        "-O2",
        *(f"-I{folder}" for folder in includes),
        *map(str, sources),
        "-o",
        str(program),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ToolError(f"Compiling {what} took longer than {COMPILE_TIMEOUT_S} s.") from None
    if done.returncode:
        raise ToolError(f"Compiling {what} failed: {_first(done)}")
    return program


def result(
    command: Sequence[str], timeout_s: int, what: str, fix: str, told: dict[int, ToolError]
) -> dict[str, Any]:
    """What the program prints. ``told``: what other exit statuses mean; ``fix``: if it takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{what} did not end within {timeout_s} s.", fix) from None
    if done.returncode in told:
        raise told[done.returncode]
    if done.returncode:
        raise ToolError(f"{what} failed: {_first(done)}.")
    return json.loads(done.stdout)


def within(most: int) -> Callable[[str], int]:
    """A number of 1 to ``most``."""

    def number(text: str) -> int:
        value = int(text)
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not in the range 1 to {most}")
        return value

    return number


def _first(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.splitlines() or ["no message"])[0]
