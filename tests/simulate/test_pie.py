# SPDX-License-Identifier: Apache-2.0
"""The assembly of kernel family `pie`, run in the simulator: equal to NumPy, to its twin in C lane by lane,
and how fast it is estimated to be. ``BITMAR_SIM_CASES`` sets the number of random cases (default 1000; 10000:
about 2 min).
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from simulate.pie_support import Case, ask, build_twin, product, vectors
from test_kernels import MAX_SLOTS, all_cases, extremes, gemv_cases

from bitmar_tiny.codegen.pack import pack
from bitmar_tiny.simulate import simulate_dots, simulate_gemv, simulate_probe, simulate_wsum16

SHAPES = [
    (128, 128),
    (512, 128),
    (128, 512),
    (1, 64),
    (17, 96),
    (33, 100),
    (5, 4),
    *((16, k) for k in range(64, 769, 64)),
    (31, 1500),
]
RANDOM_CASES = int(os.environ.get("BITMAR_SIM_CASES", 1000))


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    return build_twin(tmp_path_factory.mktemp("twin"))


@pytest.mark.parametrize("n, k", SHAPES)
def test_products_equal_numpy_without_saturation(n, k):
    rng = np.random.default_rng(n * 10007 + k)
    for name, trits, x in vectors(rng, n, k):
        if n > 33 and name not in ("random", "all +1, x = 127", "all -1, x = -127"):
            continue
        run = simulate_gemv(trits, x)
        assert np.array_equal(run.values, product(trits, x)), name
        assert run.flags == (), name


def test_random_products():
    rng = np.random.default_rng(20)
    for case in range(RANDOM_CASES):
        n, k = int(rng.integers(1, 49)), int(rng.integers(1, 769))
        x = rng.integers(-127, 128, k).astype(np.int8)
        trits = rng.choice(np.array([-1, 0, 1], np.int8), (n, k), p=rng.dirichlet([1, 1, 1]))
        run = simulate_gemv(trits, x)
        assert np.array_equal(run.values, product(trits, x)), f"case {case}: {n} x {k}"
        assert run.flags == ()


def test_dot_products():
    rng = np.random.default_rng(21)
    for n in (1, 2, 7, 260):
        for vectors_, stride in (
            (1, 128),
            (2, 128),
            (2, 32),
            (3, 64),
            (4, 64),
            (8, 128),
            (9, 192),
            (32, 512),
        ):
            length = 16 * vectors_
            q = rng.integers(-127, 128, length).astype(np.int8)
            a = rng.integers(-127, 128, (n, length)).astype(np.int8)
            for rows, vector in ((a, q), (np.full_like(a, 127), np.full_like(q, -127))):
                run = simulate_dots(rows, vector, stride)
                assert np.array_equal(run.values, product(rows, vector)), f"{n} x {length}, stride {stride}"
                assert run.flags == ()
            if n * length > 20000:
                break


@pytest.mark.parametrize("skew", (0, 4, 8, 12))
def test_weighted_sums(skew):
    rng = np.random.default_rng(22 + skew)
    for n in (1, 2, 3, 4, 5, 8, 13, 64):
        v = rng.integers(-127, 128, (n, 16)).astype(np.int8)
        for w in (rng.integers(0, 16385, n), np.full(n, 16384), np.zeros(n)):
            run = simulate_wsum16(w.astype(np.int32), v, 128, skew)
            assert np.array_equal(run.values, w.astype(np.int64) @ v), f"{n} rows"
            assert run.flags == ()


@pytest.mark.parametrize("value", (127, -127))
def test_weighted_sums_at_their_bound(value):
    run = simulate_wsum16(np.full(MAX_SLOTS, 16384, np.int32), np.full((MAX_SLOTS, 16), value, np.int8), 16)
    assert np.all(run.values == MAX_SLOTS * 16384 * value) and run.flags == ()


def test_probe_finds_the_write_back():
    assert simulate_probe() == 4


def test_twin_and_the_c_around_it_pass_the_table_of_every_family(twin):
    from firmware.build import check

    cases = [*all_cases("pie")]
    for n, k in ((16, 64), (33, 100), (31, 768)):
        for case in gemv_cases("pie", n, k, extremes):
            case.u += (0,) * (3 - len(case.u)) + (1,)  # w misaligned: the plain path
            cases.append(case)
    check(twin, cases)


@pytest.mark.parametrize("blocks", (1, 2, 5, 8))
def test_every_lane_equals_the_twin_after_every_plane(twin, blocks):
    rng = np.random.default_rng(blocks)
    for name, trits, x in vectors(rng, 16, 64 * blocks):
        seen = []

        def watch(machine, ins, seen=seen):
            if (
                ins.name in ("ee.srcmb.s8.qacc", "rur.qacc_l_0")
                or ins.name == "addi"
                and ins.operands == (12, 9, 48)
            ):
                seen.append(list(machine.lanes(20)))

        simulate_gemv(trits, x, watch)
        states = np.zeros(64, np.int32)
        packed = np.frombuffer(pack(trits, "pie"), np.uint8)
        _, _, (lanes,) = ask(
            twin, Case("chunk", "chunk", (blocks,), arrays=(packed, x, states), want={2: states})
        )
        assert np.array_equal(np.array(seen).reshape(-1), np.frombuffer(lanes, "<i4")), name


@pytest.mark.parametrize("n, k, least", [(128, 128, 4.5), (512, 128, 4.5), (384, 128, 4.5), (128, 512, 6.0)])
def test_estimated_weights_per_cycle(n, k, least):
    rng = np.random.default_rng(5)
    _, trits, x = next(vectors(rng, n, k))
    run = simulate_gemv(trits, x)
    assert n * k / run.cycles >= least
    assert run.stalls == 0
