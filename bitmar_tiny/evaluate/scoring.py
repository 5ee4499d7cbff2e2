# SPDX-License-Identifier: Apache-2.0
"""Log-likelihood of given tokens after a context, by PyTorch in batches, or by a session with golden, a board
or an exported file.

The logits of all are the same integers, and one function turns how often each occurs into log-probabilities
(float64), so scores can be compared exactly. Contexts begin with EOS, as every stream of training does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np

from ..run.session import Scored, Session

#: Positions of one PyTorch batch, and floats of its logits: a few hundred MB at most.
BATCH_POSITIONS, BATCH_LOGITS = 4096, 1 << 25

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Query:
    """Score ``continuation`` (token ids, at least one) after ``context`` (token ids, the first is EOS) and an
    image.

    image: float32 [image_inputs, 768] or None.
    """

    context: tuple[int, ...]
    continuation: tuple[int, ...]
    image: np.ndarray | None = None

    @property
    def inputs(self) -> tuple[int, ...]:
        """The tokens that the model reads: all but the last."""
        return self.context + self.continuation[:-1]


@dataclass(frozen=True)
class Likelihood:
    """log_probs: float64 [n], natural logarithm, one for every token of the continuation; greedy: it is what
    the model would write.
    """

    log_probs: np.ndarray
    greedy: bool

    @property
    def total(self) -> float:
        return float(self.log_probs.sum())


class Scorer(Protocol):
    """Anything that scores queries; results in their order. ``progress`` is called with (done, total)."""

    name: str

    def score(self, queries: Sequence[Query], progress: Progress | None = None) -> list[Likelihood]: ...


def likelihood(scored: Sequence[Scored], continuation: Sequence[int]) -> Likelihood:
    """What the positions before each token of ``continuation`` say about it -> log-probabilities."""
    return Likelihood(
        np.array([at.log_prob() for at in scored]),
        all(at.best == token for at, token in zip(scored, continuation, strict=True)),
    )


def by_context(queries: Sequence[Query]) -> Iterator[tuple[Query, list[int]]]:
    """Neighbours that share context and image: (the first of them, the indices of all)."""

    def key(i: int):
        return queries[i].context, id(queries[i].image)

    for _, same in groupby(range(len(queries)), key):
        indices = list(same)
        yield queries[indices[0]], indices


class TorchScorer:
    """PyTorch: streams of like length in batches, inputs that several queries share (one-token options)
    computed once.
    """

    name = "torch"

    def __init__(self, model, memory_on: bool = True) -> None:
        """``model``: a ``model.bitmar.BitMar`` in eval mode."""
        self.model, self.memory_on = model, memory_on

    def score(self, queries: Sequence[Query], progress: Progress | None = None) -> list[Likelihood]:
        shared: dict[tuple, list[int]] = {}
        for i, q in enumerate(queries):
            shared.setdefault((q.image is None, q.inputs, id(q.image)), []).append(i)
        results: list[Likelihood | None] = [None] * len(queries)
        order, done = sorted(shared, key=lambda k: (k[0], len(k[1]))), 0
        for _, alike in groupby(order, key=lambda k: k[0]):
            for batch in self._batches(list(alike)):
                members = [shared[k] for k in batch]
                for same, (accs, scales) in zip(
                    members,
                    self._logits(
                        [queries[same[0]] for same in members],
                        [max(len(queries[i].continuation) for i in same) for same in members],
                    ),
                    strict=True,
                ):
                    for i in same:
                        c = queries[i].continuation
                        last = zip(accs[-len(c) :], scales[-len(c) :], c, strict=True)
                        results[i] = likelihood([Scored.of(*at) for at in last], c)
                    done += len(same)
                if progress:
                    progress(done, len(queries))
        return results

    def _batches(self, keys: list[tuple]) -> Iterator[list[tuple]]:
        """Cut streams sorted by length so that no batch grows too large."""
        most = min(BATCH_POSITIONS, max(1, BATCH_LOGITS // self.model.cfg.vocab_size))
        batch: list[tuple] = []
        for key in keys:
            if batch and (len(batch) + 1) * len(key[1]) > most:
                yield batch
                batch = []
            batch.append(key)
        if batch:
            yield batch

    def _logits(self, queries: list[Query], counts: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """The last integer logits float32 [counts[i], V] of every query's inputs, and their scales float32
        [counts[i]].
        """
        import torch

        longest = max(len(q.inputs) for q in queries)
        tokens = torch.full((len(queries), longest), self.model.cfg.vocab_size - 1)
        lengths = torch.tensor([len(q.inputs) for q in queries])
        for row, q in zip(tokens, queries, strict=True):
            row[: len(q.inputs)] = torch.tensor(q.inputs)
        images = None if queries[0].image is None else torch.from_numpy(np.stack([q.image for q in queries]))
        before, self.model.memory_on = self.model.memory_on, self.memory_on
        try:
            with torch.no_grad():
                out = self.model(tokens, images, None, torch.arange(longest) < lengths[:, None])
        finally:
            self.model.memory_on = before
        ends = lengths.cumsum(0).tolist()
        return [
            (out.acc[e - n : e].numpy(), out.scale[e - n : e, 0].numpy())
            for e, n in zip(ends, counts, strict=True)
        ]


class SessionScorer:
    """A model behind a session, token by token; a context that several queries share is read once, where its
    state can be kept.
    """

    def __init__(self, session: Session, memory_on: bool = True) -> None:
        self.session, self.name = session, session.name
        session.memory_on(memory_on)

    def score(self, queries: Sequence[Query], progress: Progress | None = None) -> list[Likelihood]:
        results: list[Likelihood] = []
        for first, indices in by_context(queries):
            for group in [indices] if self.session.can_keep else [[i] for i in indices]:
                self.session.begin()
                if first.image is not None:
                    self.session.image(first.image)
                continuations = [queries[i].continuation for i in group]
                scored = self.session.score(first.context, continuations)
                results += [likelihood(*pair) for pair in zip(scored, continuations, strict=True)]
            if progress:
                progress(len(results), len(queries))
        return results
