"""Kernel families against NumPy, tolerance zero: every family, compiler and optimisation level, shapes that no tile
divides, and the vectors that reach the accumulator bounds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bitmar_tiny.codegen.pack import FAMILIES, pack, packed_size, unpack

sys.path.insert(0, str(Path(__file__).parent / "firmware"))
from build import KERNELS, SANITIZE, Case, check, compile  # noqa: E402
from support import has_family  # noqa: E402

DRIVER = Path(__file__).parent / "firmware" / "kernel_driver.c"
WIDTHS = (4, 64, 96, 100, 128, 384, 512, 768, 2560, 4096)
ROWS = (1, 3, 7, 16, 31, 128, 257)
MAX_SLOTS = 1032  # what 2^14 * 127 * n < 2^31 allows
GARBAGE = 0x5A5A5A5A  # outputs start as this, never as zeros


def up(n: int, to: int) -> int:
    return -(-n // to) * to


def codes(rng, *shape) -> np.ndarray:
    return rng.integers(-127, 128, shape).astype(np.int8)


def output(n: int) -> np.ndarray:
    return np.full(n, GARBAGE, np.int32)


def extremes(rng, k: int):
    """(name, trits of one row or None for random, codes): the accumulator's bounds with both signs."""
    full = np.full(k, 127, np.int8)
    alternating = np.where(np.arange(k) % 2, full, -full).astype(np.int8)
    yield "random", None, codes(rng, k)
    yield "all +1, x = 127", np.ones(k, np.int8), full
    yield "all -1, x = 127", -np.ones(k, np.int8), full
    yield "all +1, x = -127", np.ones(k, np.int8), -full
    yield "all 0", np.zeros(k, np.int8), full
    yield "signs agree", np.sign(alternating), alternating
    yield "signs differ", -np.sign(alternating), alternating


def gemv_cases(family: str, n: int, k: int, vectors) -> list[Case]:
    rng = np.random.default_rng(n * 10007 + k)
    cases = []
    for name, row, x in vectors(rng, k):
        trits = rng.integers(-1, 2, (n, k)).astype(np.int8) if row is None else np.tile(row, (n, 1))
        padded = np.concatenate([x, np.zeros(up(k, 64) - k, np.int8)])
        want = (trits.astype(np.float64) @ x).astype(np.int32)
        packed = np.frombuffer(pack(trits, family), np.uint8)
        cases.append(
            Case(
                f"gemv {n}x{k} {name}",
                f"gemv_t2s8__{family}",
                (n, k, x.sum(dtype=np.int32)),
                arrays=(packed, padded, output(up(n, 32))),
                want={2: want},
            )
        )
    return cases


def dot_cases(family: str) -> list[Case]:
    rng, cases = np.random.default_rng(3), []
    for length in (1, 7, 8, 16, 24, 31, 32, 33, 64, 96, 128, 4096):
        for name, a, b in (
            ("random", codes(rng, length), codes(rng, length)),
            ("all +", np.full(length, 127, np.int8), np.full(length, 127, np.int8)),
            ("all -", np.full(length, -127, np.int8), np.full(length, 127, np.int8)),
        ):
            want = int(a.astype(np.int64) @ b.astype(np.int64))
            cases.append(
                Case(f"dot {length} {name}", f"dot_s8__{family}", (length,), arrays=(a, b), result=(want,))
            )
    for n in (1, 2, 3, 5, 8, 64, MAX_SLOTS):
        for length, stride in (
            (1, 64),
            (16, 64),
            (16, 128),
            (24, 64),
            (48, 64),
            (32, 128),
            (40, 192),
            (64, 64),
            (100, 128),
            (128, 128),
        ):
            a, q = codes(rng, n * stride)[: (n - 1) * stride + length], codes(rng, length)
            rows = np.lib.stride_tricks.sliding_window_view(a, length)[::stride].astype(np.int64)
            cases.append(
                Case(
                    f"dots {n}x{length}",
                    f"dots_s8__{family}",
                    (stride, n, length),
                    arrays=(a, q, output(n)),
                    want={2: (rows @ q.astype(np.int64)).astype(np.int32)},
                )
            )
            for name, w, v in (
                ("random", rng.integers(0, 16385, n), a),
                ("full", np.full(n, 16384), np.sign(a) * 127),
                ("bound", np.full(n, 16384), np.full(a.size, -127)),
            ):
                w, v = w.astype(np.int32), v.astype(np.int8)
                rows = np.lib.stride_tricks.sliding_window_view(v, length)[::stride].astype(np.int64)
                cases.append(
                    Case(
                        f"wsum {n}x{length} {name}",
                        f"wsum_s8__{family}",
                        (stride, n, length),
                        arrays=(w, v, output(length)),
                        want={2: (w.astype(np.int64) @ rows).astype(np.int32)},
                    )
                )
    return cases


def all_cases(family: str) -> list[Case]:
    cases = [Case("supported", f"supported__{family}", result=(1,))]
    for n in ROWS:
        for k in WIDTHS:
            only_random = n not in (1, 31) and k not in (100, 4096)
            cases += gemv_cases(
                family, n, k, (lambda r, k: [next(extremes(r, k))]) if only_random else extremes
            )
    return cases + dot_cases(family)


@pytest.fixture(scope="module")
def cases():
    return {family: all_cases(family) for family in FAMILIES}


@pytest.mark.parametrize(
    "compiler, opt",
    [
        *((c, o) for c in ("gcc", "zig", "aarch64-gcc", "aarch64-zig") for o in ("-O0", "-O2", "-O3")),
        ("a76-gcc", "-O2"),
        ("a76-zig", "-O3"),
        ("gcc", "sanitize"),
    ],
)
def test_every_family_is_exact(tmp_path, cases, compiler, opt):
    families = {"aarch64": ("portable", "neon"), "a76": ("portable", "neon", "neondot")}.get(
        compiler.split("-")[0], ("portable", "avx2", "avxvnni", "avx512vnni")
    )
    flags = ["-O1", *SANITIZE] if opt == "sanitize" else [opt]
    flags += ["-DBM_WITH_DOT_PRODUCT"] if "neondot" in families else []
    command = compile(
        [DRIVER, *(KERNELS / f / "bm_kernels.c" for f in families)], flags, tmp_path / "driver", compiler
    )
    runs = [
        f for f in families if f not in ("avxvnni", "avx512vnni") or has_family("avx512vnni") or has_family(f)
    ]
    check(command, [case for family in runs for case in cases[family]])
    if runs != list(families):
        pytest.skip(
            "this processor lacks AVX-512 VNNI: avxvnni and avx512vnni were compiled, the others checked"
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_of_another_machine_compiles_to_nothing(tmp_path, family):
    other = "gcc" if family.startswith("neon") else "aarch64-gcc"
    main = tmp_path / "main.c"
    main.write_text("int main(void) { return 0; }\n")
    compile([main, KERNELS / family / "bm_kernels.c"], ["-O2"], tmp_path / "empty", other)


@pytest.mark.parametrize("family", FAMILIES)
def test_pack_round_trip_and_size(family):
    rng = np.random.default_rng(5)
    for n in ROWS:
        for k in WIDTHS:
            trits = rng.integers(-1, 2, (n, k)).astype(np.int8)
            data = pack(trits, family)
            assert len(data) == packed_size(n, k, family)
            assert np.array_equal(unpack(data, n, k, family), trits)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_is_weight_zero(family):
    n, k = 3, 100
    data = pack(-np.ones((n, k), np.int8), family)
    rows = len(data) * 4 // up(k, 64)
    whole = unpack(data, rows, up(k, 64), family)
    assert np.all(whole[:n, :k] == -1) and not whole[n:].any() and not whole[:, k:].any()
