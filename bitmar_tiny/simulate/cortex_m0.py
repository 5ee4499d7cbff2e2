# SPDX-License-Identifier: Apache-2.0
"""Kernels as a compiler makes them for a Cortex-M0+, run on arrays in the simulator of that core.

What runs is what a Pico would run: the sources that ship, with the flags of its profile and those of what
runs once per token. Cycles are those of ``thumb``: code, weights and vectors in SRAM.
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import BASE_FLAGS, find_compiler
from bitmar_tiny.codegen.kernels import K_BLOCK, TALLEST, families
from bitmar_tiny.codegen.pack import pack, pack5, table5_bytes
from bitmar_tiny.codegen.resources import resource_dir
from bitmar_tiny.codegen.uf2 import flash_image
from bitmar_tiny.errors import ToolError

from . import thumb_isa  # noqa: F401  the instructions
from .kernels import GARBAGE, Simulation
from .memory import Memory, Region
from .thumb import Core

BOARD = "pico"
CODE = 0x20000000
TIMEOUT_S = 120


@cache
def compiled(family: str, function: str) -> tuple[bytes, int]:
    """(code from CODE on, address of the function) of a kernel family and of the five-in-a-byte head.
    ``ToolError`` without the compiler.
    """
    board = load_board(BOARD)
    name, compiler = find_compiler(board)
    model = resource_dir("firmware_templates") / "runtime" / "model"
    sources = [f for f in families()[family].files() if f.suffix != ".h"] + [model / "bm_gemv_t5.c"]
    with tempfile.TemporaryDirectory(prefix="bitmar-") as folder:
        out = Path(folder) / "kernels.elf"
        done = subprocess.run(
            [*compiler.argv, *BASE_FLAGS, "-O3", *compiler.flags, *board.family_flags(family, name)]
            + [f"-I{model}", f"-I{model.parents[1] / 'kernels'}", *map(str, sources), "-o", str(out)]
            + ["-nostdlib", "-Wl,-N", f"-Wl,-Ttext={CODE:#x}", f"-Wl,-e,{function}", *compiler.link],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        if done.returncode:
            raise ToolError(f"Compiling kernels {family} failed: {(done.stderr.splitlines() or ['?'])[0]}")
        elf = out.read_bytes()
    return flash_image(elf)[1], struct.unpack_from("<I", elf, 24)[0]


def gemv(family: str, trits: np.ndarray, x: np.ndarray) -> Simulation:
    """y = trits x; ``trits``: int8 [N, K] in {-1, 0, 1}, ``x``: int8 [K]. Values: int32 [N]."""
    n, k = trits.shape
    memory = Memory()
    padded = np.zeros(-(-k // K_BLOCK) * K_BLOCK, np.int8)
    padded[:k] = x
    w, codes = memory.add("w", pack(trits, family)), memory.add("x", padded.tobytes())
    y = _output(memory, -(-n // TALLEST) * TALLEST)
    return _run(memory, family, "bm_gemv_t2s8", (w, codes, int(x.sum(dtype=np.int64)), n, k, y), n)


def gemv5(trits: np.ndarray, x: np.ndarray) -> Simulation:
    """The same by the head of 1.6 bits, its table included; N: a multiple of 4."""
    n, k = trits.shape
    memory = Memory()
    codes = memory.add("x", x.tobytes())
    table = memory.add("table", bytes(table5_bytes(k, "m0")), writable=True)
    made = _run(memory, "m0", "bm_t5_table", (codes, k, table), 0)
    second = Memory()
    w, table = second.add("w", pack5(trits, "m0")), second.add("table", memory.data("table"))
    run = _run(second, "m0", "bm_gemv_t5s8", (w, table, n, k, _output(second, n)), n)
    return Simulation(run.values, made.instructions + run.instructions, made.cycles + run.cycles, 0, ())


def dots(family: str, a: np.ndarray, q: np.ndarray, stride: int) -> Simulation:
    """y[i] = a[i] . q over rows ``stride`` bytes apart; ``a``: int8 [N, len], ``q``: int8 [len]. Values:
    int32 [N].
    """
    n, length = a.shape
    memory = Memory()
    rows, query = memory.add("a", _rows(a, stride)), memory.add("q", q.tobytes())
    return _run(memory, family, "bm_dots_s8", (rows, stride, query, n, length, _output(memory, n)), n)


def wsum(family: str, w: np.ndarray, v: np.ndarray, stride: int) -> Simulation:
    """y[k] = sum_i w[i] v[i, k] over rows ``stride`` bytes apart; ``w``: int32 [N] in [0, 2^14], ``v``: int8
    [N, len]. Values: int32 [len].
    """
    n, length = v.shape
    memory = Memory()
    weights, rows = memory.add("w", w.astype("<i4").tobytes()), memory.add("v", _rows(v, stride))
    y = _output(memory, length)
    return _run(memory, family, "bm_wsum_s8", (weights, rows, stride, n, length, y), length)


def _output(memory: Memory, n: int) -> int:
    return memory.add("y", GARBAGE * (4 * n), writable=True)


def _rows(rows: np.ndarray, stride: int) -> bytes:
    """Rows in memory, ``stride`` bytes apart; nothing behind the last one."""
    out = np.full(stride * (len(rows) - 1) + rows.shape[1], 0x5A, np.int8)
    np.lib.stride_tricks.as_strided(out, rows.shape, (stride, 1))[:] = rows
    return out.tobytes()


def _run(memory: Memory, family: str, function: str, arguments: Sequence[int], count: int) -> Simulation:
    code, entry = compiled(family, function)
    core = Core(memory)
    memory.regions.append(Region("code", CODE, bytearray(code), False))
    core.call(entry, arguments)
    values = (
        np.frombuffer(memory.data("y"), "<i4")[:count].astype(np.int32) if count else np.empty(0, np.int32)
    )
    return Simulation(values, core.executed, core.cycles, 0, ())
