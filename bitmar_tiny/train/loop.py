"""The training loop: deterministic by step, resumable at any kill, visible while it runs."""

from __future__ import annotations

import contextlib
import math
import warnings
from pathlib import Path
from typing import Any, Callable

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..config import ModelConfig
from ..errors import ConfigError, DataError
from ..model.attention import attend
from ..model.bitmar import BitMar
from ..tensors import tensor_table
from . import checkpoint
from .config import TrainConfig
from .controller import Controller
from .distributed import World
from .feed import Batches, Feed, Feeder
from .flops import forward_macs, training_flops
from .logs import FILE as LOG_FILE, Log
from .losses import PARTS, Objective
from .optim import make_optimiser
from .probe import Codes, look_inside, memory_in_use, sheet
from .progress import Bar
from .schedule import learning_rate

LOW = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
#: Streams that are looked into at every log line.
PROBED = 8


class Trainer:
    """Model, optimiser, scaler and controller, and one optimiser step over them. Everything that a checkpoint holds."""

    def __init__(self, cfg: ModelConfig, tcfg: TrainConfig, world: World = World()) -> None:
        torch.manual_seed(tcfg.seed)                         # the same weights in every process
        self.cfg, self.world, self.step, self.tokens = tcfg, world, 0, 0
        self.model = BitMar(cfg, tcfg.float_twin, tcfg.dropout, low=LOW[tcfg.precision], recompute=tcfg.recompute).to(world.device).train()
        if tcfg.compile:
            self.model.attend = torch.compile(attend, dynamic=True)
        self.optimiser, self.optimiser_name = make_optimiser(self.model, tcfg)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=tcfg.precision == "fp16")
        self.controller = Controller(tcfg)
        self.parts = {part: [self.model.latent[s.name.replace(".", "/")] for s in tensor_table(cfg) if s.part == part]
                      for part in ("encoder", "vision", "memory")}
        self.objective: nn.Module = Objective(self.model, tcfg, world)
        if world.size > 1:                                   # text batches leave the vision encoder without gradients
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)   # newer versions call broadcast_buffers something else
                self.objective = DistributedDataParallel(self.objective, find_unused_parameters=True, broadcast_buffers=False)

    def advance(self, feeds: list[Feed]) -> dict[str, float | None]:
        """One optimiser step over ``accumulation`` feeds. Returns the mean loss parts over all processes: lm, memory and, None
        without pictures, contrastive and alignment. ``ConfigError`` where the loss is no longer a number."""
        if self.cfg.dropout:                                 # a pure function of the step, so that any step can be resumed
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
        sums = dict(zip(PARTS, self.world.mean(total).tolist()))        # the one place where a step waits for the device
        if not math.isfinite(sums["lm"]):
            raise ConfigError(f"The loss is no longer a number at step {self.step}.",
                              "Lower lr, or set precision to bf16 or float32; the last checkpoint is intact.")
        pairs = sums["pairs"]
        return {"lm": sums["lm"] / len(feeds), "memory": sums["memory"] / len(feeds),
                "contrastive": sums["contrastive"] / pairs if pairs else None, "alignment": sums["cosine"] / pairs if pairs else None}

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
        return {"step": self.step, "tokens": self.tokens, "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(),
                "optimiser_name": self.optimiser_name, "scaler": self.scaler.state_dict(), "controller": self.controller.state()}

    def restore(self, state: dict[str, Any], where: Path) -> None:
        """Continue from a checkpoint. ``DataError`` for one of another model or optimiser."""
        name = state.get("optimiser_name", "adamw")
        if name.split(" (adamw8bit")[0] != self.optimiser_name.split(" (adamw8bit")[0]:
            raise DataError(f"{where}: the checkpoint's optimiser is {name}, this one is {self.optimiser_name}.",
                            "Continue where the same library is installed, or --restart.")
        self.step, self.tokens = checkpoint.restore(self.model, state, where), state.get("tokens", 0)
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state.get("scaler", {}))
        if "controller" in state:
            self.controller = Controller.restore(self.cfg, state["controller"])


def train(cfg: ModelConfig, tcfg: TrainConfig, data: Batches, out: Path, resume: bool = True, progress: bool = True,
          world: World = World(), holdout: Callable[[BitMar], dict[str, Any]] | None = None, epoch_steps: float | None = None,
          wandb: str | None = None) -> BitMar:
    """Train up to ``tcfg.steps``; returns the model in eval mode. Same seed, same steps: same bits on a CPU,
    however often the run was interrupted in between. ``DataError`` for an unreadable checkpoint or a full disk.

    holdout: called every ``holdout_every`` steps in every process; epoch_steps: for the log; wandb: "offline" or "online".
    """
    trainer = Trainer(cfg, tcfg, world)
    if not resume and world.main:
        for name in (checkpoint.FILE, checkpoint.PREVIOUS, LOG_FILE):
            (out / name).unlink(missing_ok=True)
    world.wait()
    state = checkpoint.load(out) if resume else None
    if state is not None:
        trainer.restore(state, out)
    with contextlib.ExitStack() as stack:
        feeder = stack.enter_context(Feeder(data, tcfg, world, trainer.step * tcfg.accumulation))
        reporter = stack.enter_context(Reporter(trainer, data, out, epoch_steps, wandb, progress)) if world.main else None
        while trainer.step < tcfg.steps:
            feeds = [feeder.next() for _ in range(tcfg.accumulation)]
            parts = trainer.advance(feeds)
            event = trainer.controller.observe(trainer.step, parts["alignment"]) if tcfg.controller else None
            due = holdout and tcfg.holdout_every and (trainer.step % tcfg.holdout_every == 0 or trainer.step == tcfg.steps)
            held = holdout(trainer.model) if due else None
            if reporter:
                reporter.step(parts, feeds, event, held)
                if trainer.step % tcfg.checkpoint_every == 0 or trainer.step == tcfg.steps:
                    checkpoint.save(out, trainer.state())
    world.wait()
    return trainer.model.eval()


class Reporter:
    """What the main process tells about each step: bar, log, looks inside. A context manager."""

    def __init__(self, trainer: Trainer, data: Batches, out: Path, epoch_steps: float | None, wandb: str | None, progress: bool) -> None:
        cfg = trainer.cfg
        self.trainer, self.epoch_steps, self.codes = trainer, epoch_steps, Codes()
        self.bar = Bar(cfg.steps, trainer.step, progress)
        self.log = Log(out, trainer.step, {"model": trainer.model.cfg.model_dump(), "training": cfg.model_dump()}, wandb)
        self.probe = Feeder(data, cfg).make(0)
        self.sums: dict[str, list[float]] = {}

    def __enter__(self) -> "Reporter":
        t = self.trainer
        self.log.__enter__()
        self.bar.__enter__()
        words = f"{t.optimiser_name}, {t.cfg.precision}, {t.world.size} process{'es' * (t.world.size > 1)} on {t.world.device.type}"
        self.log.write("note", t.step, text=words)
        if t.optimiser_name.startswith("adamw ("):
            self.bar.say(t.optimiser_name)
        if not t.cfg.float_twin:
            self.codes.look(t.model, t.step)
        return self

    def __exit__(self, *error: Any) -> None:
        self.bar.__exit__(*error)
        self.log.__exit__(*error)

    def step(self, parts: dict[str, float | None], feeds: list[Feed], event: dict[str, Any] | None, held: dict[str, Any] | None) -> None:
        t = self.trainer
        self.bar.advance(parts["lm"], sum(f.total for f in feeds))
        for name, value in parts.items():
            if value is not None:
                self.sums.setdefault(name, []).append(value)
        if event:
            self.log.write("intervention", **event)
            self.bar.say(f"step {t.step:,}: {event['event']} {event['action']} (alignment {event['average']:.3f}, best {event['best']:.3f})")
        if held:
            self.log.write("holdout", t.step, **held)
        if t.step % t.cfg.log_every == 0 or t.step == t.cfg.steps:
            self.write(feeds)

    def write(self, feeds: list[Feed]) -> None:
        """The log line of a step: means since the last line, looks inside, cost."""
        t = self.trainer
        mean = {name: sum(values) / len(values) for name, values in self.sums.items()}
        self.sums = {}
        memory, maps = look_inside(t.model, self._probe())
        macs = sum(forward_macs(t.model.cfg, f.size, f.images is not None) for f in feeds) * t.world.size
        self.log.write(
            "step", t.step, epoch=t.step / self.epoch_steps if self.epoch_steps else None, tokens=t.tokens,
            loss={k: mean[k] for k in ("lm", "contrastive", "memory") if k in mean}, perplexity=math.exp(min(mean["lm"], 700)),
            alignment=mean.get("alignment"), alignment_average=t.controller.average, lr=learning_rate(t.cfg, t.step - 1),
            codes={} if t.cfg.float_twin else self.codes.look(t.model, t.step), memory=memory,
            flops_per_step=training_flops(macs, t.cfg.recompute), tokens_per_second=self.bar.rate, bytes=memory_in_use(t.world.device))
        self.log.picture("attention", sheet(maps), t.step)

    def _probe(self) -> Feed:
        """The first streams of the first batch, on the device."""
        f, n = self.probe, PROBED
        wide = f.tokens.shape[1]
        few = int((f.at < n * wide).sum())
        return Feed(f.tokens[:n], f.at[:few], f.labels[:few], f.lengths[:n], None if f.images is None else f.images[:n],
                    None if f.has_image is None else f.has_image[:n], 1.0, f.size[:n], few).to(self.trainer.world.device)
