# SPDX-License-Identifier: Apache-2.0
"""The commands that a document shows, and running them as written.

A block of the language `sh` is commands. One of the language `console` is commands behind `$ ` and what they
print; a line that ends in `...` goes on with anything. A block behind the comment `<!-- stand-in -->` needs
what no test has, a board or an hour: its test says what runs in its place, or why nothing does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compilers import IN_CHILDREN

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^(<!-- stand-in -->\n)?```(sh|console)\n(.*?)^```$", re.M | re.S)
HEADING = re.compile(r"^#+ (.*)$", re.M)


@dataclass
class Command:
    """A line to type, the section that shows it, whether a test may replace it, and what it prints."""

    line: str
    section: str
    stand_in: bool
    prints: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class NotRun:
    """Why a line is not run, and nothing in its place."""

    why: str


class Shorter(str):
    """What runs in the place of a line that takes long, or of one behind it: it prints something else."""


Instead = Mapping[str, str | NotRun]


def commands(page: Path) -> list[Command]:
    """The commands of a page, in order."""
    text, found = page.read_text(), []
    for block in BLOCK.finditer(text):
        section = ([""] + HEADING.findall(text[: block.start()]))[-1]
        prompt = "$ " if block[2] == "console" else ""
        for line in block[3].splitlines():
            if line.startswith(prompt):
                typed = line.removeprefix(prompt).partition("  #")[0].rstrip()
                found.append(Command(typed, section, bool(block[1])))
            else:
                found[-1].prints.append(line)
    return found


def follow(
    page: Path, sections: Container[str] | None, instead: Instead, folder: Path, programs: Path
) -> None:
    """Type what these sections of a page show (None: all) in ``folder``, which has the examples. ``instead``:
    what runs in the place of a line.
    """
    shutil.copytree(ROOT / "examples", folder / "examples")
    for command in commands(page):
        if sections is None or command.section in sections:
            line = instead.get(command.line, command.line)
            if not isinstance(line, NotRun):
                run(command, line, folder, programs)


def unmarked(page: Path, instead: Instead) -> list[str]:
    """Lines that are replaced though no ``stand-in`` says so, or that the page does not even show."""
    shown = {c.line: c.stand_in for c in commands(page)}
    return [line for line in instead if not shown.get(line)]


def run(command: Command, line: str, folder: Path, programs: Path) -> str:
    """Run ``line`` for ``command`` in ``folder``, where ``programs`` come first; what it printed must be
    what the document says.
    """
    own = str(Path(sys.executable).parent)
    elsewhere = [p for p in os.environ["PATH"].split(os.pathsep) if p != own]
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=600,
        env={
            "PATH": os.pathsep.join([str(programs), *elsewhere]),
            "HOME": str(folder),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            "LC_ALL": "C.UTF-8",
            IN_CHILDREN: os.environ[IN_CHILDREN],
        },
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    if command.prints and not isinstance(line, Shorter):
        wanted = re.escape("\n".join(command.prints)).replace(r"\.\.\.\n", ".*\n") + "\n"
        assert re.fullmatch(wanted, done.stdout, re.S), f"{line}\nprinted: {done.stdout}"
    return done.stdout
