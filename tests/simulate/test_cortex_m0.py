# SPDX-License-Identifier: Apache-2.0
"""Kernels for a Cortex-M0+ in a simulator of it: exact, no word that is not aligned, and far fewer cycles
than plain C takes there. ``test_kernels.py`` has every shape and extreme.
"""

from __future__ import annotations

import numpy as np
import pytest
from simulate.pie_support import product, vectors

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import find_compiler
from bitmar_tiny.errors import ToolError
from bitmar_tiny.simulate import Trap, cortex_m0
from bitmar_tiny.simulate.memory import Memory
from bitmar_tiny.simulate.thumb import ENCODINGS, Core


@pytest.fixture(autouse=True)
def compiler():
    try:
        find_compiler(load_board(cortex_m0.BOARD))
    except ToolError as error:
        pytest.skip(str(error))


def codes(rng, *shape) -> np.ndarray:
    return rng.integers(-127, 128, shape).astype(np.int8)


@pytest.mark.parametrize("n, k", [(1, 64), (3, 100), (4, 4), (7, 192)])
def test_products_are_exact(n, k):
    for name, trits, x in vectors(np.random.default_rng(k), n, k):
        assert np.array_equal(cortex_m0.gemv("m0", trits, x).values, product(trits, x)), name


@pytest.mark.parametrize(
    "n, length, stride", [(1, 1, 64), (6, 7, 64), (5, 24, 30), (9, 13, 65), (8, 32, 128)]
)
def test_products_of_attention_are_exact(n, length, stride):
    rng = np.random.default_rng(n)
    a, q, w = codes(rng, n, length), codes(rng, length), rng.integers(0, 16385, n).astype(np.int32)
    assert np.array_equal(cortex_m0.dots("m0", a, q, stride).values, a.astype(int) @ q)
    assert np.array_equal(cortex_m0.wsum("m0", w, a, stride).values, w @ a.astype(int))


def test_seven_times_fewer_cycles_than_portable_c():
    """At the width of the paper's products, tables included; attention's gain less."""
    rng = np.random.default_rng(7)
    trits, x = rng.integers(-1, 2, (128, 128)).astype(np.int8), codes(rng, 128)
    plain = cortex_m0.gemv("portable", trits[:4], x)
    assert np.array_equal(plain.values, product(trits[:4], x))
    assert plain.cycles * 32 >= 7 * cortex_m0.gemv("m0", trits, x).cycles
    a, w = codes(rng, 16, 32), rng.integers(0, 16385, 16).astype(np.int32)
    for function, first, second, gain in ((cortex_m0.dots, a, x[:32], 4), (cortex_m0.wsum, w, a, 1.7)):
        plain, own = (function(family, first, second, 128) for family in ("portable", "m0"))
        assert np.array_equal(plain.values, own.values) and plain.cycles >= gain * own.cycles


def run(*halves: int) -> Core:
    """A function of these instructions, with the address of four bytes in r0."""
    memory = Memory()
    code = memory.add("code", np.array([*halves, 0x4770], "<u2").tobytes())  # bx lr
    core = Core(memory)
    core.call(code, [memory.add("bytes", b"abcd", writable=True)])
    return core


def test_cycles_are_those_of_the_manual():
    assert run().cycles == 2  # bx lr
    assert run(0x6801).cycles == 4  # ldr r1, [r0]
    assert run(0xB5F0, 0xBDF0).cycles == 6 + 8  # push {r4-r7, lr}; pop {r4-r7, pc}
    assert run(0x2803, 0xD0FF, 0x4341).cycles == 5  # cmp r0, #3; beq, not taken; muls r1, r0, r1
    assert run(0xE7FF).cycles == 4  # b to the next


@pytest.mark.parametrize(
    "half, says",
    [
        (0x6841, "outside declared memory"),  # ldr r1, [r0, #4]
        (0xDE00, "undefined instruction"),
        (0xB672, "no instruction that is known here"),  # cpsid i
        (0x2401, "its caller's registers"),  # movs r4, #1
    ],
)
def test_what_a_chip_would_fault_for_traps(half, says):
    with pytest.raises(Trap, match=says):
        run(half)


def test_a_word_that_is_not_aligned_traps():
    with pytest.raises(Trap, match="misaligned"):
        run(0x3001, 0x6801)  # adds r0, #1; ldr r1, [r0]
    assert run(0x3001, 0x7801).r[1] == ord("b")  # ldrb


def test_every_encoding_has_one_handler():
    """Of all halfwords: what two patterns claim would be executed as the first."""
    for half in range(0, 1 << 16, 7):
        handlers = {f for mask, value, f in ENCODINGS if half & mask == value}
        assert len(handlers) <= 1, hex(half)
