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

from bitmar_tiny.simulate import simulate_gemv
from bitmar_tiny.simulate.decode import assemble
from bitmar_tiny.simulate.xtensa import BASE

COMPILER = "xtensa-lx106-elf-gcc"
#: What a caller of a windowless function keeps there: a12 to a15 belong to the caller.
KEPT = (12, 13, 14, 15)


@pytest.fixture(scope="module")
def portable(tmp_path_factory):
    if not shutil.which(COMPILER):
        pytest.skip(f"{COMPILER} is missing (apt-get install gcc-xtensa-lx106)")
    out = tmp_path_factory.mktemp("portable") / "portable.s"
    subprocess.run(
        [
            COMPILER,
            "-std=c99",
            "-O2",
            "-S",
            f"-I{KERNELS.parent / 'runtime' / 'model'}",
            str(KERNELS / "portable" / "bm_kernels.c"),
            "-o",
            str(out),
        ],
        check=True,
    )
    library = "memset:\nmemcpy:\nret.n\n"  # other functions of the file call them; the product does not
    return assemble(out.read_text() + library, BASE, "portable.s", relax=True)


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
