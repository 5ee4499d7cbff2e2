"""One tester for every kernel family: random and extreme vectors, tolerance zero, buffers of exact size."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from codegen.boards import load_board
from codegen.build import BASE_FLAGS, find_compiler, runner
from codegen.pack import FAMILIES, pack, packed_size, unpack
from codegen.resources import resource_dir
from support import need

SHAPES = [(n, k) for n in (1, 3, 7, 16, 31, 128, 257) for k in (4, 64, 96, 100, 128, 512)] + \
         [(5, k) for k in (384, 768, 2560, 4096)]
TARGETS = [("host", "portable"), ("host", "avx2"), ("rpi-zero2", "portable"), ("rpi-zero2", "neon")]


def pad64(n: int) -> int:
    return -(-n // 64) * 64


def vectors(rng, n, k):
    """Trits and codes: random, then the extremes."""
    random = rng.integers(-1, 2, (n, k)).astype(np.int8), rng.integers(-127, 128, k).astype(np.int8)
    yield random
    for w, x in ((1, 127), (-1, 127), (1, -127), (-1, -127)):
        yield np.full((n, k), w, np.int8), np.full(k, x, np.int8)


def padded(x: np.ndarray) -> bytes:
    return x.tobytes() + bytes(pad64(len(x)) - len(x))


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    built = {}

    def get(board_name: str, family: str, extra: tuple[str, ...] = ()) -> list[str]:
        need(board_name)
        key = board_name, family, extra
        if key not in built:
            board, templates = load_board(board_name), resource_dir("firmware_templates")
            _, compiler = find_compiler(board, "gcc")
            out = tmp_path_factory.mktemp("kernels") / f"{family}{len(built)}"
            command = [*compiler.command, *BASE_FLAGS, "-Wno-cast-align", "-O2", *compiler.flags, *extra,
                       f"-DBM_KERNELS={family}", *board.kernel_flags.get(family, []), f"-I{templates / 'runtime'}",
                       str(templates / "kernels" / f"bm_kernels__{family}.c"),
                       str(Path(__file__).parent / "firmware" / "kernel_driver.c"), "-o", str(out)]
            subprocess.run(command, check=True)
            built[key] = [*runner(board), str(out)]
        return built[key]

    return get


def run(command: list[str], cases) -> list[np.ndarray]:
    """Send (op, n, k, a, b) cases; return the int32 answers."""
    stdin = b"".join(struct.pack("<5I", op, n, k, len(a), len(b)) + a + b for op, n, k, a, b in cases)
    done = subprocess.run(command, input=stdin, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    answers, data, at = [], np.frombuffer(done.stdout, "<i4"), 0
    for op, n, k, _, _ in cases:
        rows = k if op == 2 else n
        answers.append(data[at:at + rows])
        at += rows
    assert at == len(data)
    return answers


@pytest.mark.parametrize("family", FAMILIES)
def test_packing_round_trips(family):
    rng = np.random.default_rng(0)
    for n, k in SHAPES:
        trits = rng.integers(-1, 2, (n, k)).astype(np.int8)
        data = pack(trits, family)
        assert len(data) == packed_size(n, k, family) and np.array_equal(unpack(data, n, k, family), trits)


@pytest.mark.parametrize("extra", [(), ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")], ids=["plain", "sanitized"])
@pytest.mark.parametrize("board, family", TARGETS)
def test_gemv(driver, board, family, extra):
    if extra and board != "host":
        pytest.skip("sanitizers run natively only")
    rng, cases, want = np.random.default_rng(1), [], []
    for n, k in SHAPES:
        for trits, x in vectors(rng, n, k):
            cases.append((0, n, k, pack(trits, family), padded(x)))
            want.append(trits.astype(np.int64) @ x)
    for answer, expected in zip(run(driver(board, family, extra), cases), want):
        assert np.array_equal(answer, expected)


@pytest.mark.parametrize("board, family", TARGETS)
def test_attention_kernels(driver, board, family):
    """Dot products and weighted sums over strided rows, up to the largest context and weight."""
    rng, cases, want = np.random.default_rng(2), [], []
    for n in (1, 2, 5, 64, 1031, 1032):
        for length in (4, 24, 32, 33, 64, 100, 128):
            for extreme in (False, True):
                stride = pad64(length)
                a = np.full((n, stride), -127, np.int8) if extreme else rng.integers(-127, 128, (n, stride)).astype(np.int8)
                q = np.full(length, 127, np.int8) if extreme else rng.integers(-127, 128, length).astype(np.int8)
                w = np.full(n, 1 << 14, np.int32) if extreme else rng.integers(0, (1 << 14) + 1, n).astype(np.int32)
                cases += [(1, n, length, a.tobytes(), padded(q)), (2, n, length, w.tobytes(), a.tobytes())]
                want += [a[:, :length].astype(np.int64) @ q, w.astype(np.int64) @ a[:, :length]]
    for (op, n, k, _, _), answer, expected in zip(cases, run(driver(board, family), cases), want):
        assert np.array_equal(answer, expected), (op, n, k)
