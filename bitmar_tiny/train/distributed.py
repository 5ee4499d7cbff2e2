# SPDX-License-Identifier: Apache-2.0
"""One training process among several, as torchrun starts them; alone it is a world of one.

Every process holds the whole model and computes its rows of every batch. What couples rows of different
processes is made whole here: the mean over all labels, the contrastive loss over all pairs, the episodes at
the end of the batch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import ConfigError


@dataclass(frozen=True)
class World:
    """rank of this process among ``size``, and the device it computes on."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def main(self) -> bool:
        """The one process that writes files and talks."""
        return self.rank == 0

    def rows(self, batch_size: int) -> slice:
        """This process's rows of a batch. ``ConfigError`` where they cannot be shared out evenly."""
        if batch_size % self.size:
            raise ConfigError(
                f"batch_size={batch_size} cannot be shared out among {self.size} processes.",
                f"Choose a multiple of {self.size}, or another number of processes.",
            )
        share = batch_size // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def gather(self, x: Tensor) -> Tensor:
        """[b, ...] of every process -> [b * size, ...] in order of rank; its gradients come home summed."""
        return x if self.size == 1 else _Gather.apply(x.contiguous(), self)

    def mean(self, x: Tensor) -> Tensor:
        """Mean over the processes."""
        if self.size > 1:
            dist.all_reduce(x)
            x /= self.size
        return x

    def sum(self, x: Tensor) -> Tensor:
        """Sum over the processes."""
        if self.size > 1:
            dist.all_reduce(x)
        return x

    def any(self, here: bool) -> bool:
        """Whether it is so in one process at least."""
        if self.size == 1:
            return here
        return bool(self.sum(torch.tensor(float(here), device=self.device)))

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, world: World) -> Tensor:
        ctx.world, ctx.share = world, len(x)
        parts = [torch.empty_like(x) for _ in range(world.size)]
        dist.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor):
        grad = grad.contiguous()
        dist.all_reduce(grad)
        return grad[ctx.world.rank * ctx.share : (ctx.world.rank + 1) * ctx.share], None


def join(device: str = "auto") -> World:
    """The world that torchrun's environment describes, or a world of one.

    device: cpu, cuda or auto. ``ConfigError`` for cuda where PyTorch finds none.
    """
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise ConfigError(
            "PyTorch finds no CUDA device here.", "Use --device cpu, or install a CUDA build of PyTorch."
        )
    on_gpu = cuda and device != "cpu"
    local = int(os.environ.get("LOCAL_RANK", 0))
    if on_gpu and local >= torch.cuda.device_count():
        raise ConfigError(
            f"Process {local} has no GPU of its own, there are {torch.cuda.device_count()}.",
            "Start torchrun with --nproc-per-node of at most that.",
        )
    place = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(place)
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return World(device=place)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if on_gpu else "gloo")
    return World(dist.get_rank(), dist.get_world_size(), place)


def leave() -> None:
    """Take leave of the other processes, where there are any."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
