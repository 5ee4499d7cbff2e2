# SPDX-License-Identifier: Apache-2.0
"""How long one token takes, from the plan and the figures of the board profile. Everything here is estimated.

Memory behind a cache (a region with ``cache_line``) hangs on one bus, which serves one core at a time. Work
that is split over the cores takes max(bus, (bus + compute) / cores): while one core waits for its line, the
others compute. Work of one core takes bus + compute. Prefetching would hide the smaller of the two. A memory
in a store of its own bus is read ahead while one core computes on what came before: max(store, compute);
a keyed one is not, nor one behind the cache. A head that is streamed takes max(bus, compute) at the rate that
the board profile assumes, and its first block.
Reads of other memory are part of the kernels' cycles.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.arch.tables import cache_table, elements, matrix_table, section_table
from bitmar_tiny.errors import FitError

from .boards import Board, Speed
from .buffers import buffer_traffic, stream_bytes
from .lower import Blob
from .memory_cost import store_read_bytes
from .pack import packed5_size
from .plan import SHORT_CONTEXT, Plan, make_plan


@dataclass(frozen=True)
class Part:
    """One part of a token: compute time of one core doing all of it, and of the cores that it is split over;
    time on the bus (or of the store), and what passes. Milliseconds.
    """

    name: str
    compute_ms: float
    shared_ms: float
    bus_ms: float
    ms: float
    bytes: dict[str, float]


@dataclass(frozen=True)
class Estimate:
    """One token with ``context`` tokens in the window and an image set. assumed: what it takes for granted
    and what will tell; "" where that is only what the profile says of the board.
    """

    what: str
    context: int
    parts: list[Part]
    assumed: str = ""

    @property
    def ms(self) -> float:
        return sum(p.ms for p in self.parts)

    @property
    def tokens_per_s(self) -> float:
        return 1e3 / self.ms

    @property
    def bound_per_s(self) -> float:
        """Tokens per second that the bus alone would allow."""
        bus = sum(p.bus_ms for p in self.parts)
        return 1e3 / bus if bus else float("inf")

    @property
    def bytes(self) -> dict[str, float]:
        """Bytes read per token, by region."""
        names = dict.fromkeys(name for p in self.parts for name in p.bytes)
        return {name: sum(p.bytes.get(name, 0) for p in self.parts) for name in names}

    @property
    def bottleneck(self) -> str:
        """The part that takes longest, and the larger of its times: reading or computing on its cores."""
        worst = max(self.parts, key=lambda p: p.ms)
        where = max(worst.bytes, key=worst.bytes.get, default="memory")
        waits = (
            f"reading {where}"
            if worst.bus_ms > worst.shared_ms
            else "computing" + " on one core" * (worst.shared_ms == worst.compute_ms)
        )
        return f"{worst.name}, {waits}: {worst.ms:.1f} of {self.ms:.1f} ms"

    def as_dict(self) -> dict[str, Any]:
        return {
            "label": "estimated",
            "what": self.what,
            "context": self.context,
            "ms": self.ms,
            "tokens_per_s": self.tokens_per_s,
            "bound_per_s": self.bound_per_s,
            "bottleneck": self.bottleneck,
            "assumed": self.assumed,
            "bytes": self.bytes,
            "parts": [asdict(p) for p in self.parts],
        }


def plan_estimates(cfg: ModelConfig, blob: Blob, board: Board, plan: Plan) -> list[Estimate]:
    """The plan at a short window, and at a full one where that is longer. [] without figures."""
    if board.speed is None or board.speed.family != blob.family:
        return []
    found = [estimate(cfg, blob, board, plan, "this plan", SHORT_CONTEXT)]
    if cfg.context > SHORT_CONTEXT:
        found.append(estimate(cfg, blob, board, plan, "this plan, full window", cfg.context))
    return found


def estimates(
    cfg: ModelConfig, blob: Blob, board: Board, plan: Plan, memory_region: str | None = None
) -> list[Estimate]:
    """The plan at a short and at a full window, without streaming (if it streams), then what the other head
    (if it fits) and prefetching would give. [] without figures. ``memory_region``: as the plan was made with.
    """
    found = plan_estimates(cfg, blob, board, plan)
    if not found:
        return []
    if plan.streams:
        found.append(
            estimate(cfg, blob, board, plan, "if the head were not streamed", SHORT_CONTEXT, streamed=False)
        )
    other = _smaller_head(cfg, blob, board, memory_region) if blob.head_bits == "2" else None
    if other:
        found.append(estimate(cfg, other[0], board, other[1], "with --head-bits 1.6", SHORT_CONTEXT))
    found.append(
        estimate(cfg, blob, board, plan, "if prefetching hid the latency", SHORT_CONTEXT, prefetch=True)
    )
    if other:
        found.append(estimate(cfg, other[0], board, other[1], "both", SHORT_CONTEXT, prefetch=True))
    return found


def _smaller_head(
    cfg: ModelConfig, blob: Blob, board: Board, memory_region: str | None
) -> tuple[Blob, Plan] | None:
    """The blob's sections with a 1.6-bit head of zeros (its size is all that a plan needs), and their plan;
    None if they do not fit.
    """
    smaller = Blob(blob.family, blob.digest, "1.6", blob.memory)
    for s in blob.sections:
        smaller.add(
            s.name,
            bytes(packed5_size(cfg.vocab_size, cfg.d_model, blob.family)) if s.name == "head_w" else s.data,
            s.what,
            *s.source,
        )
    try:
        return smaller, make_plan(cfg, smaller, board, memory_region)
    except FitError:  # the head's table takes room that a smaller arena may not have
        return None


def estimate(
    cfg: ModelConfig,
    blob: Blob,
    board: Board,
    plan: Plan,
    what: str,
    context: int,
    prefetch: bool = False,
    streamed: bool = True,
) -> Estimate:
    """One token. ``prefetch``: memory at ``prefetch_mb_s``, hidden behind the computing as far as it goes.
    ``streamed``: the head is, where the plan has buffers for it.
    """
    streamed = streamed and plan.streams and not prefetch
    work = _compute(cfg, board, min(context, cfg.context)) | _head(cfg, board.speed, blob)
    bytes_of = _traffic(cfg, plan, context)
    store = next((r for r in plan.regions if "store" in r.holds), None) if blob.memory == "sd" else None
    if store:
        bytes_of["memory"] = {store.name: store_read_bytes(cfg) / cfg.read_every}
    rate = {
        r.name: (r.prefetch_mb_s if prefetch and r.prefetch_mb_s else r.read_mb_s)
        for r in plan.regions
        if r.cache_line and r.read_mb_s
    }
    rate |= {store.name: store.read_mb_s} if store and store.read_mb_s else {}
    parts = []
    for name, (alone, split) in work.items():
        moved = bytes_of.get(name, {})
        rates, first = rate, 0.0
        if streamed and name == "head":
            rates = rate | board.stream.mb_s
            first = stream_bytes(cfg, board, blob) / rates[plan.read_from("head_w").region] / 1e3
        bus = sum(size / rates[region] / 1e3 for region, size in moved.items() if region in rates)
        one, many = (cycles / board.speed.clock_mhz / 1e3 for cycles in (alone, split))
        ahead = bool(prefetch or first) or (
            store is not None and not store.cache_line and name == "memory" and not cfg.keyed
        )
        parts.append(
            Part(
                name,
                one + many,
                one + many / board.speed.cores,
                bus,
                part_ms(one, many, bus, board.speed.cores, ahead) + first,
                moved,
            )
        )
    return Estimate(what, context, parts, _assumed(blob, board, plan) if streamed or not plan.streams else "")


def _assumed(blob: Blob, board: Board, plan: Plan) -> str:
    """Of a board that can stream its head."""
    region = plan.read_from("head_w").region
    if board.stream is None or region not in board.stream.mb_s:
        return ""
    if blob.head_bits == "2-skip":
        return "A head of 2-skip is not streamed: which bytes it reads next depends on those before."
    if not plan.streams:
        return "The head is not streamed: its buffers are not worth their room, or have none."
    return (
        f"Assumed: the head is streamed from {region} at {board.stream.mb_s[region]:g} MB/s "
        f"({board.stream.source}). The board measures that when it starts: 'head by ..., which is "
        "taken' in 'bitmar-tiny profile' confirms or breaks it."
    )


def part_ms(one: float, many: float, bus: float, cores: int, prefetch: bool = False) -> float:
    """``one``: compute time of work that one core does, ``many``: of work that all share; ``bus``: theirs
    together.
    """
    if prefetch:
        return max(bus, one + many / cores)
    return max(bus, (bus + many) / cores) + one if many else bus + one


def _compute(cfg: ModelConfig, board: Board, context: int) -> dict[str, tuple[float, float]]:
    """Cycles of every part but the head: of work that stays on one core, and of work that is split."""
    speed, platform = board.speed, board.platform
    d, one, many = cfg.d_model, 0.0, 0.0
    for m in matrix_table(cfg):
        if m.section.form != "head" and m.section.read in ("token", "read"):
            times = 1 if m.section.read == "token" else 1 / cfg.read_every
            cycles = times * m.rows * m.width / gemv_rate(speed, m.width)
            one, many = (
                (one, many + cycles) if m.rows * m.width >= platform.split_weights else (one + cycles, many)
            )
    seen = sum(min(context, c.slots) if c.ring else c.slots for c in cache_table(cfg))
    attention = 2 * seen * d / speed.attention + seen * cfg.n_heads * speed.exp_cycles
    return {
        "layers": (one, many),
        "attention": (0, attention) if context * d >= platform.split_keys else (attention, 0),
        "memory": (cfg.memory_slots * (2 * d / speed.attention + speed.exp_cycles) / cfg.read_every, 0),
        "vectors": (elements(cfg) * speed.element_cycles, 0),
    }


def _head(cfg: ModelConfig, speed: Speed, blob: Blob) -> dict[str, tuple[float, float]]:
    """Cycles of the head, all of them split. One that skips looks at its logits as it goes."""
    rate = {"1.6": speed.head_1_6, "2-skip": speed.head_skip}.get(blob.head_bits) or gemv_rate(
        speed, cfg.d_model
    )
    pick = 0 if blob.head_bits == "2-skip" else speed.pick_cycles
    return {"head": (0, cfg.vocab_size * (cfg.d_model * blob.head_read / rate + pick))}


def gemv_rate(speed: Speed, width: int) -> float:
    """Weights per cycle at an input width: the nearest smaller one of the profile, or its first."""
    known = sorted(speed.gemv)
    return speed.gemv[max((k for k in known if k <= width), default=known[0])]


def _traffic(cfg: ModelConfig, plan: Plan, context: int) -> dict[str, dict[str, float]]:
    """Bytes that one token reads: part -> region -> bytes."""
    activity = {s.name: s.activity for s in section_table(cfg)}
    found: dict[str, dict[str, float]] = {}
    for p in plan.placements:
        cache = p.name.startswith(("kv.", "image."))
        moved = buffer_traffic(cfg, p.name, p.size, context) if cache else p.per_token
        if moved:
            part = "attention" if cache else activity.get(p.name, "layers")
            region = found.setdefault(part, {})
            region[p.region] = region.get(p.region, 0) + moved
    return found
