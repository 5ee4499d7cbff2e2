# SPDX-License-Identifier: Apache-2.0
"""The assembly of kernel family `pie`, run in the simulator: equal to NumPy, to its twin in C lane by lane,
and how fast it is estimated to be. ``BITMAR_SIM_CASES`` sets the number of random cases (default 1000; 10000:
about 2 min).
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from simulate.pie_support import FIRMWARE, FLAGS, Case, ask, build_twin, product, vectors
from support import need
from test_kernels import MAX_SLOTS, all_cases, extremes, gemv_cases, output, up

from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.pack import pack, pack5, pack_skip, table5_bytes
from bitmar_tiny.run.firmware import ProgramSession
from bitmar_tiny.simulate import (
    simulate_dots,
    simulate_five,
    simulate_gemv,
    simulate_probe,
    simulate_skip,
    simulate_wsum16,
)
from bitmar_tiny.simulate.kernels import five_vectors
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import standard

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


FIVE_SHAPES = [
    (128, 128),
    (1, 1),
    (17, 96),
    (33, 100),
    (5, 4),
    *((16, k) for k in range(5, 81, 5)),
    (16, 2064),
]


@pytest.mark.parametrize("n, k", FIVE_SHAPES)
def test_products_of_five_in_a_byte_equal_numpy_without_saturation(n, k):
    for name, trits, x in vectors(np.random.default_rng(n * 10007 + k), n, k):
        run = simulate_five(trits, x)
        assert np.array_equal(run.values, product(trits, x)), name
        assert run.flags == () and run.stalls == 0, name


def test_random_products_of_five_in_a_byte():
    rng = np.random.default_rng(23)
    for case in range(RANDOM_CASES):
        n, k = int(rng.integers(1, 49)), int(rng.integers(1, 257))
        x = rng.integers(-127, 128, k).astype(np.int8)
        trits = rng.choice(np.array([-1, 0, 1], np.int8), (n, k), p=rng.dirichlet([1, 1, 1]))
        run = simulate_five(trits, x)
        assert np.array_equal(run.values, product(trits, x)), f"case {case}: {n} x {k}"
        assert run.flags == () and run.stalls == 0


def test_every_byte_of_five_weights():
    """All 243, each beside each of the others, times codes that tell the places apart."""
    trits = (np.arange(243)[:, None] // 3 ** np.arange(5) % 3 - 1).astype(np.int8)
    for x in ([1, 3, 9, 27, 81], [127, -127, 127, -127, 127], [-81, 27, -9, 3, -1]):
        codes = np.array(x, np.int8)
        assert np.array_equal(simulate_five(trits, codes).values, product(trits, codes))


def five_cases(n: int, k: int, off: int) -> list[Case]:
    rng, cases = np.random.default_rng(n * k + off), []
    for name, row, x in extremes(rng, k):
        trits = rng.integers(-1, 2, (n, k)).astype(np.int8) if row is None else np.tile(row, (n, 1))
        arrays = (np.frombuffer(pack5(trits, "pie"), np.uint8), x, output(up(n, 16)))
        title = f"five {n}x{k} {name}, {off} bytes off"
        cases.append(Case(title, "gemv_t5s8", (n, k, off), arrays=arrays, want={2: product(trits, x)}))
        vectors_, _ = five_vectors(x)
        bytes_ = np.frombuffer(vectors_.tobytes() + x.sum(dtype=np.int32).tobytes(), np.int8)
        assert bytes_.size == table5_bytes(k, "pie")
        room = np.full(bytes_.size, 0x5A, np.int8)
        cases.append(Case(f"table {k}", "t5_table", (k,), arrays=(x, room), want={1: bytes_}))
    return cases


def test_the_twin_and_the_c_around_it_with_five_in_a_byte(twin):
    """Aligned, not aligned, and beyond what a lane holds."""
    from firmware.build import check

    shapes = ((1, 1), (16, 5), (17, 64), (33, 96), (31, 100), (64, 128), (16, 2064), (3, 2065), (17, 4096))
    check(twin, [case for n, k in shapes for off in (0, 4) for case in five_cases(n, k, off)])


@pytest.mark.parametrize("head_bits", ["1.6", "2"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_whole_model_with_the_twin(odd, tmp_path, head_bits, streamed):
    """Pieces of the head, its buffers and the checks at start, on this computer."""
    need("host", "gcc")
    host = load_board("host").model_dump() | {"kernels": ["pie"], "head_rows": 64}
    host["compilers"] = {"gcc": host["compilers"]["gcc"]}
    if streamed:
        host |= {"threads": 2, "stream": {"block": 1100, "mb_s": {"file": 40}, "source": "a test"}}
    board = Board.parse(host, "test")
    project = emit(odd, board, tmp_path / "p", "pie", head_bits)
    assert project.plan.streams == streamed
    for assembly in project.sources.glob("bm_pie_*.S"):
        assembly.unlink()
    (project.sources / "twin.c").write_text('#define main twin_main\n#include "pie_twin.c"\n')
    extra = (*FLAGS[1:], f"-I{FIRMWARE}")
    for taps in (True, False):  # without taps bm_init asks for known products
        program = build(project.path, board, "pie", compiler="gcc", taps=taps, extra=extra)
        with ProgramSession(program, board, "twin") as session:
            if taps:
                verdict = verify(odd, session, standard(odd.config, 30), project.sources)
                assert verdict.exact, verdict.difference.sentence()
            else:
                assert not session.can_tap


def skip_tile(rng: np.random.Generator, steps: int, x: np.ndarray | None = None):
    """(trits [16, k], x [k], sums of codes w + 1 after every step [16, steps])."""
    trits = rng.choice(np.array([-1, 0, 1], np.int8), (16, 16 * steps), p=rng.dirichlet([1, 1, 1]))
    x = rng.integers(-127, 128, 16 * steps).astype(np.int8) if x is None else x
    return trits, x, ((trits + 1).astype(np.int64) * x).reshape(16, steps, 16).sum(2).cumsum(1)


@pytest.mark.parametrize("steps", (1, 2, 8, 129))
@pytest.mark.parametrize("sign", (0, 1, -1))
def test_a_tile_that_cannot_win_is_left(steps, sign):
    """At the floor, one above it, without one; at the bounds of a lane, too."""
    rng = np.random.default_rng(7 + steps)
    trits, x, sums = skip_tile(rng, steps, np.full(16 * steps, 127 * sign, np.int8) if sign else None)
    if sign:
        trits, sums = np.ones_like(trits), np.tile(254 * sign * 16 * np.arange(1, steps + 1), (16, 1))
    for stop in {0, steps // 2, steps - 1}:
        for above in (0, 1):
            floor = np.full(steps, -(2**31), np.int64)
            floor[stop] = sums[:, stop].max() - above
            run = simulate_skip(trits, x, floor)
            assert run.returned == (stop + 1 if above == 0 else steps) and run.flags == ()
            assert run.returned < steps or np.array_equal(run.values, sums[:, -1])
    run = simulate_skip(trits, x)
    assert run.returned == steps and np.array_equal(run.values, sums[:, -1])


def test_random_tiles():
    rng = np.random.default_rng(23)
    for case in range(RANDOM_CASES):
        steps = int(rng.integers(1, 12))
        trits, x, sums = skip_tile(rng, steps)
        floor = sums.max(0) + rng.integers(-2000, 1000, steps)
        stops = np.flatnonzero(sums.max(0)[:-1] <= floor[:-1])
        run = simulate_skip(trits, x, floor)
        assert run.returned == (stops[0] + 1 if len(stops) else steps), f"case {case}"
        assert run.flags == () and (len(stops) or np.array_equal(run.values, sums[:, -1])), f"case {case}"


def test_the_twin_and_the_c_around_it_leave_the_same_tiles(twin):
    from firmware.build import check

    rng, cases = np.random.default_rng(24), []
    for steps in (1, 3, 8, 129, 256):
        for off in (0, 4):
            trits, x, sums = skip_tile(rng, steps)
            packed = np.frombuffer(pack_skip(trits, np.arange(x.size), np.arange(16)), np.uint8)
            for floor in (np.zeros(0, "<i4"), sums.max(0).astype("<i4"), (sums.max(0) - 1).astype("<i4")):
                ends = floor.size > 0 and floor[0] == sums[:, 0].max() and steps > 1
                cases.append(
                    Case(
                        f"{steps} steps, {off} bytes off",
                        "tile",
                        (steps, off),
                        arrays=(packed, x, floor, np.zeros(16, np.int32)),
                        want={} if ends else {3: sums[:, -1].astype(np.int32)},
                        result=(1 if ends else steps,),
                    )
                )
    check(twin, cases)


@pytest.mark.parametrize("stop, least", [(0, 1.9), (7, 2.0)])
def test_estimated_weights_per_cycle_of_a_tile(stop, least):
    """Of those that are read; the profile's figure is that of a tile which is left at once."""
    trits, x, sums = skip_tile(np.random.default_rng(25), 8)
    floor = np.full(8, -(2**31))
    floor[stop] = sums.max()
    run = simulate_skip(trits, x, floor)
    assert run.stalls == 0 and run.returned == stop + 1
    assert 256 * run.returned / run.cycles >= least
    assert load_board("esp32-s3-n16r8").speed.head_skip == 1.9


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


@pytest.mark.parametrize("n, k, least", [(128, 64, 3.2), (128, 128, 3.9), (128, 512, 4.5)])
def test_estimated_weights_per_cycle_of_five_in_a_byte(n, k, least):
    _, trits, x = next(vectors(np.random.default_rng(6), n, k))
    assert n * k / simulate_five(trits, x).cycles >= least
