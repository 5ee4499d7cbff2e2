"""The training loop: deterministic by step, resumable at any kill, visible while it runs."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Protocol

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from ..config import ModelConfig
from ..data.mixture import Batch
from ..model.bitmar import BitMar
from ..tensors import tensor_table
from . import checkpoint
from .augment import shift_patches
from .config import TrainConfig
from .losses import IGNORE, total_loss
from .schedule import learning_rate

LOG_EVERY = 50          # steps
CODES_EVERY = 200       # steps between looks at the ternary codes
LINE_EVERY = 200        # steps
SMOOTHING = 0.98


class Batches(Protocol):
    """Training data: a pure function of the step (``data.mixture.Mixture``)."""

    def batch(self, step: int) -> Batch: ...


def make_optimiser(model: BitMar, cfg: TrainConfig) -> torch.optim.AdamW:
    """AdamW; only ternary latents decay (not gains, tables or the memory)."""
    ternary = {s.name.replace(".", "/") for s in tensor_table(model.cfg) if s.kind == "ternary"}
    groups = [{"params": [p for n, p in model.latent.items() if (n in ternary) == decays],
               "weight_decay": cfg.weight_decay if decays else 0.0} for decays in (True, False)]
    return torch.optim.AdamW(groups, lr=cfg.lr, betas=(0.9, 0.98))


def train(cfg: ModelConfig, tcfg: TrainConfig, data: Batches, out: Path, resume: bool = True, progress: bool = True) -> BitMar:
    """Train up to ``tcfg.steps``; returns the model in eval mode. Same seed, same steps: same bits on a CPU,
    however often the run was interrupted in between. Raises ``DataError`` for an unreadable checkpoint.
    """
    torch.manual_seed(tcfg.seed)
    model = BitMar(cfg, tcfg.float_twin, tcfg.dropout)
    optimiser, step = make_optimiser(model, tcfg), 0
    state = checkpoint.load(out) if resume else None
    if state is not None:
        step = checkpoint.restore(model, state, out)
        optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
    model.train()
    log, trits = SummaryWriter(str(out / "logs"), purge_step=step), None
    with _Bar(tcfg.steps, step, progress) as bar:
        while step < tcfg.steps:
            parts, tokens = train_step(model, optimiser, tcfg, data, step)
            step += 1
            bar.advance(parts["lm"], tokens)
            if step % LOG_EVERY == 0:
                for name, value in parts.items():
                    log.add_scalar(f"loss/{name}", value, step)
                log.add_scalar("lr", learning_rate(tcfg, step - 1), step)
                log.add_scalar("tokens_per_second", bar.rate, step)
            if step % CODES_EVERY == 0 and not tcfg.float_twin:
                trits = log_codes(log, model, trits, step)
            if step % tcfg.checkpoint_every == 0 or step == tcfg.steps:
                checkpoint.save(out, model, optimiser, step)
    log.close()
    return model.eval()


def train_step(model: BitMar, optimiser: torch.optim.Optimizer, cfg: TrainConfig, data: Batches,
               step: int) -> tuple[dict[str, float], int]:
    """One optimiser step over ``accumulation`` batches. Returns the mean loss parts and the tokens seen."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(cfg, step)
    optimiser.zero_grad()
    sums: dict[str, float] = {}
    tokens, queries = 0, None
    for i in range(cfg.accumulation):
        number = step * cfg.accumulation + i
        batch = data.batch(number)
        images = batch.images
        if images is not None:
            images = torch.from_numpy(shift_patches(images, cfg.augment_shift, (cfg.seed, number)))
        lengths, has_image = torch.from_numpy(batch.lengths), torch.from_numpy(batch.has_image)
        labels = torch.from_numpy(batch.labels)
        out = model(torch.from_numpy(batch.tokens), images, None if has_image.all() else has_image, labels != IGNORE)
        loss, parts = total_loss(cfg, out, labels, lengths, has_image)
        (loss / cfg.accumulation).backward()
        sums = {k: sums.get(k, 0.0) + v / cfg.accumulation for k, v in parts.items()}
        tokens += int(lengths.sum())
        queries = final_queries(out.pooled, lengths, cfg.writes_per_batch)
    torch.nn.utils.clip_grad_norm_(model.parameters(), cfg.clip)
    optimiser.step()
    model.commit(queries)
    return sums, tokens


def final_queries(pooled: Tensor, lengths: Tensor, count: int) -> Tensor:
    """Pooled query at the end of each of the last ``count`` streams: the episodes to be written. [count, d]"""
    return pooled[torch.arange(len(pooled)), lengths - 1][len(pooled) - count:].detach()


@torch.no_grad()
def log_codes(log: SummaryWriter, model: BitMar, before: dict[str, Tensor] | None, step: int) -> dict[str, Tensor]:
    """Log E_q (weight-weighted zero fraction) and how many ternary codes changed since the last look."""
    now = {s.name: model.matrix(s.name)[0].to(torch.int8) for s in tensor_table(model.cfg) if s.kind == "ternary"}
    size = sum(t.numel() for t in now.values())
    log.add_scalar("codes/zero_fraction", sum(int((t == 0).sum()) for t in now.values()) / size, step)
    if before is not None:
        log.add_scalar("codes/changed_per_1000_steps",
                       sum(int((now[n] != before[n]).sum()) for n in now) / size * 1000 / CODES_EVERY, step)
    return now


class _Bar:
    """Progress bar with smoothed loss, perplexity, tokens per second and time left."""

    def __init__(self, steps: int, done: int, show: bool) -> None:
        columns = (TextColumn("train"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"),
                   TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        self.progress = Progress(*columns, console=Console(stderr=True), disable=not show)
        self.task = self.progress.add_task("", total=steps, completed=done, words="")
        self.lines = show and not self.progress.console.is_terminal      # a log file gets lines instead of a bar
        self.loss, self.tokens, self.seconds, self.last = None, 0.0, 0.0, time.monotonic()

    def __enter__(self) -> "_Bar":
        self.progress.start()
        return self

    def __exit__(self, *error) -> None:
        self.progress.stop()

    @property
    def rate(self) -> float:
        """Tokens per second, over about the last fifty steps."""
        return self.tokens / max(self.seconds, 1e-9)

    def advance(self, loss: float, tokens: int) -> None:
        now = time.monotonic()
        self.loss = loss if self.loss is None else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        self.tokens = SMOOTHING * self.tokens + tokens
        self.seconds, self.last = SMOOTHING * self.seconds + now - self.last, now
        words = f"loss {self.loss:.3f}  ppl {math.exp(min(self.loss, 30)):.1f}  {self.rate:,.0f} tok/s"
        self.progress.update(self.task, advance=1, words=words)
        done = int(self.progress.tasks[0].completed)
        if self.lines and done % LINE_EVERY == 0:
            self.progress.console.print(f"  step {done:,}: {words}", soft_wrap=True)
