# SPDX-License-Identifier: Apache-2.0
"""What the main process tells while it trains: bar, log, looks inside."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Any

from . import checkpoint
from .feed import Batches, Feed, Feeder
from .flops import forward_macs, training_flops
from .logs import Log
from .probe import Codes, look_inside, memory_in_use, sheet
from .progress import Bar
from .schedule import learning_rate
from .trainer import Trainer

#: Streams that are looked into at every log line.
PROBED = 8


class Reporter:
    """A context manager around the loop; ``step`` after every optimiser step."""

    def __init__(
        self,
        trainer: Trainer,
        data: Batches,
        out: Path,
        epoch_steps: float | None,
        wandb: str | None,
        progress: bool,
    ) -> None:
        cfg = trainer.cfg
        self.trainer, self.epoch_steps, self.codes = trainer, epoch_steps, Codes()
        self.out = out
        self.bar = Bar(cfg.steps, trainer.step, progress)
        self.log = Log(
            out, trainer.step, {"model": trainer.model.cfg.model_dump(), "training": cfg.model_dump()}, wandb
        )
        self.probe = Feeder(data, cfg).make(0)
        self.sums: dict[str, list[float]] = {}

    def __enter__(self) -> Reporter:
        t = self.trainer
        self.log.__enter__()
        self.bar.__enter__()
        words = (
            f"{t.optimiser_name}, {t.cfg.precision}, {t.world.size} process{'es' * (t.world.size > 1)} on "
            f"{t.world.device.type}"
        )
        self.log.write("note", t.step, text=words)
        if t.optimiser_name.startswith("adamw ("):
            self.bar.say(t.optimiser_name)
        if not t.cfg.float_twin:
            self.codes.look(t.model, t.step)
        if t.step >= t.cfg.steps:
            self.bar.say(f"Finished before: {t.step:,} steps. {self._command()} --steps N goes on to more.")
        return self

    def __exit__(self, *error: Any) -> None:
        self.bar.__exit__(*error)
        self.log.__exit__(*error)

    def step(
        self,
        parts: dict[str, float | None],
        feeds: list[Feed],
        event: dict[str, Any] | None,
        held: dict[str, Any] | None,
    ) -> None:
        t = self.trainer
        self.bar.advance(parts["lm"], sum(f.total for f in feeds))
        for name, value in parts.items():
            if value is not None:
                self.sums.setdefault(name, []).append(value)
        if event:
            self.log.write("intervention", **event)
            self.bar.say(
                f"step {t.step:,}: {event['event']} {event['action']} (alignment {event['average']:.3f}, "
                f"best {event['best']:.3f})"
            )
        if held:
            self.log.write("holdout", t.step, **held)
        if t.step % t.cfg.log_every == 0 or t.step == t.cfg.steps:
            self.write(feeds)

    def stopped(self, out: Path) -> None:
        """That the run was stopped, what of it is kept, and how it goes on."""
        t = self.trainer
        self.bar.say(
            f"Stopped after step {t.step:,} of {t.cfg.steps:,}. Kept: {out / checkpoint.FILE}; "
            f"{self._command()} goes on from there."
        )

    def _command(self) -> str:
        """What goes on with this run."""
        return f"bitmar-tiny train -o {shlex.quote(str(self.out))}"

    def write(self, feeds: list[Feed]) -> None:
        """The log line of a step: means since the last line, looks inside, cost."""
        t = self.trainer
        mean = {name: sum(values) / len(values) for name, values in self.sums.items()}
        self.sums = {}
        memory, maps = look_inside(t.model, self._probe())
        macs = sum(forward_macs(t.model.cfg, f.size, f.images is not None) for f in feeds) * t.world.size
        self.log.write(
            "step",
            t.step,
            epoch=t.step / self.epoch_steps if self.epoch_steps else None,
            tokens=t.tokens,
            loss={k: mean[k] for k in ("lm", "contrastive", "memory") if k in mean},
            perplexity=math.exp(min(mean["lm"], 700)),
            alignment=mean.get("alignment"),
            alignment_average=t.controller.average,
            lr=learning_rate(t.cfg, t.step - 1),
            codes={} if t.cfg.float_twin else self.codes.look(t.model, t.step),
            memory=memory,
            flops_per_step=training_flops(macs, t.cfg.recompute),
            tokens_per_second=self.bar.rate,
            bytes=memory_in_use(t.world.device),
        )
        self.log.picture("attention", sheet(maps), t.step)

    def _probe(self) -> Feed:
        """The first streams of the first batch, on the device."""
        f, n = self.probe, PROBED
        wide = f.tokens.shape[1]
        few = f.at < n * wide
        return Feed(
            f.tokens[:n],
            f.at[few],
            f.labels[few],
            f.lengths[:n],
            None if f.images is None else f.images[:n],
            None if f.has_image is None else f.has_image[:n],
            1.0,
            f.size[:n],
            int(few.sum()),
        ).to(self.trainer.world.device)
