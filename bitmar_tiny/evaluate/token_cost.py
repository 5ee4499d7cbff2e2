# SPDX-License-Identifier: Apache-2.0
"""What a token costs a generated program on this machine, with the memory and without."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from bitmar_tiny.codegen.build import Program, build
from bitmar_tiny.codegen.emit import Project

from ..errors import ToolError

PROFILE_TIMEOUT_S = 300


@dataclass(frozen=True)
class Profile:
    """What the program measured (``linux_bench.c``). ``label``: measured, or simulated under an emulator."""

    project: Project
    label: str
    result: dict[str, Any]


def build_profile(project: Project) -> Program:
    """The project's program with the marks of a profile. ``ToolError`` if it cannot be built."""
    return build(
        project.path,
        project.board,
        project.family,
        extra=("-DBM_PROFILE",),
        out=project.path / "build" / "profile",
    )


def run_profile(project: Project, program: Program, memory_on: bool = True) -> Profile:
    """Run it once; ``memory_on``: False leaves the memory unread. ``ToolError`` if it fails."""
    command = [*program.command, "profile", *(["--no-memory"] * (not memory_on))]
    if project.memory_store:
        copy = shutil.copyfile(project.memory_store, program.path.parent / project.memory_store.name)
        command += ["--store", str(copy)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROFILE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"{project.board.name}: the profile did not end within {PROFILE_TIMEOUT_S} s."
        ) from None
    if done.returncode:
        raise ToolError(
            f"{project.board.name}: "
            f"{(done.stderr.strip().splitlines() or [f'ended with status {done.returncode}'])[0]}."
        )
    return Profile(project, "simulated" if program.runner else "measured", json.loads(done.stdout))
