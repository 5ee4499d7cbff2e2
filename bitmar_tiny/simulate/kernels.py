# SPDX-License-Identifier: Apache-2.0
"""Run the kernels that ship, in the simulator, on arrays.

Each function declares exactly the memory that the kernel's interface promises (bm_kernels.h) and returns what
the kernel wrote, with the instructions executed and the **estimated** cycles (``cycles`` says what that
means).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bitmar_tiny.codegen.kernels import K_BLOCK, TALLEST
from bitmar_tiny.codegen.pack import K_STEP5, SKIP_ROWS, SKIP_STEP, pack, pack5, pack_skip
from bitmar_tiny.codegen.resources import resource_dir

from .decode import assemble
from .isa import Instruction, Program
from .machine import Machine
from .memory import Memory
from .pie import PIE
from .xtensa import BASE

GEMV, FIVE, SKIP, ATTEND = "bm_pie_gemv.S", "bm_pie_five.S", "bm_pie_skip.S", "bm_pie_attend.S"
#: Outputs start as this, never as zeros.
GARBAGE = b"\x5a"

Watch = Callable[[Machine, Instruction], None]


@dataclass(frozen=True)
class Simulation:
    """What a kernel wrote (int32) and what it took; ``cycles`` and ``stalls`` (of them) are estimated,
    ``flags`` names every saturation, ``returned`` is what it gave back.
    """

    values: np.ndarray
    instructions: int
    cycles: int
    stalls: int
    flags: tuple[str, ...]
    returned: int = 0


@lru_cache
def load(name: str) -> Program:
    """A .S file of the family ``pie``, decoded."""
    folder = resource_dir("firmware_templates") / "kernels" / "pie"
    return assemble((folder / name).read_text(), BASE | PIE, name, folder=folder)


def simulate_gemv(
    trits: np.ndarray,
    x: np.ndarray,
    watch: Watch | None = None,
    program: Program | None = None,
    family: str = "pie",
    function: str = "bm_pie_gemv",
    kept: Sequence[int] = (),
) -> Simulation:
    """y = trits x; ``trits``: int8 [N, K] in {-1, 0, 1}, ``x``: int8 [K]. Values: int32 [N].

    ``program``, ``family`` (of the packing), ``function`` and ``kept`` (registers that a caller defines) run
    another kernel of the same interface. Raises ``Trap`` and ``AssemblyError``.
    """
    n, k = trits.shape
    memory = Memory()
    padded = np.zeros(-(-k // K_BLOCK) * K_BLOCK, np.int8)
    padded[:k] = x
    w = memory.add("w", pack(trits, family))
    codes = memory.add("x", padded.tobytes())
    y = memory.add("y", GARBAGE * (4 * (-(-n // TALLEST) * TALLEST)), writable=True)
    arguments = (w, codes, int(x.sum(dtype=np.int64)), n, k, y)
    return _run(memory, program or load(GEMV), function, arguments, n, watch, kept)


def simulate_five(
    trits: np.ndarray, x: np.ndarray, watch: Watch | None = None, program: Program | None = None
) -> Simulation:
    """The same with five weights in a byte; K at most 2064."""
    n, k = trits.shape
    vectors, last = five_vectors(x)
    memory = Memory()
    w, codes = memory.add("w", pack5(trits, "pie")), memory.add("x", vectors.tobytes())
    y = memory.add("y", GARBAGE * (4 * (-(-n // TALLEST) * TALLEST)), writable=True)
    arguments = (w, codes, int(x.sum(dtype=np.int64)), n, 4 * len(vectors) + last, y)
    return _run(memory, program or load(FIVE), "bm_pie_five", arguments, n, watch)


def simulate_skip(
    trits: np.ndarray, x: np.ndarray, floor: np.ndarray | None = None, watch: Watch | None = None
) -> Simulation:
    """A tile of a 2-skip head: sums of codes w + 1, until no row is above the floor; it returns
    the steps done. trits: int8 [16, K]; x: int8 [K], K a multiple of 16, at most 2064; floor: int32 [K / 16].
    """
    steps = trits.shape[1] // SKIP_STEP
    memory = Memory()
    tile = memory.add("tile", pack_skip(trits, np.arange(trits.shape[1]), np.arange(SKIP_ROWS)))
    codes = memory.add("x", x.tobytes())
    least = memory.add("floor", floor.astype("<i4").tobytes()) if floor is not None else 0
    y = memory.add("y", GARBAGE * (4 * SKIP_ROWS), writable=True)
    return _run(memory, load(SKIP), "bm_pie_skip", (tile, codes, least, steps, y), SKIP_ROWS, watch)


def five_vectors(x: np.ndarray) -> tuple[np.ndarray, int]:
    """int8 [vectors, 16] as bm_t5_table of the family makes them of ``x``, int8 [K]: three steps of five k
    each and a zero; the last one's steps, one to three as returned, at its end.
    """
    steps = -(-len(x) // K_STEP5)
    last = (steps - 1) % 3 + 1
    fives = np.zeros((-(-steps // 3) * 3, K_STEP5), np.int8)
    fives[:steps].reshape(-1)[: len(x)] = x
    fives[-3:] = np.roll(fives[-3:], 3 - last, axis=0)
    return np.pad(fives.reshape(-1, 3 * K_STEP5), ((0, 0), (0, 1))), last


def simulate_dots(a: np.ndarray, q: np.ndarray, stride: int) -> Simulation:
    """y[i] = a[i] . q over rows ``stride`` bytes apart; ``a``: int8 [N, len], ``q``: int8 [len], len and
    stride multiples of 16. Values: int32 [N].
    """
    n, length = a.shape
    memory = Memory()
    keys, query = memory.add("a", _rows(a, stride)), memory.add("q", q.astype(np.int8).tobytes())
    arguments = (keys, stride, query, n, length // 16, memory.add("y", GARBAGE * (4 * n), writable=True))
    return _run(memory, load(ATTEND), "bm_pie_dots", arguments, n)


def simulate_wsum16(w: np.ndarray, v: np.ndarray, stride: int, skew: int = 0) -> Simulation:
    """y[k] = sum_i w[i] v[i, k] over 16 columns of rows ``stride`` bytes apart; ``w``: int32 [N] in [0,
    2^14], ``skew`` bytes past a multiple of 16; ``v``: int8 [N, 16]. Values: int32 [16].
    """
    memory = Memory()
    weights, values = memory.add("w", w.astype("<i4").tobytes(), skew=skew), memory.add("v", _rows(v, stride))
    arguments = (weights, values, stride, len(v), memory.add("y", GARBAGE * 64, writable=True))
    return _run(memory, load(ATTEND), "bm_pie_wsum16", arguments, 16)


def simulate_probe() -> int:
    """What ``bm_pie_probe`` gives: 4 where the sums that EE.SRCMB shifts are written back."""
    machine = Machine(Memory())
    machine.prepare(())
    return machine.run(load(GEMV), "bm_pie_probe")


def _rows(rows: np.ndarray, stride: int) -> bytes:
    """Rows in memory, ``stride`` bytes apart; nothing after the last one."""
    out = np.full(stride * (len(rows) - 1) + rows.shape[1], 0x5A, np.int8)
    for i, row in enumerate(rows):
        out[i * stride : i * stride + len(row)] = row
    return out.tobytes()


def _run(
    memory: Memory,
    program: Program,
    function: str,
    arguments: Sequence[int],
    count: int,
    watch: Watch | None = None,
    kept: Sequence[int] = (),
) -> Simulation:
    machine = Machine(memory)
    machine.prepare(arguments, kept)
    returned = machine.run(program, function, watch)
    values = np.frombuffer(memory.data("y"), "<i4")[:count].astype(np.int32)
    pipeline = machine.pipeline
    return Simulation(
        values, machine.executed, pipeline.cycles, pipeline.stalls, tuple(machine.flags), returned
    )
