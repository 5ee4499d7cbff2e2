# SPDX-License-Identifier: Apache-2.0
"""One optimiser step: model, losses, optimiser, controller, memory writes, and all that a checkpoint has to
hold of them.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..arch.config import ModelConfig
from ..arch.tables import tensor_table
from ..errors import ConfigError, DataError
from ..model.attention import attend
from ..model.bitmar import BitMar
from . import checkpoint
from .config import TrainConfig
from .controller import Controller
from .distributed import World
from .feed import Feed
from .losses import PARTS, Objective
from .optim import make_optimiser
from .schedule import learning_rate
from .threads import keep_freed_memory

LOW = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """Model, optimiser, scaler and controller, and one optimiser step over them. Everything that a checkpoint
    holds.
    """

    def __init__(self, cfg: ModelConfig, tcfg: TrainConfig, world: World = World()) -> None:
        keep_freed_memory()
        torch.manual_seed(tcfg.seed)  # the same weights in every process
        self.cfg, self.world, self.step, self.tokens = tcfg, world, 0, 0
        self.model = (
            BitMar(cfg, tcfg.float_twin, tcfg.dropout, low=LOW[tcfg.precision], recompute=tcfg.recompute)
            .to(world.device)
            .train()
        )
        if tcfg.compile:
            self.model.attend = torch.compile(attend, dynamic=True)
        self.optimiser, self.optimiser_name = make_optimiser(self.model, tcfg)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=tcfg.precision == "fp16")
        self.controller = Controller(tcfg)
        self.parts = {
            part: [self.model.latent[s.name.replace(".", "/")] for s in tensor_table(cfg) if s.part == part]
            for part in ("encoder", "vision", "memory")
        }
        self.objective: nn.Module = Objective(self.model, tcfg, world)
        if world.size > 1:  # text batches leave the vision encoder without gradients
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", FutureWarning
                )  # newer versions call broadcast_buffers something else
                self.objective = DistributedDataParallel(
                    self.objective, find_unused_parameters=True, broadcast_buffers=False
                )

    def advance(self, feeds: list[Feed]) -> dict[str, float | None]:
        """One optimiser step over ``accumulation`` feeds. Returns the mean loss parts over all processes: lm,
        memory and, None without pictures, contrastive and alignment. ``ConfigError`` where the loss is no
        longer a number.
        """
        if self.cfg.dropout:  # a pure function of the step, so that any step can be resumed
            torch.manual_seed((self.cfg.seed << 40) + (self.step << 10) + self.world.rank)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.cfg, self.step)
        self.optimiser.zero_grad()
        total = 0.0
        for i, feed in enumerate(feeds):
            last = i == len(feeds) - 1
            with contextlib.nullcontext() if last or self.world.size == 1 else self.objective.no_sync():
                loss, parts, queries = self.objective(feed, self.controller.boost)
                self.scaler.scale(loss / len(feeds)).backward()
            total = total + parts
        self._update(queries)
        self.step += 1
        self.tokens += sum(f.total for f in feeds)
        sums = dict(
            zip(PARTS, self.world.mean(total).tolist(), strict=False)
        )  # the one place where a step waits for the device
        if not math.isfinite(sums["lm"]):
            raise ConfigError(
                f"The loss is no longer a number at step {self.step}.",
                "Lower lr, or set precision to bf16 or float32; the last checkpoint is intact.",
            )
        pairs = sums["pairs"]
        return {
            "lm": sums["lm"] / len(feeds),
            "memory": sums["memory"] / len(feeds),
            "contrastive": sums["contrastive"] / pairs if pairs else None,
            "alignment": sums["cosine"] / pairs if pairs else None,
        }

    def _update(self, queries: Tensor) -> None:
        """Optimiser step and memory writes, but for what an intervention holds still."""
        self.scaler.unscale_(self.optimiser)
        frozen = self.controller.frozen_part
        for p in self.parts.get(frozen or "", ()):
            p.grad = None
        nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.model.commit(queries[:0] if frozen == "memory" else queries)

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "tokens": self.tokens,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "optimiser_name": self.optimiser_name,
            "scaler": self.scaler.state_dict(),
            "controller": self.controller.state(),
        }

    def restore(self, state: dict[str, Any], where: Path) -> None:
        """Continue from a checkpoint. ``DataError`` for one of another model or optimiser."""
        name = state.get("optimiser_name", "adamw")
        if name.split(" (adamw8bit")[0] != self.optimiser_name.split(" (adamw8bit")[0]:
            raise DataError(
                f"{where}: the checkpoint's optimiser is {name}, this one is {self.optimiser_name}.",
                "Continue where the same library is installed, or --restart.",
            )
        self.step, self.tokens = checkpoint.restore(self.model, state, where), state.get("tokens", 0)
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state.get("scaler", {}))
        if "controller" in state:
            self.controller = Controller.restore(self.cfg, state["controller"])
