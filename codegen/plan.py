"""The memory plan: every buffer and weight section in a region of the board, before anything is built."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bitmar_tiny.config import VISION_DIM, ModelConfig
from bitmar_tiny.errors import FitError

from .boards import Board, Region
from .lower import Blob
from .pack import packed5_size, table5_bytes

ALIGN = 64
ROWS = 32            # accumulators are padded to the tallest kernel tile (bm_kernels.h)
HEAD_ROWS = 4096
STACK_BYTES = 16384  # reserved for the deepest call; estimated, checked against -fstack-usage in tests


def pad(n: int, to: int = ALIGN) -> int:
    """Round n up to a multiple of ``to``."""
    return -(-n // to) * to


@dataclass(frozen=True)
class Placement:
    """``size`` bytes at ``offset`` in ``region``. kind: weights (read-only), arena or stack."""

    name: str
    kind: str
    region: str
    offset: int
    size: int
    what: str


@dataclass(frozen=True)
class Plan:
    """Where everything lies. All figures are predictions (estimated) until a build confirms them."""

    board: str
    placements: list[Placement]
    regions: list[Region]

    def of_kind(self, kind: str) -> list[Placement]:
        return [p for p in self.placements if p.kind == kind]

    def bytes_in(self, region: str) -> int:
        """Bytes used in a region; weights and arena each start at an aligned offset."""
        return sum(pad(p.size) for p in self.placements if p.region == region)

    @property
    def arena_bytes(self) -> int:
        return sum(pad(p.size) for p in self.of_kind("arena"))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form, for ``plan.json``."""
        return {
            "schema": "bitmar-tiny/plan", "schema_version": 1, "label": "estimated", "board": self.board,
            "regions": [{"name": r.name, "used": self.bytes_in(r.name), "size": r.size,
                         "largest_block": r.largest_block, "what": r.what} for r in self.regions],
            "placements": [asdict(p) for p in self.placements],
        }


def arena_buffers(cfg: ModelConfig, head_bits: str = "2") -> list[tuple[str, int, str]]:
    """Name, bytes and meaning of every buffer of the arena. The first three are the long-lived state."""
    d, slots, n = pad(cfg.d_model), cfg.memory_slots, cfg.context
    wide = max(cfg.d_model, cfg.vision_hidden)
    tallest = max(3 * cfg.d_model, cfg.d_ffn, cfg.vision_hidden, slots)
    spread = max(n, cfg.image_tokens, slots)
    table = [("head_table", table5_bytes(cfg.d_model), "sums of five products, for the 1.6-bit head")]
    return [
        ("kv", layers(cfg) * kv_bytes(cfg), f"int8 KV rings of {layers(cfg)} layers x {n} slots"),
        ("memory", memory_bytes(cfg), f"episodic memory, {slots} slots"),
        ("image", cfg.n_fusion_layers * image_bytes(cfg), f"keys and values of the image, {cfg.n_fusion_layers} fusion layers"),
        ("cond", 4 * cfg.n_decoder_layers * cfg.d_model, "memory conditioning of every decoder layer"),
        ("pooled", 4 * cfg.d_model, "pooled query"),
        ("x", 4 * cfg.d_model, "residual stream"),
        ("fused", 4 * cfg.d_model, "fused state"),
        ("vec", 4 * wide, "scratch vector"),
        ("out", 4 * max(cfg.d_model, VISION_DIM), "attention output, pooled image vector"),
        ("scores", 4 * spread, "attention and memory scores"),
        ("weights", 4 * spread, "integer attention and write weights"),
        ("weights2", 4 * slots, "integer content weights of a write"),
        ("codes", pad(max(wide, VISION_DIM)), "int8 input of the next BitLinear"),
        ("q", d, "query codes"),
        ("hidden", pad(max(cfg.d_ffn, cfg.vision_hidden)), "int8 hidden layer"),
        ("acc", 4 * pad(tallest, ROWS), "int32 accumulators"),
        ("head", d, "int8 input of the head"),
        ("logits", 4 * head_rows(cfg), "integer logits, a piece at a time"),
    ] + (table if head_bits == "1.6" else [])


def head_rows(cfg: ModelConfig) -> int:
    """Logits that are computed at a time: enough to keep a kernel busy, few enough to stay in the nearest cache."""
    return min(HEAD_ROWS, pad(cfg.vocab_size, ROWS))


def layers(cfg: ModelConfig) -> int:
    """Layers with a KV ring."""
    return cfg.n_encoder_layers + cfg.n_decoder_layers


def kv_bytes(cfg: ModelConfig) -> int:
    """Bytes of one layer's KV ring."""
    return pad(cfg.context * (2 * pad(cfg.d_model) + 8))


def image_bytes(cfg: ModelConfig) -> int:
    """Bytes of one fusion layer's image keys and values."""
    return pad(cfg.image_tokens * (2 * pad(cfg.d_model) + 8))


def memory_bytes(cfg: ModelConfig) -> int:
    """Bytes of the episodic memory: two code planes, scales, usage."""
    return cfg.memory_slots * (2 * pad(cfg.d_model) + 8)


def make_plan(cfg: ModelConfig, blob: Blob, board: Board) -> Plan:
    """Place everything, or raise ``FitError`` naming the region, the overshoot and the knob to turn."""
    placements: list[Placement] = []
    weights, arena, stack = (_region(board, kind) for kind in ("weights", "arena", "stack"))
    for section in blob.sections:
        placements.append(Placement(section.name, "weights", weights.name, section.offset, len(section.data), section.what))
    offset = 0
    for name, size, what in arena_buffers(cfg, blob.head_bits):
        placements.append(Placement(name, "arena", arena.name, offset, size, what))
        offset += pad(size)
    placements.append(Placement("stack", "stack", stack.name, 0, STACK_BYTES, "deepest call (reserved)"))
    plan = Plan(board.name, placements, board.regions)
    _check(plan, cfg, blob, weights, arena)
    return plan


def _region(board: Board, kind: str) -> Region:
    for region in board.regions:
        if kind in region.holds:
            return region
    raise FitError(f"Board {board.name} has no region that holds {kind}.", "Add one to its profile.")


def _check(plan: Plan, cfg: ModelConfig, blob: Blob, weights: Region, arena: Region) -> None:
    for region in plan.regions:
        used = plan.bytes_in(region.name)
        if used > region.size:
            raise FitError(f"Model {cfg.name} does not fit {plan.board}: region '{region.name}' has {human(region.size)}, "
                           f"the plan needs {human(used)}, {human(used - region.size)} too much.",
                           _knob(cfg, blob, used - region.size, weights.name == region.name and weights is not arena))
    for region, size, what in ((weights, blob.size, "model blob"), (arena, plan.arena_bytes, "arena")):
        if size > region.largest_block:
            raise FitError(f"Model {cfg.name} does not fit {plan.board}: the {what} needs {human(size)} in one piece, "
                           f"the largest block of '{region.name}' is {human(region.largest_block)}.",
                           _knob(cfg, blob, size - region.largest_block, region is weights and weights is not arena))


def _knob(cfg: ModelConfig, blob: Blob, over: int, weights_only: bool) -> str:
    if weights_only:
        head = next(len(s.data) for s in blob.sections if s.name == "head_w")
        saved = pad(head) - pad(packed5_size(cfg.vocab_size, cfg.d_model))
        if saved >= over:
            return f"Store the head in 1.6 bits a weight (--head-bits 1.6), which saves {human(saved)}."
        return f"Train with a smaller vocabulary (vocab_size={cfg.vocab_size}) or fewer layers."
    per_slot = layers(cfg) * (2 * pad(cfg.d_model) + 8)
    window = cfg.window - -(-over // per_slot)
    if window >= 1:
        return f"Reduce window from {cfg.window} to {window} or less ({human(per_slot)} for each slot)."
    return (f"Reduce window ({human(per_slot)} for each of its {cfg.window} slots), memory_slots="
            f"{cfg.memory_slots} and vocab_size={cfg.vocab_size} together.")


def human(n: int) -> str:
    """Bytes in words: 1536 -> '1.5 KiB'."""
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} B"
