# SPDX-License-Identifier: Apache-2.0
"""Kernel family ``rvv`` at every length of vectors, how many instructions it saves (simulated: QEMU executes
one at a time and writes each down), and a processor without vectors. ``test_kernels.py`` runs 256 bits.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from firmware.build import KERNELS, RUN_TIMEOUT_S, Case, check, compile
from support import need
from test_kernels import DRIVER, all_cases, codes, gemv_cases, output

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.run.firmware import ProgramSession
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import standard

BOARD, COMPILER = "bpi-f3", "zig"
#: The functions of bm_kernels.h and what may be left of a family's own.
COUNTED = re.compile(
    rb" (bm_gemv_t2s8|bm_dots_s8|bm_wsum_s8|bm_dot_s8|add_block|add_products|add_row|total|dot)$", re.M
)


def with_vectors(command: list[str], bits: int) -> list[str]:
    """The command of the emulator with vectors of so many bits; 0: without any."""
    cpu = f"rv64,v=true,vext_spec=v1.0,vlen={bits}" if bits else "rv64"
    at = command.index("-cpu") + 1
    return [*command[:at], cpu, *command[at + 1 :]]


def driver(folder, family: str) -> list[str]:
    """Compiled as what runs once per token is."""
    return compile(
        [DRIVER, KERNELS / family / "bm_kernels.c"], ["-O3"], folder / family, f"{BOARD}/{COMPILER}"
    )


@pytest.mark.parametrize("bits", [128, 512, 1024])
def test_exact_whatever_the_length_of_vectors(tmp_path, bits):
    check(with_vectors(driver(tmp_path, "rvv"), bits), all_cases("rvv"))


@pytest.mark.parametrize("bits", [128])
def test_a_whole_model_with_short_vectors(odd, tmp_path, bits):
    need(BOARD, COMPILER)
    board = load_board(BOARD)
    project = emit(odd, board, tmp_path / "p", "rvv", "1.6")
    program = build(project.path, board, "rvv", compiler=COMPILER, taps=True)
    program = replace(program, runner=with_vectors(program.runner, bits))
    with ProgramSession(program, board, f"{BOARD}, {bits} bits") as session:
        verdict = verify(odd, session, standard(odd.config, 40), project.sources)
    assert verdict.exact, verdict.difference.sentence()


def test_a_processor_without_vectors(tiny, tmp_path):
    """One sentence, never an illegal instruction."""
    need(BOARD, COMPILER)
    board = load_board(BOARD)
    program = build(emit(tiny, board, tmp_path / "p", "rvv").path, board, "rvv", compiler=COMPILER)
    done = subprocess.run(
        [*with_vectors(program.command, 0), "generate", "--ids", "--threads", "2"],
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    assert done.returncode == 3 and "lacks the instructions" in done.stderr, done.stderr


def first(family: str, n: int, k: int) -> Case:
    """A product of random weights."""
    return gemv_cases(family, n, k, lambda rng, k: [("random", None, codes(rng, k))])[0]


def attention(n: int, length: int) -> list[Case]:
    """Scores, and weighted values."""
    rng = np.random.default_rng(n)
    a, q, w = codes(rng, n * length), codes(rng, length), rng.integers(0, 16385, n).astype(np.int32)
    rows = a.reshape(n, length).astype(np.int64)
    return [
        Case(
            "dots",
            "dots_s8",
            (length, n, length),
            arrays=(a, q, output(n)),
            want={2: (rows @ q).astype(np.int32)},
        ),
        Case(
            "wsum",
            "wsum_s8",
            (length, n, length),
            arrays=(w, a, output(length)),
            want={2: (w @ rows).astype(np.int32)},
        ),
    ]


def instructions(command: list[str], case: Case, trace) -> int:
    """Executed in the kernel by one call."""
    options = ["-singlestep", "-d", "exec,nochain", "-D", str(trace)]
    check([*command[:-1], *options, command[-1]], [case])
    return len(COUNTED.findall(trace.read_bytes()))


@pytest.mark.parametrize("what", ["gemv 128x128", "gemv 16x512", "gemv 32x2048", "dots", "wsum"])
def test_six_times_fewer_instructions_than_portable_c(tmp_path, what):
    """At the shortest vectors that there are, 128 bits."""
    counts = {}
    for family in ("portable", "rvv"):
        name, _, shape = what.partition(" ")
        case = first(family, *map(int, shape.split("x"))) if shape else attention(64, 32)[name == "wsum"]
        command = with_vectors(driver(tmp_path, family), 128)
        counts[family] = instructions(command, case, tmp_path / f"{family}.trace")
    assert counts["portable"] >= 6 * counts["rvv"] > 0, counts
