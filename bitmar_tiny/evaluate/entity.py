# SPDX-License-Identifier: Apache-2.0
"""Can the episodic memory carry a fact from one episode to the next? A tiny model, trained for the purpose,
with controls.

An episode tells where things are ("apple A"), ends, and is written to the memory. A later episode asks
("apple ..."): nothing in its own stream tells the answer. Right answers can only come out of the memory, so
it is asked with the memory on, off, and shuffled: as it was after other facts. As a control the fact and the
question also stand in one stream, where attention sees both.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arch.config import ModelConfig
from ..data.batch import IGNORE, Batch
from ..frozen import FrozenModel
from ..golden.model import GoldenModel
from ..train.threads import threads

THINGS = ("apple", "pen", "key", "coin")
BOXES = ("A", "B", "C", "D")
EOS = len(THINGS) + len(BOXES)
SEED, ROUNDS, BATCH, LR = 0, 200, 32, 3e-3
CONDITIONS = ("on", "off", "shuffled")

#: A memory: codes and scales of golden.
Memory = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Experiment:
    """One way to train.

    things: facts at a time; slots: of the memory; gradient: whether it reaches the queries that are written
    (``TrainConfig.write_gradient``); one_stream: fact and question in one stream, nothing is written, and
    "shuffled" means the memory's codes in random order.
    """

    name: str
    things: int
    steps: int
    slots: int = 2
    gradient: bool = True
    one_stream: bool = False


EXPERIMENTS = (
    Experiment("fact and question in one stream", 1, 300, one_stream=True),
    Experiment("one fact across episodes, queries kept as they were", 1, 600, gradient=False),
    Experiment("one fact across episodes", 1, 600),
    Experiment("the same with eight slots", 1, 600, slots=8),
    Experiment("two facts across episodes, four slots", 2, 600, slots=4),
)


class Rounds:
    """Training batches (``train.feed.Batches``): ``BATCH`` questions about the facts of this round, and, as
    the last streams, which are written, the facts of the next. Or facts with their question in one stream.
    """

    def __init__(self, e: Experiment, seed: int) -> None:
        self.e, self.seed = e, seed

    def boxes(self, number: int) -> np.ndarray:
        """The box of every thing in one round, int [things]."""
        return np.random.default_rng([self.seed, self.e.things, number]).integers(
            0, len(BOXES), self.e.things
        )

    def batch(self, number: int, rows: slice = slice(None)) -> Batch:
        rng = np.random.default_rng([self.seed, 0, number])
        if self.e.one_stream:
            labels = [fact(0, box) * 2 for box in rng.integers(0, len(BOXES), BATCH)]
        else:
            now, then = self.boxes(number), self.boxes(number + 1)
            labels = [fact(t, now[t]) for t in rng.integers(0, self.e.things, BATCH)]
            labels += [[*fact(t, then[t]), EOS] for t in rng.permutation(self.e.things)]
        lengths, wide = np.array([len(row) for row in labels]), max(map(len, labels))
        padded = np.array([row + [IGNORE] * (wide - len(row)) for row in labels])
        tokens = np.concatenate(
            [np.full((len(labels), 1), EOS), np.where(padded < 0, EOS, padded)[:, :-1]], 1
        )
        return Batch(
            tokens[rows],
            padded[rows],
            lengths[rows],
            None,
            np.zeros(len(labels), bool)[rows],
            np.arange(len(labels))[rows],
            int(lengths.sum()),
        )


def config(slots: int) -> ModelConfig:
    """Small enough to train in seconds; a written slot takes the new episode whole (write_rate 1), nothing is
    forgotten.
    """
    return ModelConfig(
        name="entity",
        vocab_size=EOS + 1,
        d_model=64,
        n_heads=2,
        n_encoder_layers=1,
        n_decoder_layers=1,
        d_ffn=128,
        n_sinks=2,
        window=14,
        n_positions=16,
        vision_hidden=8,
        image_tokens=1,
        memory_slots=slots,
        read_every=1,
        write_rate=1.0,
        forget_rate=0.0,
    )


def episodes(seed: int, things: int) -> Iterator[np.ndarray]:
    """Endless rounds: the box of every thing, int [things]; the same for the same seed."""
    rng = np.random.default_rng([seed, things])
    while True:
        yield rng.integers(0, len(BOXES), things)


def fact(thing: int, box: int) -> list[int]:
    """Token ids of "apple A"."""
    return [thing, len(THINGS) + int(box)]


def entity_memory(
    say: Callable[[str], Any] = lambda line: None,
    experiments: Sequence[Experiment] = EXPERIMENTS,
    seed: int = SEED,
) -> list[dict[str, Any]]:
    """Train and question a model for every experiment: accuracy by condition, chance, steps and seconds.

    seed: of weights and rounds; query_cosine: how alike the queries of episodes with different boxes are; at
    1 they tell the memory nothing.
    """
    found = []
    for e in experiments:
        start = time.monotonic()
        with threads(1):
            frozen, spread = train(e, seed)
        seconds = time.monotonic() - start
        found.append(
            {
                "experiment": e.name,
                "steps": e.steps,
                "seconds": seconds,
                "questions": ROUNDS * e.things,
                "chance": 1 / len(BOXES),
                "query_cosine": spread,
                **question(frozen, e),
            }
        )
        say(
            f"{e.name}: {', '.join(f'{c} {found[-1][c]:.0%}' for c in CONDITIONS)} ({seconds:.0f} s of "
            "training)"
        )
    return found


def train(e: Experiment, seed: int = SEED) -> tuple[FrozenModel, float]:
    """A model trained for one experiment by the training loop's own steps, and the mean cosine of its queries
    for different boxes.
    """
    import torch
    import torch.nn.functional as F

    from ..model.export import freeze
    from ..train.config import TrainConfig
    from ..train.feed import Feeder
    from ..train.trainer import Trainer

    writes = 0 if e.one_stream else e.things
    tcfg = TrainConfig(
        seed=seed,
        steps=e.steps,
        batch_size=BATCH + writes,
        accumulation=1,
        lr=LR,
        weight_decay=0,
        warmup=50,
        restart_steps=e.steps,
        min_lr=0.02,
        writes_per_batch=writes,
        write_gradient=e.gradient,
    )
    with torch.random.fork_rng(), Feeder(Rounds(e, seed), tcfg) as feeder:
        trainer = Trainer(config(e.slots), tcfg)
        while trainer.step < e.steps:
            trainer.advance([feeder.next()])
    model = trainer.model.eval()
    with torch.no_grad():
        ends = model.encode(torch.tensor([[EOS, *fact(0, box)] for box in range(len(BOXES))])).pooled[:, -1]
    queries = F.normalize(ends, dim=-1)
    alike = (queries @ queries.T)[~torch.eye(len(BOXES), dtype=torch.bool)].mean()
    return freeze(model), float(alike)


def question(frozen: FrozenModel, e: Experiment) -> dict[str, float]:
    """Accuracy by condition, and that of the best constant answer ("majority"), by the golden model.

    Facts are written as on a board, round after round into the same memory.
    """
    golden = GoldenModel(frozen.config, frozen.arrays)
    memory, rng = (golden.m_codes, golden.m_scales), np.random.default_rng(SEED + 1)
    hits, answers, before = dict.fromkeys(CONDITIONS, 0), np.zeros(len(BOXES)), None
    for boxes in itertools.islice(episodes(SEED + 1, e.things), ROUNDS):
        for thing in () if e.one_stream else rng.permutation(e.things):
            memory = _tell(golden, memory, fact(thing, boxes[thing]))
        for thing in range(e.things):
            answers[boxes[thing]] += 1
            start = [EOS, *(fact(thing, boxes[thing]) if e.one_stream else []), thing]
            other = _scrambled(memory, rng) if e.one_stream else before or memory
            for condition, m in (("on", memory), ("off", memory), ("shuffled", other)):
                hits[condition] += int(_ask(golden, m, start, condition != "off") == boxes[thing])
        before = memory
    return {name: float(n / answers.sum()) for name, n in {**hits, "majority": answers.max()}.items()}


def _tell(golden: GoldenModel, memory: Memory, ids: Sequence[int]) -> Memory:
    """An episode with a fact; returns the memory after it was written."""
    golden.m_codes, golden.m_scales, golden.memory_on = memory[0].copy(), memory[1].copy(), True
    golden.begin_episode()
    for token in (EOS, *ids):
        golden.step(token)
    golden.end_episode()
    return golden.m_codes, golden.m_scales


def _ask(golden: GoldenModel, memory: Memory, ids: Sequence[int], memory_on: bool) -> int:
    """The box that an episode's stream goes on with."""
    (golden.m_codes, golden.m_scales), golden.memory_on = memory, memory_on
    golden.begin_episode()
    for token in ids:
        acc = golden.step(token)
    return int(np.argmax(acc[len(THINGS) : EOS]))


def _scrambled(memory: Memory, rng: np.random.Generator) -> Memory:
    return rng.permutation(memory[0].ravel()).reshape(memory[0].shape), memory[1]
