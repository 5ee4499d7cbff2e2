# SPDX-License-Identifier: Apache-2.0
"""Kernel families against NumPy, tolerance zero: every family, compiler and optimisation level, boards
without an operating system, shapes that no tile divides, and the vectors that reach the accumulator bounds.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from firmware.build import SANITIZE, Case, check, check_on_board, compile
from support import board_families, each_family_once, has_family

from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.kernels import DESCRIPTION, SOURCE, documented, families, load_family
from bitmar_tiny.codegen.pack import pack, packed_size, unpack
from bitmar_tiny.errors import ConfigError

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
                "gemv_t2s8",
                (n, k, x.sum(dtype=np.int32)),
                arrays=(packed, padded, output(up(n, 32))),
                want={2: want},
            )
        )
    return cases


def dot_cases() -> list[Case]:
    rng, cases = np.random.default_rng(3), []
    for length in (1, 7, 8, 16, 24, 31, 32, 33, 64, 96, 128, 4096):
        for name, a, b in (
            ("random", codes(rng, length), codes(rng, length)),
            ("all +", np.full(length, 127, np.int8), np.full(length, 127, np.int8)),
            ("all -", np.full(length, -127, np.int8), np.full(length, 127, np.int8)),
        ):
            want = int(a.astype(np.int64) @ b.astype(np.int64))
            cases.append(Case(f"dot {length} {name}", "dot_s8", (length,), arrays=(a, b), result=(want,)))
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
                    "dots_s8",
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
                        "wsum_s8",
                        (stride, n, length),
                        arrays=(w, v, output(length)),
                        want={2: (w.astype(np.int64) @ rows).astype(np.int32)},
                    )
                )
    return cases


@cache
def all_cases(family: str) -> list[Case]:
    cases = [Case("supported", "supported", result=(1,))]
    for n in ROWS:
        for k in WIDTHS:
            only_random = n not in (1, 31) and k not in (100, 4096)
            cases += gemv_cases(
                family, n, k, (lambda r, k: [next(extremes(r, k))]) if only_random else extremes
            )
    return cases + dot_cases()


def programs() -> list[tuple[str, str, str, str]]:
    """(family, board, compiler, optimisation): on its first board every level, on others that compile it with
    other flags one.
    """
    first, seen, found = each_family_once("linux"), set(), []
    for name, family in board_families("linux"):
        board = load_board(name)
        for compiler, tool in board.compilers.items():
            how = (*tool.command, *tool.flags, *board.family_flags(family, compiler), family)
            levels = ("-O0", "-O2", "-O3") if (name, family) in first else () if how in seen else ("-O2",)
            found += [(family, name, compiler, level) for level in levels]
            seen.add(how)
    native = [(f, b) for b, f in first if load_board(b).machine == platform.machine()]
    return sorted(found + [(f, b, "gcc", "sanitize") for f, b in native])


@pytest.mark.parametrize("family, board, compiler, level", programs())
def test_every_family_is_exact(tmp_path, family, board, compiler, level):
    flags = ["-O1", *SANITIZE] if level == "sanitize" else [level]
    sources = [DRIVER, families()[family].source]
    command = compile(sources, flags, tmp_path / "driver", f"{board}/{compiler}")
    if not has_family(family) and not (families()[family].twin and has_family(families()[family].twin)):
        pytest.skip(f"this processor lacks {families()[family].cpu_feature}: {family} was compiled, not run")
    check(command, all_cases(family))


@pytest.mark.parametrize("board, family", board_families("bare", "xtensa", "web"))
def test_every_family_is_exact_without_an_operating_system(tmp_path, board, family):
    check_on_board(tmp_path / "p", load_board(board), family, DRIVER, all_cases(family))


@pytest.mark.parametrize("family", families())
def test_pack_round_trip_and_size(family):
    rng = np.random.default_rng(5)
    for n in ROWS:
        for k in WIDTHS:
            trits = rng.integers(-1, 2, (n, k)).astype(np.int8)
            data = pack(trits, family)
            assert len(data) == packed_size(n, k, family)
            assert np.array_equal(unpack(data, n, k, family), trits)


@pytest.mark.parametrize("family", families())
def test_padding_is_weight_zero(family):
    n, k = 3, 100
    data = pack(-np.ones((n, k), np.int8), family)
    rows = len(data) * 4 // up(k, 64)
    whole = unpack(data, rows, up(k, 64), family)
    assert np.all(whole[:n, :k] == -1) and not whole[n:].any() and not whole[:, k:].any()


def test_the_table_of_families_is_up_to_date():
    text = (Path(__file__).resolve().parents[1] / "docs" / "explanation" / "kernels.md").read_text()
    assert text == documented(text)


@pytest.mark.parametrize(
    "text, says",
    [
        ("titel = 'x'", "Did you mean 'title'"),
        ("layout = { rows = 3, k_step = 16, row_pad = 16 }", "rows must divide row_pad"),
        ("layout = [", "not a readable description of a kernel family"),
    ],
)
def test_a_broken_description_is_refused(tmp_path, text, says):
    (tmp_path / SOURCE).touch()
    (tmp_path / DESCRIPTION).write_text("title = 'x'\nmultiply = 'y'\n" * ("titel" not in text) + text)
    with pytest.raises(ConfigError) as refused:
        load_family(tmp_path / DESCRIPTION)
    assert says in str(refused.value) + (refused.value.hint or "")


def test_a_description_without_a_kernel_is_refused(tmp_path):
    (tmp_path / DESCRIPTION).write_text("title = 'x'")
    with pytest.raises(ConfigError, match="the kernel is missing"):
        load_family(tmp_path / DESCRIPTION)


def test_a_profile_may_replace_the_flags_of_a_family():
    values = load_board("host").model_dump()
    values["kernel_flags"] = {"avx2": ["-march=haswell"]}
    values["compilers"]["zig"]["kernel_flags"] = {"avx2": []}
    board = Board.parse(values, "test")
    assert board.family_flags("avx2", "gcc") == ["-march=haswell"] and board.family_flags("avx2", "zig") == []
    assert load_board("host").family_flags("avx2", "zig") == families()["avx2"].flags
