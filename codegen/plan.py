# SPDX-License-Identifier: Apache-2.0
"""The memory plan: every buffer and weight section in a region of the board, before anything is built.

What is read most often per byte goes to the fastest region: first the scratch buffers, then weights and
caches by the bytes of them that one token reads. Weights lie where the blob is stored; the hottest are copied
to faster memory at boot.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.errors import FitError
from bitmar_tiny.memory.format import Layout

from .advice import fewer_slots, human, smaller_blob, smaller_window
from .boards import Board, Region
from .buffers import STREAM, Buffer, arena_buffers, buffer_traffic, pad, section_traffic, stream_bytes
from .lower import Blob

PLACE_BITS = 28  # bitmar.h: region above, offset below
#: Tokens in the window when the plan weighs caches against weights: most answers are short.
SHORT_CONTEXT = 32
#: A section is copied if one token reads this share of it; below, room and time at boot are worth more.
COPY_WORTH = 1 / 64
#: Heat of what is placed before all that a token reads once (at most 1): what has only one region to be in
#: comes after scratch.
SCRATCH, PINNED = 3.0, 2.0


@dataclass(frozen=True)
class Placement:
    """``size`` bytes at ``offset`` in ``region``. kind: weights (read-only, as stored), copy (of weights,
    made at boot), arena or stack. ``per_token``: bytes that one token reads here, at ``SHORT_CONTEXT``
    (estimated).
    """

    name: str
    kind: str
    region: str
    offset: int
    size: int
    what: str
    per_token: float = 0


@dataclass(frozen=True)
class Plan:
    """Where everything lies. All figures are predictions (estimated) until a build confirms them."""

    board: str
    placements: list[Placement]
    regions: list[Region]

    def of_kind(self, *kinds: str) -> list[Placement]:
        return [p for p in self.placements if p.kind in kinds]

    def bytes_in(self, region: str) -> int:
        """Bytes used in a region; everything starts at an aligned offset."""
        return sum(pad(p.size) for p in self.placements if p.region == region)

    @property
    def arenas(self) -> dict[str, int]:
        """Bytes of the arena of every region that has one, in the order of the regions."""
        sizes = {
            r.name: sum(pad(p.size) for p in self.of_kind("arena", "copy") if p.region == r.name)
            for r in self.regions
        }
        return {name: size for name, size in sizes.items() if size}

    def place(self, name: str) -> int:
        """Address of a buffer, or of a section of the blob, as the C source has it: region and offset."""
        best = self.read_from(name)
        region = 0 if best.kind == "weights" else 1 + list(self.arenas).index(best.region)
        return region << PLACE_BITS | best.offset

    @property
    def streams(self) -> bool:
        """Whether the head is read through buffers while the block before is computed."""
        return any(p.name == STREAM for p in self.placements)

    def read_from(self, name: str) -> Placement:
        """Where a buffer is, or where a section of the blob is read from."""
        found = [p for p in self.placements if p.name == name]
        return next((p for p in found if p.kind != "weights"), found[0])

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form, for ``plan.json``. Nothing is unpacked when the model loads, so its peak is what
        stays.
        """
        return {
            "schema": "bitmar-tiny/plan",
            "schema_version": 2,
            "label": "estimated",
            "board": self.board,
            "regions": [
                {
                    "name": r.name,
                    "used": self.bytes_in(r.name),
                    "load_peak": self.bytes_in(r.name),
                    "size": r.size,
                    "largest_block": r.largest_block,
                    "per_token": sum(p.per_token for p in self.placements if p.region == r.name),
                    "what": r.what,
                }
                for r in self.regions
            ],
            "placements": [asdict(p) for p in self.placements],
        }


@dataclass
class _Item:
    """Something that needs a place; ``must``: it has no other home."""

    name: str
    kind: str
    size: int
    what: str
    per_token: float
    must: bool
    heat: float
    only: str | None = None


class _Arenas:
    """Regions for what changes and for copies, filled from the fastest on."""

    def __init__(self, board: Board):
        self.regions = [r for r in board.regions if {"arena", "copies"} & set(r.holds)]
        self.used = dict.fromkeys((r.name for r in self.regions), 0)
        self.stack = {r.name: pad(board.stack_bytes) if "stack" in r.holds else 0 for r in self.regions}
        self.placed: list[Placement] = []

    def free(self, region: Region) -> int:
        """Bytes that the region's one arena can still grow by."""
        return (
            min(region.size - self.stack[region.name], region.largest_block, 1 << PLACE_BITS)
            - self.used[region.name]
        )

    def put(self, item: _Item, region: Region) -> None:
        self.placed.append(
            Placement(
                item.name,
                item.kind,
                region.name,
                self.used[region.name],
                item.size,
                item.what,
                item.per_token,
            )
        )
        self.used[region.name] += pad(item.size)

    def find(self, item: _Item) -> Region | None:
        use = "arena" if item.must else "copies"
        return next(
            (
                r
                for r in self.regions
                if use in r.holds and item.only in (None, r.name) and self.free(r) >= pad(item.size)
            ),
            None,
        )


def make_plan(cfg: ModelConfig, blob: Blob, board: Board, memory_region: str | None = None) -> Plan:
    """Place everything, or raise ``FitError`` naming the region, the overshoot and the knob to turn.

    ``memory_region``: the region that a memory in RAM has to be in (default: by heat). Where the board can
    stream the head, and it is worth the room, its buffers are in the nearest memory.
    """
    if streamed := stream_bytes(cfg, board, blob):
        try:
            plan = _make_plan(cfg, blob, board, memory_region, streamed)
        except FitError:  # perhaps without
            plan = None
        if plan and _worth_streaming(plan, board):
            return plan
    return _make_plan(cfg, blob, board, memory_region)


def _worth_streaming(plan: Plan, board: Board) -> bool:
    """Whether the head comes so much quicker that its buffers may take the place of other weights, which are
    then read from where it lies.
    """
    head, buffers = plan.read_from("head_w"), plan.read_from(STREAM)
    mb_s = board.stream.mb_s.get(head.region)
    plain = next(r.read_mb_s for r in board.regions if r.name == head.region) or 0
    return mb_s is not None and head.size * (1 - plain / mb_s) > buffers.size


def _make_plan(
    cfg: ModelConfig, blob: Blob, board: Board, memory_region: str | None, streamed: int = 0
) -> Plan:
    home, stack = (_region(board, kind) for kind in ("weights", "stack"))
    traffic = section_traffic(cfg, blob)
    items = _buffers(cfg, blob, board, memory_region, streamed)
    weights = [
        _Item(s.name, "copy", len(s.data), s.what, traffic[s.name], False, traffic[s.name] / len(s.data))
        for s in blob.sections
        if traffic[s.name] > len(s.data) * COPY_WORTH and s.name != "memory"
    ]
    arenas = _fill(board, items + weights) or _fill(board, items)
    if arenas is None and memory_region and _fill(board, _buffers(cfg, blob, board)):
        raise FitError(
            f"Model {cfg.name} does not fit {board.name}: region '{memory_region}' has no room for the "
            "memory beside the "
            f"scratch buffers.",
            "Leave the place to the plan (--memory auto).",
        )
    if arenas is None:
        _refuse(cfg, blob, board, items)
    copied = {p.name for p in arenas.placed if p.kind == "copy"}
    placements = [
        Placement(
            s.name,
            "weights",
            home.name,
            s.offset,
            len(s.data),
            s.what,
            0 if s.name in copied else traffic[s.name],
        )
        for s in blob.sections
    ]
    placements += [
        *arenas.placed,
        Placement("stack", "stack", stack.name, 0, board.stack_bytes, "deepest call (reserved)"),
    ]
    _check_blob(cfg, blob, board, home)
    if blob.memory == "sd":
        _check_store(cfg, board)
    return Plan(board.name, placements, board.regions)


def _buffers(
    cfg: ModelConfig, blob: Blob, board: Board, memory_region: str | None = None, streamed: int = 0
) -> list[_Item]:
    nearest = next((r.name for r in board.regions if "arena" in r.holds), None)

    def item(b: Buffer) -> _Item:
        only = {"memory": memory_region, STREAM: nearest}.get(b.name)
        reads = 0 if b.scratch else buffer_traffic(cfg, b.name, b.size, SHORT_CONTEXT)
        heat = SCRATCH if b.scratch else PINNED if only else reads / b.size
        return _Item(b.name, "arena", b.size, b.what, reads, True, heat, only)

    return [item(b) for b in arena_buffers(cfg, board, blob.head_bits, blob.memory, blob.family, streamed)]


def _fill(board: Board, items: list[_Item]) -> _Arenas | None:
    """Everything placed by heat, or None if something that must has no room. Room for that is kept free of
    copies.
    """
    arenas = _Arenas(board)
    waiting = sum(pad(i.size) for i in items if i.must)
    for item in sorted(items, key=lambda i: -i.heat):  # stable: in the order of the buffers and of the blob
        region = arenas.find(item)
        if item.must:
            waiting -= pad(item.size)
        elif (
            region
            and sum(arenas.free(r) for r in arenas.regions if "arena" in r.holds) - pad(item.size) < waiting
        ):
            continue
        if region:
            arenas.put(item, region)
        elif item.must:
            return None
    return arenas


def _region(board: Board, kind: str) -> Region:
    for region in board.regions:
        if kind in region.holds:
            return region
    raise FitError(f"Board {board.name} has no region that holds {kind}.", "Add one to its profile.")


def _refuse(cfg: ModelConfig, blob: Blob, board: Board, items: list[_Item]) -> None:
    """The buffers have no room: name the last region that could have held them, and the window that would
    fit.
    """
    arenas = _Arenas(board)
    holders = [r for r in arenas.regions if "arena" in r.holds]
    region = holders[-1]
    need = sum(pad(i.size) for i in items) - sum(max(arenas.free(r), 0) for r in holders[:-1])
    used = need + arenas.stack[region.name]
    if used > region.size:
        why = (
            f"region '{region.name}' has {human(region.size)}, the plan needs {human(used)}, "
            f"{human(used - region.size)} too much."
        )
    elif need > region.largest_block:
        why = (
            f"the arena needs {human(need)} in one piece, the largest block of '{region.name}' is "
            f"{human(region.largest_block)}."
        )
    else:
        big = max(items, key=lambda i: i.size)
        why = (
            f"its buffers cannot be shared out between {' and '.join(r.name for r in holders)}: "
            f"'{big.name}' is {human(big.size)} in one piece."
        )

    def fits(window: int) -> bool:
        return _fill(board, _buffers(cfg.model_copy(update={"window": window}), blob, board)) is not None

    raise FitError(f"Model {cfg.name} does not fit {board.name}: {why}", smaller_window(cfg, fits))


def _check_blob(cfg: ModelConfig, blob: Blob, board: Board, home: Region) -> None:
    room = min(home.size, home.largest_block, 1 << PLACE_BITS)
    if blob.size > room:
        raise FitError(
            f"Model {cfg.name} does not fit {board.name}: region '{home.name}' has {human(room)} in one "
            "piece, the model blob "
            f"needs {human(blob.size)}, {human(blob.size - room)} too much.",
            smaller_blob(cfg, blob, blob.size - room),
        )


def _check_store(cfg: ModelConfig, board: Board) -> None:
    home = _region(board, "store")
    room, need = min(home.size, home.largest_block), Layout(cfg.memory_slots, cfg.d_model).size
    if need > room:
        raise FitError(
            f"Model {cfg.name} does not fit {board.name}: region '{home.name}' ({home.what}) has "
            f"{human(room)}, the memory's store needs {human(need)}, {human(need - room)} too much.",
            fewer_slots(cfg, lambda slots: Layout(slots, cfg.d_model).size <= room),
        )
