# SPDX-License-Identifier: Apache-2.0
"""How long a board takes to look at a picture, before the first token of an episode. All estimated."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bitmar_tiny.arch.config import VISION_DIM, ModelConfig
from bitmar_tiny.arch.tables import convolutions, matrix_table

from .boards import Board
from .buffers import pad
from .estimate import gemv_rate, part_ms
from .kernels import K_BLOCK
from .lower import Blob
from .plan import Plan


@dataclass(frozen=True)
class PictureCost:
    """One picture: ternary products (multiplications), bytes that are read of each region, milliseconds
    (None without figures of the board).
    """

    products: int
    bytes: dict[str, int]
    ms: float | None
    label: str = "estimated"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def sentence(self) -> str:
        """For people."""
        time = f" in {self.ms:,.0f} ms" if self.ms is not None else ""
        kb, millions = sum(self.bytes.values()) / 1000, self.products / 1e6
        return f"A picture: {millions:,.1f} million products, {kb:,.0f} kB read{time} (estimated)."


def picture_cost(cfg: ModelConfig, blob: Blob, board: Board, plan: Plan) -> PictureCost:
    """The weights of a convolution are read once, in tiles that stay in the cache while the picture passes;
    those of the other products once for every image token.
    """
    seen = [m for m in matrix_table(cfg) if m.section.read in ("image", "picture")]
    times = {m.section.name: m.section.times for m in seen if m.section.read == "picture"}
    reads = {m.section.name: 1 if m.section.name in times else cfg.image_tokens for m in seen}
    moved: dict[str, int] = {}
    for p in plan.placements:
        if p.kind == "weights" and p.name in reads:
            moved[p.region] = moved.get(p.region, 0) + p.size * reads[p.name]
        elif p.kind == "arena" and p.name in ("picture", "map"):
            moved[p.region] = moved.get(p.region, 0) + _map_bytes(cfg, p.name)
    products = sum(m.rows * m.width * times.get(m.section.name, cfg.image_tokens) for m in seen)
    speed = board.speed if board.speed and board.speed.family == blob.family else None
    if speed is None:
        return PictureCost(products, moved, None)
    one, many = float(_elements(cfg) * speed.element_cycles), 0.0
    for m in seen:
        n = times.get(m.section.name, cfg.image_tokens)
        cycles = n * m.rows * pad(m.width, K_BLOCK) / gemv_rate(speed, m.width)
        split = m.section.name in times or m.rows * m.width >= board.platform.split_weights
        one, many = (one, many + cycles) if split else (one + cycles, many)
    many += _window_elements(cfg) * speed.element_cycles
    rate = {r.name: r.read_mb_s for r in plan.regions if r.cache_line and r.read_mb_s}
    bus = sum(size / rate[region] / 1e3 for region, size in moved.items() if region in rate)
    alone, shared = (cycles / speed.clock_mhz / 1e3 for cycles in (one, many))
    return PictureCost(products, moved, part_ms(alone, shared, bus, speed.cores))


def _map_bytes(cfg: ModelConfig, name: str) -> int:
    """The sums of a map are written once and read twice by the quantiser, its codes written and read."""
    layers = convolutions(cfg)
    if name == "map":
        return sum(layer.side**2 * layer.inputs + layer.cells * layer.outputs for layer in layers)
    return 12 * (3 * cfg.image_side**2 + sum(layer.cells * layer.outputs for layer in layers))


def _window_elements(cfg: ModelConfig) -> int:
    """Every code under a convolution is copied and added up, every sum compared."""
    return sum(layer.side**2 * (9 * layer.inputs + layer.outputs) for layer in convolutions(cfg))


def _elements(cfg: ModelConfig) -> int:
    """Float operations that are no products: quantisers, and the image tokens."""
    layers = convolutions(cfg)
    vectors = cfg.image_tokens * (10 + 4 * cfg.n_fusion_layers) * cfg.d_model
    if not layers:
        return vectors + cfg.image_tokens * (2 * VISION_DIM + 4 * cfg.vision_hidden)
    return vectors + 9 * cfg.image_side**2 + sum(4 * layer.cells * layer.outputs for layer in layers)
