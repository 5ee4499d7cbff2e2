# SPDX-License-Identifier: Apache-2.0
"""A head that leaves out what cannot win against NumPy, tolerance zero: the candidates are those of all
logits, ties and bounds included, and no more is read than the rule says.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from firmware.build import KERNELS, RUNTIME, SANITIZE, Case, check, compile
from test_kernels import codes, extremes, output, up

from bitmar_tiny.codegen.pack import SKIP_ROWS, SKIP_STEP, pack_skip, unpack_skip
from bitmar_tiny.codegen.skip import column_order, read_share

DRIVER = Path(__file__).parent / "firmware" / "skip_driver.c"
SOURCES = [
    DRIVER,
    *(RUNTIME / f"bm_{name}.c" for name in ("gemv_skip", "sampler", "numerics")),
    KERNELS / "portable" / "bm_kernels.c",
]
WIDTHS = (1, 15, 16, 17, 100, 128, 4096)
RANDOM_PICKS = 300


def packed(trits: np.ndarray, order: np.ndarray) -> np.ndarray:
    return np.frombuffer(pack_skip(trits, order), np.uint8)


def logits_cases(n: int, k: int) -> list[Case]:
    rng, found = np.random.default_rng(n * 10007 + k), []
    for name, row, x in extremes(rng, k):
        trits = rng.integers(-1, 2, (n, k)).astype(np.int8) if row is None else np.tile(row, (n, 1))
        order, want = rng.permutation(k).astype("<u2"), (trits.astype(np.float64) @ x).astype(np.int32)
        arrays = (packed(trits, order), x, order, output(up(n, SKIP_ROWS)))
        found.append(Case(f"logits {n}x{k} {name}", "logits", (n, k), arrays=arrays, want={3: want}))
    return found


def tile_cases(steps: int) -> list[Case]:
    """A floor that the tile's sums just reach at one step, and one that they pass."""
    rng, found = np.random.default_rng(steps), []
    trits, x = (
        rng.integers(-1, 2, (SKIP_ROWS, SKIP_STEP * steps)).astype(np.int8),
        codes(rng, SKIP_STEP * steps),
    )
    weights = packed(trits, np.arange(x.size))
    sums = ((trits + 1).astype(np.int64) * x).reshape(SKIP_ROWS, steps, SKIP_STEP).sum(2).cumsum(1)
    whole = sums[:, -1].astype(np.int32)
    case = Case(
        f"{steps} steps", "tile", (steps,), arrays=(weights, x, output(0), output(SKIP_ROWS)), want={3: whole}
    )
    found.append(case)
    for stop in range(steps):
        for above in (0, 1):
            floor = np.full(steps, -(2**31), np.int32)
            floor[stop] = sums[:, stop].max() - above
            ends = above == 0 and stop + 1 < steps
            found.append(
                Case(
                    f"{steps} steps, floor at {stop} less {above}",
                    "tile",
                    (steps,),
                    arrays=(weights, x, floor, output(SKIP_ROWS)),
                    want={} if ends else {3: whole},
                    result=(stop + 1 if ends else steps,),
                )
            )
    return found


def pick_case(rng: np.random.Generator, k: int, wanted: int, even: bool) -> Case:
    """``even``: few distinct logits, so that most are ties."""
    n = int(rng.integers(1, 400))
    trits = rng.choice(np.array([-1, 0, 1], np.int8), (n, k), p=rng.dirichlet([1, 1, 1]))
    x = (
        (rng.integers(-1, 2, k) * 127).astype(np.int8)
        if even
        else (codes(rng, k) * rng.random(k) ** 3).astype(np.int8)
    )
    order = np.argsort(-np.abs(x.astype(int)), kind="stable").astype("<u2")
    acc = (trits.astype(np.int64) @ x).astype(np.int32)
    best = np.argsort(-acc.astype(np.int64), kind="stable")[:wanted]
    cut = int(rng.integers(0, n // SKIP_ROWS + 1)) * SKIP_ROWS
    arrays = (packed(trits, order), x, order, np.zeros(256, np.uint32), output(256))
    title = f"{wanted} of {n} x {k}, cut at {cut}, even: {even}"
    return Case(
        title, "pick", (n, k, wanted, cut), arrays=arrays, want={3: best.astype(np.uint32), 4: acc[best]}
    )


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    rng = np.random.default_rng(7)
    picks = [
        pick_case(rng, int(rng.integers(1, 300)), int(rng.choice([1, 1, 2, 40, 256])), i % 3 == 0)
        for i in range(RANDOM_PICKS)
    ]
    return [
        *(c for n in (1, 16, 33) for k in WIDTHS for c in logits_cases(n, k)),
        *(c for steps in (1, 2, 8, 33) for c in tile_cases(steps)),
        *picks,
    ]


@pytest.mark.parametrize(
    "compiler, opt",
    [
        ("gcc", "-O0"),
        ("gcc", "-O3"),
        ("gcc", "sanitize"),
        ("zig", "-O2"),
        ("aarch64-gcc", "-O2"),
        ("aarch64-zig", "-O3"),
    ],
)
def test_exact(tmp_path, cases, compiler, opt):
    flags = ["-O1", *SANITIZE] if opt == "sanitize" else [opt]
    check(compile(SOURCES, flags, tmp_path / "driver", compiler), cases)


def test_what_python_says_is_read_is_what_c_reads(tmp_path, tiny):
    """Of greedy picks, by the very order that lowering packs."""
    trits, order = tiny.arrays["head.w.trits"], column_order(tiny).columns.astype("<u2")
    rng, found = np.random.default_rng(3), []
    for _ in range(20):
        x = codes(rng, trits.shape[1])
        tiles, steps = (-(-n // to) for n, to in zip(trits.shape, (SKIP_ROWS, SKIP_STEP), strict=True))
        read = round(read_share(trits, order, x[None]) * tiles * steps)
        arrays = (packed(trits, order), x, order, output(256), output(256))
        found.append(Case("read", "pick", (*trits.shape, 1, 0), arrays=arrays, want={}, result=(read,)))
    check(compile(SOURCES, ["-O2"], tmp_path / "driver"), found)
    assert sorted(order) == list(range(len(order))) and 0 < column_order(tiny).read <= 1


@pytest.mark.parametrize("n, k", [(1, 1), (40, 100), (257, 128)])
def test_packing_comes_back(n, k):
    rng = np.random.default_rng(n)
    trits, order = rng.integers(-1, 2, (n, k)).astype(np.int8), rng.permutation(k)
    assert np.array_equal(unpack_skip(pack_skip(trits, order), order, n), trits)
