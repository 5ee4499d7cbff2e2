# SPDX-License-Identifier: Apache-2.0
"""Looking into a model while it trains: ternary codes, memory slots, attention maps. Nothing here changes a
bit of it.
"""

from __future__ import annotations

import math
import resource
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arch.tables import tensor_table
from ..model.bitmar import BitMar
from .feed import Feed

#: Most tokens of an attention map.
SHOWN = 48
#: Steps over which changed codes are counted: codes that flip back and forth make shorter windows
#: incomparable.
WINDOW = 1000


def gaussian_baseline(threshold: float) -> float:
    """Zero fraction of Gaussian weights: P(|w| <= threshold * mean |w|). 31.0% at 1/2, 40.5% at the paper's
    2/3.
    """
    return math.erf(threshold / math.sqrt(math.pi))


@dataclass
class Codes:
    """Ternary codes as last seen and as seen ``WINDOW`` steps before, to count how many have changed."""

    last: dict[str, Tensor] | None = None
    mark: dict[str, Tensor] | None = None
    mark_step: int = 0

    @torch.no_grad()
    def look(self, model: BitMar, step: int) -> dict[str, float | None]:
        """E_q, the zero fraction of all ternary weights together, its Gaussian baseline, and the fraction of
        codes that differ from the last look and, once in ``WINDOW`` steps, from those so many steps ago (None
        between and at first).
        """
        now = {
            s.name: model.matrix(s.name)[0].to(torch.int8)
            for s in tensor_table(model.cfg)
            if s.kind == "ternary"
        }
        size = sum(t.numel() for t in now.values())

        def differ(then: dict[str, Tensor] | None) -> float | None:
            return None if then is None else sum(int((now[n] != then[n]).sum()) for n in now) / size

        due = self.mark is None or step - self.mark_step >= WINDOW
        window = differ(self.mark) if due else None
        report = {
            "zero_fraction": sum(int((t == 0).sum()) for t in now.values()) / size,
            "gaussian_baseline": gaussian_baseline(model.cfg.ternary_threshold),
            "changed": differ(self.last),
            "changed_per_1000_steps": None if window is None else window * WINDOW / (step - self.mark_step),
        }
        if due:
            self.mark, self.mark_step = now, step
        self.last = now
        return report


def effective_slots(weights: np.ndarray) -> float:
    """exp of the entropy: how many slots share the weight. 1 to K."""
    share = weights / max(weights.sum(), 1e-12)
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


@torch.no_grad()
def look_inside(model: BitMar, feed: Feed) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Memory and attention on a few streams that stay the same for the whole run.

    Returns memory {written_slots, read_slots: effective slots of the running usage and of the reads; reads:
    mean weight of each slot} and attention maps of the first stream, float32 [heads, T, N] by layer, at most
    ``SHOWN`` tokens.
    """
    model.eval()
    model.math.maps = maps = []
    try:
        model(feed.tokens, feed.images, feed.has_image, feed.at, logits=False)
    finally:
        model.math.maps = None
        model.train()
    attention = [m[0, :, :SHOWN, :SHOWN].cpu().numpy() for m in maps if m.ndim == 4]
    cfg, fused = model.cfg, feed.images is not None
    names = [f"encoder {i}" for i in range(cfg.n_encoder_layers)]
    names += [f"fusion {i}" for i in range(cfg.n_fusion_layers) if fused] + [
        f"decoder {i}" for i in range(cfg.n_decoder_layers)
    ]
    memory: dict[str, Any] = {"written_slots": effective_slots(model.usage.double().cpu().numpy())}
    for m in maps:
        if m.ndim == 3:
            counts = torch.ceil(feed.lengths / cfg.read_every)  # reads of padding are none
            real = torch.arange(m.shape[1], device=m.device) < counts[:, None]
            reads = m[real].double().mean(0).cpu().numpy()
            memory |= {"read_slots": effective_slots(reads), "reads": np.round(reads, 6).tolist()}
    return memory, dict(zip(names, attention, strict=False))


def memory_in_use(device: torch.device) -> int:
    """Most bytes in use so far: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def sheet(maps: dict[str, np.ndarray]) -> np.ndarray:
    """Attention maps as one picture, uint8 [H, W, 3]: a layer a row, a head a column, dark to bright."""
    import matplotlib

    colours = matplotlib.colormaps["magma"]
    side = max(max(m.shape[1:]) for m in maps.values())
    wide = max(len(m) for m in maps.values())
    out = np.full((len(maps) * (side + 2), wide * (side + 2), 3), 255, np.uint8)
    for row, heads in enumerate(maps.values()):
        for column, head in enumerate(heads):
            y, x = row * (side + 2), column * (side + 2)
            out[y : y + head.shape[0], x : x + head.shape[1]] = (
                colours(head / max(head.max(), 1e-9))[..., :3] * 255
            )
    return out.repeat(3, 0).repeat(3, 1)
