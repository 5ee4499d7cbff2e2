# SPDX-License-Identifier: Apache-2.0
"""What a step costs and where its time goes: the input pipeline alone, then whole steps."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..arch.config import ModelConfig
from .config import TrainConfig
from .distributed import World
from .feed import Batches, Feeder
from .flops import forward_macs, training_flops
from .probe import memory_in_use
from .trainer import Trainer

#: Optimiser steps of the input pipeline alone; it is quick.
INPUT_STEPS = 10


@dataclass(frozen=True)
class Cost:
    """Seconds of one optimiser step: ``input_s`` to make its batches (one thread, nothing ahead),
    ``waiting_s`` that the step waited for them, ``step_s`` in all; tokens, FLOPs and the most memory in use,
    on ``device``. Medians.
    """

    device: str
    input_s: float
    waiting_s: float
    step_s: float
    tokens_per_second: float
    flops_per_step: float
    bytes: int

    @property
    def input_times_faster(self) -> float:
        """How many times the input pipeline alone outruns the rest of the step."""
        return (self.step_s - self.waiting_s) / self.input_s

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"input_times_faster": self.input_times_faster}


def measure(cfg: ModelConfig, tcfg: TrainConfig, data: Batches, steps: int, world: World = World()) -> Cost:
    """Measure ``steps`` optimiser steps after one that warms up. Nothing is written."""
    trainer = Trainer(cfg, tcfg, world)
    lone = Feeder(data, tcfg, world)
    made = []
    for number in range(INPUT_STEPS):
        start = time.perf_counter()
        for i in range(tcfg.accumulation):
            lone.make(number * tcfg.accumulation + i)
        made.append(time.perf_counter() - start)
    waited, took, tokens, flops = [], [], 0, 0.0
    with Feeder(data, tcfg, world) as feeder:
        for number in range(steps + 1):
            start = time.perf_counter()
            feeds = [feeder.next() for _ in range(tcfg.accumulation)]
            fed = time.perf_counter()
            trainer.advance(feeds)
            if number:
                waited.append(fed - start)
                took.append(time.perf_counter() - start)
                tokens += sum(f.total for f in feeds)
                flops += training_flops(
                    sum(forward_macs(cfg, f.size, f.images is not None) for f in feeds) * world.size,
                    tcfg.recompute,
                )
    name = (
        torch.cuda.get_device_name(world.device)
        if world.device.type == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    )
    return Cost(
        name,
        _median(made),
        _median(waited),
        _median(took),
        tokens / sum(took),
        flops / steps,
        memory_in_use(world.device),
    )


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
