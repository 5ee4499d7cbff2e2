# SPDX-License-Identifier: Apache-2.0
"""The training loop: deterministic by step, resumable at any kill, visible while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..arch.config import ModelConfig
from ..files import sweep
from ..model.bitmar import BitMar
from . import checkpoint
from .config import TrainConfig
from .distributed import World
from .feed import Batches, Feeder
from .logs import FILE as LOG_FILE
from .reporter import Reporter
from .stop import Stop
from .trainer import Trainer


def train(
    cfg: ModelConfig,
    tcfg: TrainConfig,
    data: Batches,
    out: Path,
    resume: bool = True,
    progress: bool = True,
    world: World = World(),
    holdout: Callable[[BitMar], dict[str, Any]] | None = None,
    epoch_steps: float | None = None,
    wandb: str | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> BitMar:
    """Train up to ``tcfg.steps``; returns the model in eval mode. Same seed, same steps: same bits on a CPU,
    however often the run was interrupted in between. ``DataError`` for an unreadable checkpoint or a full
    disk.

    Ctrl-C and SIGTERM end it after the step that is being computed, with a checkpoint of it.

    holdout: called every ``holdout_every`` steps in every process; epoch_steps: for the log; wandb: "offline"
    or "online"; weights: to begin with instead of random ones (``train.start``).
    """
    trainer = Trainer(cfg, tcfg, world)
    if weights:
        checkpoint.restore(trainer.model, {"model": weights, "step": 0}, out)
    if world.main:
        sweep(out)
        for name in () if resume else (checkpoint.FILE, checkpoint.PREVIOUS, LOG_FILE):
            (out / name).unlink(missing_ok=True)
    world.wait()
    state = checkpoint.load(out) if resume else None
    if state is not None:
        trainer.restore(state, out)
    stopped = False
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(Stop())
        feeder = stack.enter_context(Feeder(data, tcfg, world, trainer.step * tcfg.accumulation))
        reporter = (
            stack.enter_context(Reporter(trainer, data, out, epoch_steps, wandb, progress))
            if world.main
            else None
        )
        while trainer.step < tcfg.steps and not stopped:
            feeds = [feeder.next() for _ in range(tcfg.accumulation)]
            parts = trainer.advance(feeds)
            event = trainer.controller.observe(trainer.step, parts["alignment"]) if tcfg.controller else None
            due = (
                holdout
                and tcfg.holdout_every
                and (trainer.step % tcfg.holdout_every == 0 or trainer.step == tcfg.steps)
            )
            held = holdout(trainer.model) if due else None
            if reporter:
                reporter.step(parts, feeds, event, held)
            stopped = world.any(bool(stop.number))
            due = trainer.step % tcfg.checkpoint_every == 0 or trainer.step == tcfg.steps
            if reporter and (due or stopped):
                checkpoint.save(out, trainer.state())
            if reporter and stopped:
                reporter.stopped(out)
    if stopped:
        stop.obey()
    world.wait()
    return trainer.model.eval()
