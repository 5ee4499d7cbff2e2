# SPDX-License-Identifier: Apache-2.0
"""How fast the firmware reads a memory out of its store, checked, beside a plain sequential read of the same
file.

python -m bitmar_tiny.bench.store [--slots 65536] [--width 128] [--folder .] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bitmar_tiny.codegen.resources import resource_dir

from ..errors import BitmarError, DataError, ToolError
from ..files import TemporaryFolder
from ..golden import numerics as nm
from ..memory.format import ROWS
from ..memory.store import Memory, MemoryStore
from .c_program import compiled, result, within

#: What ``store_read.c`` opens: the store of no model.
DIGEST = "00" * 32
REPEATS = 31
#: Episodes after which live homes lie on either side at random.
SCATTERING = 3
BENCH_TIMEOUT_S = 300
_KEPT = 3  # exit status: nothing can be made cold


@dataclass(frozen=True)
class StoreRate:
    """Medians over ``REPEATS`` passes, by turns in one run. ``layout``: fresh, or scattered by episodes;
    bytes per pass.
    """

    layout: str
    cache: str
    bytes: int
    plain_bytes_per_s: float
    store_bytes_per_s: float

    @property
    def of_plain(self) -> float:
        return self.store_bytes_per_s / self.plain_bytes_per_s


def measure_store(folder: Path, slots: int, width: int) -> list[StoreRate]:
    """Make a store of random rows in ``folder`` and time it, fresh and scattered, cold and warm.

    ``ToolError`` without a compiler or where the file system keeps files cached; ``StoreError`` if the disk
    refuses.
    """
    rng, rates = np.random.default_rng(0), []
    memory = Memory(
        rng.integers(-nm.CODE16_MAX, nm.CODE16_MAX + 1, (slots, width)).astype(np.int16),
        np.full(slots, 1 / nm.CODE16_MAX, np.float32),
        np.zeros(slots, np.uint32),
    )
    with TemporaryFolder(folder) as work:
        program = _compile(Path(work))
        store = MemoryStore.create(Path(work) / "memory.store", memory, DIGEST)
        for layout, episodes in (("fresh", 0), ("scattered", SCATTERING)):
            for _ in range(episodes):
                for block in np.flatnonzero(rng.random(store.layout.blocks) < 0.5):
                    memory.codes[block * ROWS] *= -1
                store.commit(memory)
            times = _run([str(program), str(store.path), str(slots), str(width), str(REPEATS)])
            for cache in ("cold", "warm"):
                plain, ours = (
                    times["bytes"] / statistics.median(times[f"{way}_{cache}_s"])
                    for way in ("plain", "store")
                )
                rates.append(StoreRate(layout, cache, times["bytes"], plain, ours))
    return rates


def _compile(folder: Path) -> Path:
    runtime, platform = (
        resource_dir("firmware_templates") / "runtime",
        resource_dir("firmware_templates") / "platforms" / "linux" / "memory_store",
    )
    sources = [
        resource_dir("firmware_templates") / "bench" / "store_read.c",
        platform / "linux_store.c",
        *(runtime / "memory_store" / f"bm_{name}.c" for name in ("store", "store_episode", "store_format")),
        runtime / "model" / "bm_crc32.c",
    ]
    includes = [runtime / "model", runtime / "memory_store", platform]
    return compiled(folder / "store_read", sources, includes, "the store's benchmark")


def _run(command: list[str]) -> dict:
    warm = ToolError(
        f"{Path(command[1]).parent.parent}: its file system keeps files in memory, so that no read is cold.",
        "Choose a folder on a disk with --folder.",
    )
    return result(command, BENCH_TIMEOUT_S, "The store's benchmark", "Take fewer slots.", {_KEPT: warm})


def main() -> None:
    """Time reads of a memory through its store."""
    parser = argparse.ArgumentParser(prog="python -m bitmar_tiny.bench.store", description=main.__doc__)
    parser.add_argument("--slots", type=within(1 << 22), default=65536, help="rows of the memory")
    parser.add_argument("--width", type=within(4096), default=128, help="codes of a row")
    parser.add_argument(
        "--folder", type=Path, default=Path("."), help="where to put the store: on the disk to measure"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    given = parser.parse_args()
    folder = given.folder
    try:
        if not folder.is_dir():
            raise DataError(
                f"{folder}: there is no such folder.", "Choose one on the disk to measure with --folder."
            )
        rates = measure_store(folder, given.slots, given.width)
    except BitmarError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    if given.json:
        print(
            json.dumps([asdict(r) | {"of_plain": r.of_plain, "label": "measured"} for r in rates], indent=2)
        )
        return
    for r in rates:
        print(
            f"{r.layout:9s} {r.cache}: store {r.store_bytes_per_s / 1e6:6.0f} MB/s, plain read "
            f"{r.plain_bytes_per_s / 1e6:6.0f} MB/s, "
            f"{100 * r.of_plain:.0f}%"
        )


if __name__ == "__main__":
    main()
