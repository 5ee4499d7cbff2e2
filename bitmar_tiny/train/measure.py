# SPDX-License-Identifier: Apache-2.0
"""What a step costs and where its time goes: the input pipeline alone, then whole steps."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from ..arch.config import ModelConfig
from .config import TrainConfig
from .distributed import World
from .feed import Batches, Feed, Feeder
from .flops import forward_macs, training_flops
from .probe import memory_in_use
from .trainer import Trainer

#: Optimiser steps of the input pipeline alone; it is quick.
INPUT_STEPS = 10


@dataclass(frozen=True)
class Cost:
    """Seconds of one optimiser step: ``input_s`` to make its batches (one thread, nothing ahead),
    ``waiting_s`` that the step waited for them, ``step_s`` in all, ``kernels_s`` in which a kernel of the
    GPU, or an operator of the CPU, computed (of one step more, watched by PyTorch's profiler); tokens, FLOPs
    and the most memory in use, on ``device``. Medians.
    """

    device: str
    input_s: float
    waiting_s: float
    step_s: float
    kernels_s: float
    tokens_per_second: float
    flops_per_step: float
    bytes: int

    @property
    def input_times_faster(self) -> float:
        """How many times the input pipeline alone outruns the rest of the step."""
        return (self.step_s - self.waiting_s) / self.input_s

    @property
    def outside_kernels(self) -> float:
        """Share of the step in which no kernel computed."""
        return max(0.0, 1 - self.kernels_s / self.step_s)

    def as_dict(self) -> dict[str, Any]:
        more = {"input_times_faster": self.input_times_faster, "outside_kernels": self.outside_kernels}
        return asdict(self) | more


def measure(cfg: ModelConfig, tcfg: TrainConfig, data: Batches, steps: int, world: World = World()) -> Cost:
    """Measure ``steps`` optimiser steps after one that warms up, and one more in the profiler. Nothing is
    written.
    """
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
        kernels = _kernels(trainer, [feeder.next() for _ in range(tcfg.accumulation)], world)
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
        kernels,
        tokens / sum(took),
        flops / steps,
        memory_in_use(world.device),
    )


def _kernels(trainer: Trainer, feeds: list[Feed], world: World) -> float:
    """Seconds of an optimiser step in which at least one kernel computes."""
    cuda = world.device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # else it tells stderr that it starts
    with profile(activities=kinds) as seen:
        trainer.advance(feeds)
        if cuda:
            torch.cuda.synchronize()
    spans = sorted((e.time_range.start, e.time_range.end) for e in seen.events() if _computes(e, cuda))
    busy = end = 0.0
    for first, last in spans:  # microseconds; operators hold others
        busy += max(0.0, last - max(first, end))
        end = max(end, last)
    return busy * 1e-6


def _computes(event: Any, cuda: bool) -> bool:
    """Whether an event of the profiler is a kernel, or on a CPU an operator."""
    if not cuda:
        return event.name.startswith("aten::")
    noted = getattr(event, "is_user_annotation", False)  # older PyTorch does not say
    return event.device_type == DeviceType.CUDA and not noted


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
