# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning on BoolQ's training questions before its dev questions are scored, quantisation-aware as all
training here.

FOLDER is a run: run.json, tokenizer.bin, checkpoint.pt. What was killed goes on where its last checkpoint is.
The loss is that of the two answers alone: the cross-entropy of " no" against " yes" behind the question.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, DataError
from ..files import atomic_file, only_one
from ..model.bitmar import BitMar
from ..train import checkpoint
from ..train.config import TrainConfig
from ..train.optim import make_optimiser
from ..train.record import RUN_FILE, TOKENIZER_FILE, begun
from ..train.run import load_run
from ..train.start import Start, latents
from .choice import queries
from .formats import Item
from .scoring import Progress, Query
from .suite import Subject

BATCH, WARMUP, EVERY = 16, 50, 100
SETTINGS = TrainConfig(lr=5e-4, batch_size=BATCH, accumulation=1, epochs=0, writes_per_batch=0)


@dataclass(frozen=True)
class Questions:
    """Contexts (tokens, EOS first), the first token of either answer, int64 [2], and which is right."""

    contexts: list[tuple[int, ...]]
    answers: Tensor
    gold: Tensor

    @classmethod
    def of(cls, items: Sequence[Item], tokenizer: Tokenizer, longest: int) -> Questions:
        """``DataError`` where both answers begin alike."""
        asked: list[Query] = queries(items, tokenizer, longest)[0]
        first = [q.continuation[0] for q in asked[:2]]
        if first[0] == first[1]:
            raise DataError("Both answers begin with the same token.", "Use a tokenizer with whole words.")
        gold = torch.tensor([item.gold for item in items])
        return cls([q.context for q in asked[::2]], torch.tensor(first), gold)

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """tokens int64 [B, T], lengths and right answers int64 [B]: a pure function of the step, epoch after
        epoch in another order.
        """
        n = len(self.contexts)
        at = step * BATCH + np.arange(BATCH)
        chosen = [int(np.random.default_rng([0, a // n]).permutation(n)[a % n]) for a in at.tolist()]
        lengths = torch.tensor([len(self.contexts[i]) for i in chosen])
        tokens = torch.full((BATCH, int(lengths.max())), self.contexts[0][0])
        for row, i in zip(tokens, chosen, strict=True):
            row[: len(self.contexts[i])] = torch.tensor(self.contexts[i])
        return tokens, lengths, self.gold[chosen]


def finetune(
    subject: Subject, items: Sequence[Item], out: Path, steps: int, progress: Progress | None = None
) -> Subject:
    """The model after ``steps`` of ``BATCH`` questions. ``ConfigError`` where ``out`` holds another run."""
    tokenizer, start = subject.tokenizer, _start(subject)
    questions = Questions.of(items, tokenizer, subject.config.n_positions)
    with only_one(out, "a training run"):
        record = {
            "model": subject.config.model_dump(),
            "training": SETTINGS.model_copy(update={"steps": steps}).model_dump(mode="json"),
            "tokenizer": tokenizer.identity,
            "pictures": 0,
            "text_samples": len(items),
            "data": {"finetune": "boolq"},
            "start": {"from": start.source, "sha256": start.identity},
        }
        there = begun(out)
        same = all(there.get(k) == record[k] for k in record if k != "start")
        if there and not (same and there["start"]["sha256"] == record["start"]["sha256"]):
            raise ConfigError(f"{out}: holds another run.", "Choose another folder for --finetune.")
        for name, content in (
            (RUN_FILE, (json.dumps(record, indent=1) + "\n").encode()),
            (TOKENIZER_FILE, tokenizer.to_bytes()),
        ):
            with atomic_file(out / name) as stream:
                stream.write(content)
        _train(subject, start, questions, out, steps, progress)
    network, tokenizer, _ = load_run(out)
    return replace(subject, name=f"{subject.name}, fine-tuned", frozen=None, network=network)


def _start(subject: Subject) -> Start:
    model = latents(subject.frozen) if subject.frozen else subject.network
    return Start(subject.name, subject.config, subject.tokenizer, model.state_dict())


def _train(
    subject: Subject, start: Start, questions: Questions, out: Path, steps: int, progress: Progress | None
) -> None:
    model = BitMar(subject.config)
    optimiser, _ = make_optimiser(model, SETTINGS)
    state = checkpoint.load(out)
    step = checkpoint.restore(model, state or {"model": start.weights, "step": 0}, out)
    if state:
        optimiser.load_state_dict(state["optimiser"])
    model.train()
    while step < steps:
        for group in optimiser.param_groups:
            group["lr"] = SETTINGS.lr * min((step + 1) / WARMUP, (steps - step) / steps)
        tokens, lengths, gold = questions.batch(step)
        loss = F.cross_entropy(answer_logits(model, tokens, lengths, questions.answers), gold)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS.clip)
        optimiser.step()
        step += 1
        if progress:
            progress(step, steps)
        if step % EVERY == 0 or step == steps:
            checkpoint.save(
                out, {"step": step, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
            )


def answer_logits(model: BitMar, tokens: Tensor, lengths: Tensor, answers: Tensor) -> Tensor:
    """float32 [B, answers]: logits of those tokens behind each stream. tokens: int64 [B, T]; lengths: [B]."""
    valid = torch.arange(tokens.shape[1]) < lengths[:, None]
    codes, scale = model(tokens, None, None, valid, logits=False).head
    last = lengths.cumsum(0) - 1
    trits, gamma = model.matrix("head.w")
    return model.math.linear(codes[last], trits[answers]) * (scale[last] * gamma)
