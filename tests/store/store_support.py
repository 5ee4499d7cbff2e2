# SPDX-License-Identifier: Apache-2.0
"""The C store's driver, and memories and episodes for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from firmware.build import KERNELS, PLATFORMS, ROOT, RUNTIME, STORE, Case, compile

from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.memory.format import ROWS, Layout
from bitmar_tiny.memory.store import Memory, MemoryStore

PLATFORM = PLATFORMS / "linux" / "memory_store"
SOURCES = [
    ROOT / "tests" / "firmware" / "store_driver.c",
    PLATFORM / "linux_store.c",
    KERNELS / "portable" / "bm_kernels.c",
    *(STORE / f"bm_{name}.c" for name in ("store", "store_episode", "store_format")),
    *(RUNTIME / f"bm_{name}.c" for name in ("crc32", "memory", "memory_keyed", "numerics")),
]
DIGEST = "0123456789abcdef" * 4
KEY = np.frombuffer(bytes.fromhex(DIGEST), np.uint8)
CALL_TIMEOUT_S = 900
#: enum bm_store_status and bm_store_kind of bm_store.h.
STATUSES = (
    "ok",
    "missing",
    "permission",
    "busy",
    "read-only",
    "full",
    "short",
    "io",
    "timeout",
    "blank",
    "foreign",
    "newer",
    "shape",
    "model",
    "damaged",
    "order",
    "buffers",
)
HEADER, RECORD, STATE, HIGH, LOW = range(5)


def build_driver(flags: list[str], out: Path, compiler: str = "gcc") -> list[str]:
    """Compile the driver; returns the command that runs it here."""
    return compile(SOURCES, [*flags, f"-I{PLATFORM}", f"-I{STORE}"], out, compiler)


def call(
    command: list[str],
    function: str,
    u: tuple = (),
    f: tuple = (),
    arrays: tuple = (),
    want: tuple[int, ...] = (),
):
    """Run one call. Returns its two results and the wanted arrays; a driver that stops fails by its words."""
    case = Case(function, function, u, f, arrays, want={i: arrays[i] for i in want})
    done = subprocess.run(command, input=case.to_bytes(), capture_output=True, timeout=CALL_TIMEOUT_S)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    at, back = 8, []
    for i in want:
        back.append(np.frombuffer(done.stdout, arrays[i].dtype, arrays[i].size, at))
        at += arrays[i].nbytes
    return *np.frombuffer(done.stdout, "<u4", 2).tolist(), *back


def text(path: Path) -> np.ndarray:
    """A path as the driver takes it."""
    return np.frombuffer(str(path).encode() + b"\0", np.uint8)


def random_memory(slots: int, width: int, seed: int = 0) -> Memory:
    rng = np.random.default_rng(seed)
    return Memory(
        rng.integers(-nm.CODE16_MAX, nm.CODE16_MAX + 1, (slots, width)).astype(np.int16),
        (rng.random(slots) / nm.CODE16_MAX).astype(np.float32),
        rng.integers(0, nm.USAGE_ONE, slots).astype(np.uint32),
    )


def keyed_memory(slots: int, width: int, seed: int = 0) -> Memory:
    """Keys and values, a third of the slots empty."""
    rng = np.random.default_rng(seed)
    keys, values = rng.integers(-127, 128, (2, slots, width))
    scales = np.array([nm.rms_scale(row.astype(np.int8)) for row in keys])
    usage = rng.integers(1, nm.USAGE_ONE, slots) * (rng.random(slots) < 0.7)
    return Memory(nm.codes_of(keys, values), scales, usage.astype(np.uint32), keyed=True)


def episode_after(memory: Memory, blocks: list[int], seed: int) -> Memory:
    """Other codes in some rows of ``blocks``, another usage of all rows, another scale of many."""
    rng = np.random.default_rng(seed)
    codes = memory.codes.copy()
    for block in blocks:
        row = min(block * ROWS + int(rng.integers(ROWS)), memory.slots - 1)
        codes[row] = -codes[row]
    stale = rng.random(memory.slots) < 0.5
    return Memory(
        codes,
        np.where(stale, memory.scales * np.float32(0.99), memory.scales),
        memory.usage - (memory.usage >> 5),
    )


def planes(memory: Memory) -> tuple[np.ndarray, ...]:
    """high, low int8 [blocks * 64, pitch], scales, usage: as the board holds them."""
    at = Layout(memory.slots, memory.width)
    padded = np.zeros((2, at.blocks * ROWS, at.pitch), np.int8)
    high = padded[0, : memory.slots, : memory.width] = nm.high_bytes(memory.codes)
    padded[1, : memory.slots, : memory.width] = memory.codes.astype(np.int32) - 256 * high.astype(np.int32)
    return padded[0], padded[1], memory.scales, memory.usage


def changed(before: Memory, after: Memory) -> np.ndarray:
    """uint8 [blocks], as ``how`` of the driver: 2 where codes differ, 1 elsewhere."""
    differs = (before.codes != after.codes).any(1)
    return np.array([2 if differs[i : i + ROWS].any() else 1 for i in range(0, before.slots, ROWS)], np.uint8)


def aged_store(path: Path, slots: int, width: int, episodes: int = 3) -> tuple[MemoryStore, Memory]:
    """A store after a few episodes, so that live homes are on both sides, and the memory in it."""
    memory = random_memory(slots, width)
    store = MemoryStore.create(path, memory, DIGEST)
    for i in range(episodes):
        memory = episode_after(memory, list(range(i, store.layout.blocks, 2)), i)
        store.commit(memory)
    return store, memory


def same(a: Memory, b: Memory) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(planes(a), planes(b), strict=False))
