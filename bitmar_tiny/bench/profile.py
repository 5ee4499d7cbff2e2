"""Where a generated program's time and memory go on this machine, beside what the plan predicted."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codegen.build import Program, build
from codegen.emit import Project

from ..errors import ToolError

PROFILE_TIMEOUT_S = 300


@dataclass(frozen=True)
class Profile:
    """What the program measured (``linux_bench.c``) and what the plan says. ``label``: measured, or simulated under an emulator."""

    project: Project
    label: str
    result: dict[str, Any]

    def rows(self) -> list[tuple[str, str, str]]:
        """What, predicted, measured: for people. An empty cell is not known."""
        memory, cost = self.result.get("memory", {}), self.project.memory
        arena = sum(self.project.plan.arenas.values())
        rows = [("memory for what changes", f"{arena / 1e3:,.0f} kB", f"{self.result['arena_bytes'] / 1e3:,.0f} kB"),
                ("process, without mapped files", "", f"{self.result['anonymous_kib'] * 1.024:,.0f} kB")]
        for step in self.result["step"]:
            found = [e for e in self.project.estimates if e.context == step["context"]]
            rows.append((f"one token, {step['context']} in the window", f"{found[0].ms * 1e3:,.1f} us" if found else "", f"{step['step_ns'] / 1e3:,.1f} us"))
            rows += [(f"  {name}", "", f"{ns / 1e3:,.1f} us") for name, ns in step.get("parts_ns", {}).items()]
        if memory:
            rows.append(("a read of the memory", _time(cost.read_ms), f"{memory['read_ns'] / 1e6:,.3f} ms"))
            rows.append(("  bytes", f"{cost.read_bytes / 1e3:,.0f} kB", ""))
        if "write_ns" in memory:
            spread = f"{cost.write_ms_least:,.0f} to {cost.write_ms_most:,.0f} ms" if cost.write_ms_least is not None else ""
            rows.append(("an episode's write", spread, f"{memory['write_ns'] / 1e6:,.3f} ms"))
            rows.append(("  bytes", f"{cost.write_least / 1e3:,.0f} to {cost.write_most / 1e3:,.0f} kB",
                         f"{memory['written_bytes'] / 1e3:,.0f} kB" if "written_bytes" in memory else ""))
        return rows

    def as_dict(self) -> dict[str, Any]:
        return {"schema": "bitmar-tiny/profile", "schema_version": 1, "label": self.label, "board": self.project.board.name,
                "kernels": self.project.family, "model_sha256": self.project.blob.digest, "measured": self.result,
                "predicted": {"arenas": self.project.plan.arenas, "memory": self.project.memory.as_dict(),
                              "estimates": [e.as_dict() for e in self.project.estimates]}}


def profile_here(project: Project) -> Profile:
    """Build the project for profiling and run it on this machine, or under the board's emulator. ``ToolError`` if it cannot."""
    return run_profile(project, build_profile(project))


def build_profile(project: Project) -> Program:
    """The project's program with the marks of a profile. ``ToolError`` if it cannot be built."""
    return build(project.path, project.board, project.family, extra=("-DBM_PROFILE",), out=project.path / "build" / "profile")


def run_profile(project: Project, program: Program, memory_on: bool = True) -> Profile:
    """Run it once; ``memory_on``: False leaves the memory unread. ``ToolError`` if it fails."""
    command = [*program.command, "profile", *(["--no-memory"] * (not memory_on))]
    if project.memory_store:
        copy = shutil.copyfile(project.memory_store, program.path.parent / project.memory_store.name)
        command += ["--store", str(copy)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROFILE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{project.board.name}: the profile did not end within {PROFILE_TIMEOUT_S} s.") from None
    if done.returncode:
        raise ToolError(f"{project.board.name}: {(done.stderr.strip().splitlines() or [f'ended with status {done.returncode}'])[0]}.")
    return Profile(project, "simulated" if program.runner else "measured", json.loads(done.stdout))


def _time(ms: float | None) -> str:
    return "" if ms is None else f"{ms:,.3f} ms"
