# SPDX-License-Identifier: Apache-2.0
"""Cycle counts for processors that are not at hand: inner loops by llvm-mca, the kernels of the ESP32-S3 and
of a Cortex-M0+ by our own simulators.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import BASE_FLAGS, find_compiler
from bitmar_tiny.codegen.kernels import KernelFamily, StaticReport, families
from bitmar_tiny.codegen.resources import resource_dir

from ..errors import ToolError
from ..simulate import cortex_m0
from ..simulate.kernels import simulate_five, simulate_gemv

ITERATIONS = 200
TIMEOUT_S = 120
#: Of the products that are run as a whole.
SHAPES = ((128, 128), (512, 128), (128, 512))


@dataclass(frozen=True)
class Cycles:
    """Simulated cycles in which ``weights`` ternary weights are used: a pass of an inner loop, or a whole
    product.
    """

    family: str
    cpu: str
    compiler: str
    weights: int
    cycles: float
    instructions: int
    label: str = "simulated"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"weights_per_cycle": self.weights / self.cycles}


def mca_tool() -> str | None:
    """The newest llvm-mca on PATH."""
    return next(
        (t for t in ("llvm-mca", *(f"llvm-mca-{v}" for v in range(20, 12, -1))) if shutil.which(t)), None
    )


def check_tools() -> None:
    """``ToolError`` where llvm-mca or a compiler is missing."""
    if mca_tool() is None:
        raise ToolError("llvm-mca was not found, which --static needs.", "Install it: apt-get install llvm.")
    for board in {cortex_m0.BOARD, *(f.static.board for f in families().values() if f.static)}:
        find_compiler(load_board(board))


def simulate() -> list[Cycles]:
    """Cycles of the inner loop of every kernel family that describes one. ``ToolError`` where llvm-mca or a
    compiler is missing.
    """
    check_tools()
    tool = mca_tool()
    return [_simulate(tool, family, family.static) for family in families().values() if family.static]


def estimate_pie() -> list[Cycles]:
    """The assembly of the family ``pie``, instruction by instruction (``bitmar_tiny.simulate``); cycles are
    estimated.
    """
    found = []
    heads = [("pie, 1.6 bits", simulate_five, 128, 128)]
    for what, simulate, n, k in (*(("pie", simulate_gemv, *shape) for shape in SHAPES), *heads):
        run = simulate(np.ones((n, k), np.int8), np.ones(k, np.int8))
        found.append(
            Cycles(
                f"{what}, {n}x{k}",
                "ESP32-S3",
                "by hand",
                n * k,
                float(run.cycles),
                run.instructions,
                "estimated",
            )
        )
    return found


def count_m0() -> list[Cycles]:
    """Whole products on a Cortex-M0+, instruction by instruction (``bitmar_tiny.simulate.cortex_m0``), of
    ``portable`` with few rows, since each takes as long as another. ``ToolError`` without the compiler.
    """
    compiler, _ = find_compiler(load_board(cortex_m0.BOARD))
    found = []
    for family, n, k in (*(("m0", *shape) for shape in SHAPES), ("portable", 8, 128)):
        run = cortex_m0.gemv(family, np.ones((n, k), np.int8), np.ones(k, np.int8))
        found.append(
            Cycles(
                f"{family}, {n}x{k}",
                "Cortex-M0+",
                f"{compiler} -O3",
                n * k,
                float(run.cycles),
                run.instructions,
            )
        )
    return found


def _simulate(tool: str, family: KernelFamily, report: StaticReport) -> Cycles:
    board = load_board(report.board)
    name, compiler = find_compiler(board)
    templates = resource_dir("firmware_templates")
    listing = _run(
        [
            *compiler.argv,
            *BASE_FLAGS,
            "-O2",
            *compiler.flags,
            *board.family_flags(family.name, name),
            f"-I{templates / 'runtime' / 'model'}",
            f"-I{templates / 'kernels'}",
            "-S",
            "-o",
            "-",
            str(family.source),
        ]
    )
    loop = inner_loop(listing, "bm_gemv_t2s8", report.instruction)
    said = _run(
        [tool, f"-mtriple={report.triple}", f"-mcpu={report.cpu}", f"-iterations={ITERATIONS}"],
        "\n".join(loop) + "\n",
    )
    cycles = int(re.search(r"Total Cycles:\s+(\d+)", said)[1]) / ITERATIONS
    return Cycles(family.name, report.cpu, f"{name} -O2", report.weights, cycles, len(loop))


def inner_loop(listing: str, function: str, multiply: str) -> list[str]:
    """Instructions of the loop of ``function`` that multiplies most, without its label. ``ToolError`` if
    there is none.
    """
    body = re.search(rf"^{re.escape(function)}:\n(.*?)^\s*\.size", listing, re.M | re.S)
    lines = [line.strip() for line in body[1].splitlines()] if body else []
    at = {line[:-1]: i for i, line in enumerate(lines) if re.match(r"^[.\w]+:$", line)}
    best: list[str] = []
    for i, line in enumerate(lines):
        target = re.match(r"^(?:b\.?\w+|cbnz|cbz)\s+(?:\w+,\s*)*([.\w]+)$", line)
        if target and at.get(target[1], i) < i:
            loop = [
                x
                for x in lines[at[target[1]] + 1 : i + 1]
                if x and not x.startswith((".", "//", "#", "@")) and x[-1] != ":"
            ]
            dense = sum(x.startswith(multiply) for x in loop) / len(loop)
            if dense and (not best or dense > sum(x.startswith(multiply) for x in best) / len(best)):
                best = loop
    if not best:
        raise ToolError(f"{function}: no loop with {multiply} was found in the compiler's listing.")
    return best


def _run(command: list[str], text: str | None = None) -> str:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{Path(command[0]).name} gave no answer for {TIMEOUT_S} s.") from None
    if done.returncode:
        raise ToolError(f"{Path(command[0]).name} failed: {(done.stderr.splitlines() or ['no message'])[0]}")
    return done.stdout
