# SPDX-License-Identifier: Apache-2.0
"""The portable C kernel, compiled for an Xtensa core and run in the same simulator: a check of the base
instructions, and of how many instructions the vectors save. The compiler is that of the ESP8266, which has no
SEXT and no zero-overhead loops: with them the inner loop would have 26 instructions for four weights instead
of 31.
"""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from simulate.pie_support import KERNELS, product, vectors
from test_gemv_t5 import table

from bitmar_tiny.codegen.pack import pack5
from bitmar_tiny.simulate import simulate_five, simulate_gemv
from bitmar_tiny.simulate.decode import assemble
from bitmar_tiny.simulate.isa import Program
from bitmar_tiny.simulate.machine import Machine
from bitmar_tiny.simulate.memory import Memory
from bitmar_tiny.simulate.xtensa import BASE

COMPILER = "xtensa-lx106-elf-gcc"
#: What a caller of a windowless function keeps there: a12 to a15 belong to the caller.
KEPT = (12, 13, 14, 15)


MODEL = KERNELS.parent / "runtime" / "model"
#: A chip with a divider needs none of it; it is called once a product.
DIVISION = """__udivsi3:
mov.n a4, a2
movi.n a2, 0
j 2f
1: sub a4, a4, a3
addi.n a2, a2, 1
2: bgeu a4, a3, 1b
ret.n
"""


def compiled(source, out, library: str) -> Program:
    """A C file as the compiler makes it for what runs once per token."""
    if not shutil.which(COMPILER):
        pytest.skip(f"{COMPILER} is missing (apt-get install gcc-xtensa-lx106)")
    command = [COMPILER, "-std=c99", "-O2", "-S", f"-I{MODEL}", f"-I{KERNELS}", str(source), "-o", str(out)]
    subprocess.run(command, check=True)
    return assemble(out.read_text() + library, BASE, out.name, relax=True)


@pytest.fixture(scope="module")
def portable(tmp_path_factory):
    out = tmp_path_factory.mktemp("portable") / "portable.s"
    library = "memset:\nmemcpy:\nret.n\n"  # other functions of the file call them; the product does not
    return compiled(KERNELS / "portable" / "bm_kernels.c", out, library)


@pytest.mark.parametrize("n, k", [(1, 64), (3, 100), (16, 128), (8, 512), (2, 2112)])
def test_portable_c_in_the_simulator(portable, n, k):
    for name, trits, x in vectors(np.random.default_rng(k), n, k):
        run = simulate_gemv(trits, x, None, portable, "portable", "bm_gemv_t2s8", KEPT)
        assert np.array_equal(run.values, product(trits, x)), name


@pytest.mark.parametrize("n, k", [(128, 128), (16, 512)])
def test_eight_times_fewer_instructions_than_portable_c(portable, n, k):
    _, trits, x = next(vectors(np.random.default_rng(7), n, k))
    plain = simulate_gemv(trits, x, None, portable, "portable", "bm_gemv_t2s8", KEPT)
    assert plain.instructions >= 8 * simulate_gemv(trits, x).instructions


def look_up(program: Program, trits: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, int]:
    """The portable head of 1.6 bits, its table of sums given: the product, and its cycles."""
    (n, k), memory = trits.shape, Memory()
    sums = np.append(table(x).ravel(), np.zeros(13, np.int16))
    at = [memory.add("w", pack5(trits, "portable")), memory.add("table", sums.tobytes())]
    machine = Machine(memory)
    machine.prepare((*at, n, k, memory.add("y", bytes(4 * n), writable=True)), KEPT)
    machine.run(program, "bm_gemv_t5s8")
    return np.frombuffer(memory.data("y"), "<i4"), machine.pipeline.cycles


@pytest.mark.parametrize("n, k", [(64, 128), (64, 64), (16, 512)])
def test_half_the_cycles_of_looking_up_five_weights(tmp_path, n, k):
    """And of what a compiler for the chip could make of it at best: four instructions for five weights."""
    library = DIVISION + "__umodsi3:\nmemset:\nmemcpy:\nret.n\n"
    program = compiled(MODEL / "bm_gemv_t5.c", tmp_path / "five.s", library)
    _, trits, x = next(vectors(np.random.default_rng(8), n, k))
    values, cycles = look_up(program, trits, x)
    assert np.array_equal(values, product(trits, x))
    run = simulate_five(trits, x)
    assert min(cycles, n * k * 4 / 5) >= 2 * run.cycles, (cycles, run.cycles)
