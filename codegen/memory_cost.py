# SPDX-License-Identifier: Apache-2.0
"""What the episodic memory costs where the plan puts it: bytes and time of a read and of an episode's write.
All estimated.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.memory.format import UNIT, Layout

from .boards import Board, Region
from .buffers import memory_read_bytes, pad
from .lower import Blob
from .plan import Plan

RECORDS = 2 * UNIT  # both copies of a commit record
WRITE_PASSES = 3  # over the scores: largest, sum, update (bm_memory.c)
KEEP_PASSES = 2  # over the keys: search, update (bm_memory_keyed.c)


@dataclass(frozen=True)
class MemoryCost:
    """One memory. A write moves between ``write_least`` (no row changes, only their usage) and ``write_most``
    (all rows change) bytes; milliseconds are None where the profile knows no rate.
    """

    tier: str
    region: str
    slots: int
    read_bytes: int
    read_ms: float | None
    write_least: int
    write_most: int
    write_ms_least: float | None
    write_ms_most: float | None
    label: str = "estimated"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def sentence(self) -> str:
        """For people."""
        read = f"a read moves {self.read_bytes / 1000:,.0f} kB" + (
            f" in {self.read_ms:.1f} ms" if self.read_ms is not None else ""
        )
        if self.write_most == 0:
            return f"Memory of {self.slots:,} slots in {self.region}, read-only: {read} (estimated)."
        wrote = f"an episode writes {_span(self.write_least / 1000, self.write_most / 1000)} kB"
        if self.write_ms_least is not None:
            wrote += f" in {_span(self.write_ms_least, self.write_ms_most)} ms"
        return f"Memory of {self.slots:,} slots in {self.region}: {read}, {wrote} (estimated)."


def _span(least: float, most: float) -> str:
    return f"{least:,.0f}" if least == most else f"{least:,.0f} to {most:,.0f}"


def memory_cost(cfg: ModelConfig, blob: Blob, board: Board, plan: Plan) -> MemoryCost:
    """Cost of the memory of a plan."""
    region = _region(blob, board, plan)
    if blob.memory == "sd":
        at = Layout(cfg.memory_slots, cfg.d_model)
        read, rows = store_read_bytes(cfg), 2 * at.blocks * at.plane
        least, one = at.groups * UNIT + RECORDS, 2 * at.plane
    else:
        read, rows = memory_read_bytes(cfg), cfg.memory_slots * 2 * pad(cfg.d_model)
        least, one = 8 * cfg.memory_slots, 2 * pad(cfg.d_model)
    if cfg.keyed:  # one slot changes: one row, or one block of a store
        scanned, least, changed = (KEEP_PASSES + 1) * rows // 2, least + one, 0
    else:
        scanned, changed = WRITE_PASSES * read + rows // 2, rows
    most = least + changed
    if blob.memory == "flash":
        least = most = 0
    read_ms = _ms(read, region.read_mb_s)
    compute = _compute_ms(cfg, board, blob)
    if read_ms is not None and compute is not None:
        if blob.memory != "sd":
            read_ms = read_ms * (region.cache_line is not None) + compute
        else:  # a keyed memory has no room to read ahead
            read_ms = read_ms + compute if cfg.keyed else max(read_ms, compute)
    taken = _ms(scanned, region.read_mb_s)
    wrote = [_ms(n, region.write_mb_s or region.read_mb_s) for n in (least, most)]
    times = [None if w is None or taken is None or most == 0 else w + taken for w in wrote]
    return MemoryCost(blob.memory, region.name, cfg.memory_slots, read, read_ms, least, most, *times)


def store_read_bytes(cfg: ModelConfig) -> int:
    """Bytes that one read of a memory in a store moves: the high planes, and the low ones of a keyed memory,
    of which a single block stays in RAM; and the state of every group, of which a single one does.
    """
    at = Layout(cfg.memory_slots, cfg.d_model)
    planes = at.blocks if not cfg.keyed else 2 * at.blocks if at.blocks > 1 else 0
    return planes * at.plane + (at.groups * UNIT if at.groups > 1 else 0)


def _region(blob: Blob, board: Board, plan: Plan) -> Region:
    if blob.memory == "ram":
        name = next(p.region for p in plan.of_kind("arena") if p.name == "memory")
        return next(r for r in board.regions if r.name == name)
    return next(r for r in board.regions if ("store" if blob.memory == "sd" else "weights") in r.holds)


def _ms(size: int, rate: float | None) -> float | None:
    return None if rate is None else size / rate / 1e3


def _compute_ms(cfg: ModelConfig, board: Board, blob: Blob) -> float | None:
    speed = board.speed
    if speed is None or speed.family != blob.family:
        return None
    return cfg.memory_slots * (2 * cfg.d_model / speed.attention + speed.exp_cycles) / speed.clock_mhz / 1e3
