"""Can the episodic memory carry a fact from one episode to the next? A tiny model, trained for the purpose, with controls.

An episode tells where things are ("apple A"), ends, and is written to the memory. A later episode asks ("apple ..."): nothing in its
own stream tells the answer. Right answers can only come out of the memory, so it is asked with the memory on, off, and shuffled: as
it was after other facts. As a control the fact and the question also stand in one stream, where attention sees both.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from ..config import ModelConfig
from ..frozen import FrozenModel
from ..golden.model import GoldenModel

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

    things: facts at a time; slots: of the memory; gradient: whether it reaches the query that is written (the training loop detaches
    it: the written episode is of an earlier batch); one_stream: fact and question in one stream, nothing is written, and "shuffled"
    means the memory's codes in random order.
    """

    name: str
    things: int
    steps: int
    slots: int = 2
    gradient: bool = False
    one_stream: bool = False


EXPERIMENTS = (
    Experiment("fact and question in one stream", 1, 300, one_stream=True),
    Experiment("one fact across episodes, as training does", 1, 600),
    Experiment("one fact across episodes, gradient to the query", 1, 600, gradient=True),
    Experiment("the same with eight slots", 1, 600, slots=8, gradient=True),
    Experiment("two facts across episodes, four slots, gradient", 2, 600, slots=4, gradient=True),
)


def config(slots: int) -> ModelConfig:
    """Small enough to train in seconds; a written slot takes the new episode whole (write_rate 1), nothing is forgotten."""
    return ModelConfig(name="entity", vocab_size=EOS + 1, d_model=64, n_heads=2, n_encoder_layers=1, n_decoder_layers=1,
                       d_ffn=128, n_sinks=2, window=14, n_positions=16, vision_hidden=8, image_tokens=1, memory_slots=slots, read_every=1, write_rate=1.0,
                       forget_rate=0.0)


def episodes(seed: int, things: int) -> Iterator[np.ndarray]:
    """Endless rounds: the box of every thing, int [things]; the same for the same seed."""
    rng = np.random.default_rng([seed, things])
    while True:
        yield rng.integers(0, len(BOXES), things)


def fact(thing: int, box: int) -> list[int]:
    """Token ids of "apple A"."""
    return [thing, len(THINGS) + int(box)]


def entity_memory(say: Callable[[str], Any] = lambda line: None,
                  experiments: Sequence[Experiment] = EXPERIMENTS) -> list[dict[str, Any]]:
    """Train and question a model for every experiment: accuracy by condition, chance, steps and seconds.

    query_cosine: how alike the queries of episodes with different boxes are; at 1 they tell the memory nothing.
    """
    found = []
    for e in experiments:
        start = time.monotonic()
        with _one_thread():
            frozen, spread = train(e)
        seconds = time.monotonic() - start
        found.append({"experiment": e.name, "steps": e.steps, "seconds": seconds, "questions": ROUNDS * e.things,
                      "chance": 1 / len(BOXES), "query_cosine": spread, **question(frozen, e)})
        say(f"{e.name}: {', '.join(f'{c} {found[-1][c]:.0%}' for c in CONDITIONS)} ({seconds:.0f} s of training)")
    return found


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch on one thread: products as small as these only wait for a second one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(e: Experiment) -> tuple[FrozenModel, float]:
    """A model trained for one experiment, and the mean cosine of its queries for different boxes."""
    import torch
    import torch.nn.functional as F

    from ..model.bitmar import BitMar
    from ..model.export import freeze

    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = BitMar(config(e.slots)).train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.98), weight_decay=0.0)
        rng, rounds = np.random.default_rng(SEED), episodes(SEED, e.things)

        def loss_of(labels: list[list[int]]) -> tuple[Any, Any]:
            tokens = torch.tensor([[EOS, *row[:-1]] for row in labels])
            out = model(tokens)
            return F.cross_entropy(out.logits.flatten(0, 1), torch.tensor(labels).flatten()), out

        for step in range(e.steps):
            for group in optimiser.param_groups:
                group["lr"] = LR * min(1, (step + 1) / 50) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / e.steps)) / 2)
            if e.one_stream:
                boxes = rng.integers(0, len(BOXES), BATCH)
                loss, _ = loss_of([fact(0, box) * 2 for box in boxes])
            else:
                boxes, asked = next(rounds), rng.integers(0, e.things, BATCH)
                told, out = loss_of([[*fact(t, boxes[t]), EOS] for t in rng.permutation(e.things)])
                model.pending = out.pooled[:, -1] if e.gradient else out.pooled[:, -1].detach()
                answered, _ = loss_of([fact(t, boxes[t]) for t in asked])
                loss = answered + told / 2
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            model.pending = model.pending.detach()
            model.commit(model.pending[:0])
        with torch.no_grad():
            queries = F.normalize(loss_of([[*fact(0, box), EOS] for box in range(len(BOXES))])[1].pooled[:, -1], dim=-1)
        alike = (queries @ queries.T)[~torch.eye(len(BOXES), dtype=torch.bool)].mean()
        return freeze(model.eval()), float(alike)


def question(frozen: FrozenModel, e: Experiment) -> dict[str, float]:
    """Accuracy by condition, and that of the best constant answer ("majority"), by the golden model.

    Facts are written as on a board, round after round into the same memory.
    """
    golden = GoldenModel(frozen.config, frozen.arrays)
    memory, rng = (golden.m_codes, golden.m_scales), np.random.default_rng(SEED + 1)
    hits, answers, before = dict.fromkeys(CONDITIONS, 0), np.zeros(len(BOXES)), None
    for _, boxes in zip(range(ROUNDS), episodes(SEED + 1, e.things)):
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
    return int(np.argmax(acc[len(THINGS):EOS]))


def _scrambled(memory: Memory, rng: np.random.Generator) -> Memory:
    return rng.permutation(memory[0].ravel()).reshape(memory[0].shape), memory[1]
