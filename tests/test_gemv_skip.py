# SPDX-License-Identifier: Apache-2.0
"""A head that leaves out what cannot win against NumPy, tolerance zero: the candidates are those of all
logits, ties and bounds included, and no more is read than the rule says.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from firmware.build import KERNELS, RUNTIME, SANITIZE, Case, check, compile
from test_kernels import codes, extremes, output

from bitmar_tiny.codegen.pack import SKIP_ROWS, SKIP_STEP, SKIP_WINDOW, pack_skip, unpack_skip
from bitmar_tiny.codegen.skip import read_share, skip_order

DRIVER = Path(__file__).parent / "firmware" / "skip_driver.c"
SOURCES = [
    DRIVER,
    *(RUNTIME / f"bm_{name}.c" for name in ("gemv_skip", "sampler", "numerics")),
    KERNELS / "portable" / "bm_kernels.c",
]
WIDTHS = (1, 15, 16, 17, 100, 128, 4096)
RANDOM_PICKS = 300


def packed(trits: np.ndarray, order: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.frombuffer(pack_skip(trits, order, places), np.uint8)


def random_places(rng: np.random.Generator, n: int) -> np.ndarray:
    windows = [rng.permutation(min(SKIP_WINDOW, n - i)) for i in range(0, n, SKIP_WINDOW)]
    return np.concatenate(windows).astype(np.uint8)


def logits_cases(n: int, k: int) -> list[Case]:
    rng, found = np.random.default_rng(n * 10007 + k), []
    for name, row, x in extremes(rng, k):
        trits = rng.integers(-1, 2, (n, k)).astype(np.int8) if row is None else np.tile(row, (n, 1))
        order, want = rng.permutation(k).astype("<u2"), (trits.astype(np.float64) @ x).astype(np.int32)
        places, asked = random_places(rng, n), int(rng.integers(1, n + 1))
        arrays = (packed(trits, order, places), x, order, places, output(asked))
        title = f"{asked} logits {n}x{k} {name}"
        found.append(Case(title, "logits", (n, k, asked), arrays=arrays, want={4: want[:asked]}))
    return found


def tile_cases(steps: int) -> list[Case]:
    """A floor that the tile's sums just reach at one step, and one that they pass."""
    rng, found = np.random.default_rng(steps), []
    trits, x = (
        rng.integers(-1, 2, (SKIP_ROWS, SKIP_STEP * steps)).astype(np.int8),
        codes(rng, SKIP_STEP * steps),
    )
    weights = packed(trits, np.arange(x.size), np.arange(SKIP_ROWS))
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
    cut, places = int(rng.integers(0, n // SKIP_WINDOW + 1)) * SKIP_WINDOW, random_places(rng, n)
    arrays = (packed(trits, order, places), x, order, places, np.zeros(256, np.uint32), output(256))
    title = f"{wanted} of {n} x {k}, cut at {cut}, even: {even}"
    return Case(
        title, "pick", (n, k, wanted, cut), arrays=arrays, want={4: best.astype(np.uint32), 5: acc[best]}
    )


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    rng = np.random.default_rng(7)
    picks = [
        pick_case(rng, int(rng.integers(1, 300)), int(rng.choice([1, 1, 2, 40, 256])), i % 3 == 0)
        for i in range(RANDOM_PICKS)
    ]
    return [
        *(c for n in (1, 16, 33, 150) for k in WIDTHS for c in logits_cases(n, k)),
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
    trits, order = tiny.arrays["head.w.trits"], skip_order(tiny)
    columns, places = order.columns.astype("<u2"), order.places
    rng, found = np.random.default_rng(3), []
    for _ in range(20):
        x = codes(rng, trits.shape[1])
        tiles, steps = (-(-n // to) for n, to in zip(trits.shape, (SKIP_ROWS, SKIP_STEP), strict=True))
        read = round(read_share(trits, columns, places, x[None]) * tiles * steps)
        arrays = (packed(trits, columns, places), x, columns, places, output(256), output(256))
        found.append(Case("read", "pick", (*trits.shape, 1, 0), arrays=arrays, want={}, result=(read,)))
    check(compile(SOURCES, ["-O2"], tmp_path / "driver"), found)
    assert sorted(columns) == list(range(len(columns))) and 0 < order.read <= 1


@pytest.mark.parametrize("n, k", [(1, 1), (40, 100), (257, 128)])
def test_packing_comes_back(n, k):
    rng = np.random.default_rng(n)
    trits, order = rng.integers(-1, 2, (n, k)).astype(np.int8), rng.permutation(k)
    places = random_places(rng, n)
    assert np.array_equal(unpack_skip(pack_skip(trits, order, places), order, places), trits)
