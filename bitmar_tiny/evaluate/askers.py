# SPDX-License-Identifier: Apache-2.0
"""Many sessions asked at once: in batches with PyTorch, or one after the other wherever the model runs.

An episode is (row of the table of pictures or None, text). What ``teach`` returns is given back to the
others; it holds what each session's memory is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..data.corpus import to_float
from ..data.sessions import Session, Sessions
from ..data.show_once import LONGEST_ANSWER, PROMPT
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError
from ..frozen import FrozenModel
from ..memory.inspect import doubt
from ..run.generate import Request, generate, tell
from ..run.session import Session as Running

Episode = tuple[int | None, str]


def picture_of(vectors: np.ndarray) -> np.ndarray:
    """A picture of a table as a session takes it: uint8 patches, or float32 features."""
    return np.asarray(vectors) if vectors.dtype == np.uint8 else to_float(vectors)


class Asker(Protocol):
    """at_once: how many sessions are asked together; exact: whether every bit is golden's. ``rows``: the
    picture of each session's question.
    """

    at_once: int
    exact: bool

    def teach(self, told: Sequence[Sequence[Episode]], before: Any = None) -> Any:
        """What sessions leave in the memory that the model was trained to, or on top of ``before``."""

    def answers(self, taught: Any, rows: Sequence[int], memory: bool = True) -> list[str]:
        """What the model writes behind the prompt, greedily. memory: whether it is read."""

    def scores(self, taught: Any, rows: Sequence[int], answers: Sequence[Sequence[str]]) -> np.ndarray:
        """float64 [B, n]: log-likelihood of each of the session's ``answers`` (as many for all)."""

    def doubts(self, taught: Any, rows: Sequence[int]) -> np.ndarray | None:
        """float64 [B]: the share of the learned slots in the read; None for a memory without them."""


class RunningAsker:
    """A model that runs somewhere: every session begins with its own memory. restart: the target is off and
    on between showing and asking, so that what is asked is what its store kept.
    """

    at_once, exact = 8, True

    def __init__(
        self,
        running: Running,
        model: FrozenModel,
        tokenizer: Tokenizer,
        pictures: np.ndarray,
        restart: bool = False,
    ) -> None:
        running.need_writable()
        if restart and running.memory_tier != "sd":
            raise ConfigError(
                f"{running.name}: keeps its memory in no store, so a restart leaves nothing of it.",
                "Choose golden, host or a board with a store.",
            )
        self.running, self.model, self.restart = running, model, restart
        self.tokenizer, self.pictures = tokenizer, pictures
        self.trained = self.inside = running.read_memory()
        self.prompt = tokenizer.encode(PROMPT)

    def teach(self, told: Sequence[Sequence[Episode]], before: Any = None) -> Any:
        return [
            self._taught(episodes, start)
            for episodes, start in zip(told, before or [self.trained] * len(told), strict=True)
        ]

    def _taught(self, episodes: Sequence[Episode], start: Any) -> Any:
        self._enter(start)
        for row, text in episodes:
            tell(self.running, (self.tokenizer.eos, *self.tokenizer.encode(text)), self._picture(row))
        if self.restart:
            self.running.restart()
        self.inside = self.running.read_memory()
        return self.inside

    def _enter(self, state: Any) -> None:
        """The memory as it was then, unless it still is."""
        if self.inside is not state:
            self.running.write_memory(state)
            self.inside = state

    def _picture(self, row: int | None) -> np.ndarray | None:
        return None if row is None else picture_of(self.pictures[row])

    def answers(self, taught: Any, rows: Sequence[int], memory: bool = True) -> list[str]:
        found = []
        for state, row in zip(taught, rows, strict=True):
            self._enter(state)
            request = Request(tuple(self.prompt), self._picture(row), LONGEST_ANSWER, memory_on=memory)
            tokens = [token for token, _ in generate(self.running, request)]
            found.append(self.tokenizer.decode(tokens))
            self.running.memory_on(True)
        return found

    def scores(self, taught: Any, rows: Sequence[int], answers: Sequence[Sequence[str]]) -> np.ndarray:
        found = []
        for state, row, texts in zip(taught, rows, answers, strict=True):
            self._enter(state)
            ids = [self.tokenizer.encode(text) for text in texts]
            context = (self.tokenizer.eos, *self.prompt)
            found.append([])
            for group in [ids] if self.running.can_keep else [[i] for i in ids]:
                self.running.begin()
                self.running.image(picture_of(self.pictures[row]))
                scored = self.running.score(context, group)
                found[-1] += [sum(at.log_prob() for at in one) for one in scored]
        return np.array(found)

    def doubts(self, taught: Any, rows: Sequence[int]) -> np.ndarray | None:
        if not self.model.config.fixed_slots:
            return None
        pictures = [picture_of(self.pictures[row]) for row in rows]
        return np.array([doubt(self.model, m, p) for m, p in zip(taught, pictures, strict=True)])


class TorchAsker:
    """A model in training, in ``eval()``: sessions in batches, each stream with its own memory, as in
    training (``train.losses.Objective.memories``).
    """

    at_once, exact = 25, False

    def __init__(self, model: Any, tokenizer: Tokenizer, pictures: np.ndarray) -> None:
        from ..train.config import TrainConfig
        from ..train.losses import Objective

        self.model, self.tokenizer, self.pictures = model.eval(), tokenizer, pictures
        self.objective = Objective(model, TrainConfig())
        self.prompt = tokenizer.encode(PROMPT)

    def teach(self, told: Sequence[Sequence[Episode]], before: Any = None) -> Any:
        import torch

        from ..data.batch import session_batch
        from ..train.feed import prepare

        if before is not None:
            told = [[*earlier, *now] for earlier, now in zip(before[0], told, strict=True)]
        sessions = [
            Session(tuple(text for _, text in e), PROMPT, " ", (*(row for row, _ in e), None)) for e in told
        ]
        encoded = Sessions.encode(self.tokenizer, sessions, self.pictures)
        batch = session_batch(encoded, np.arange(len(told)), slice(None), self.tokenizer.eos)
        with torch.no_grad():
            return told, self.objective.memories(prepare(batch).before, len(told))

    def answers(self, taught: Any, rows: Sequence[int], memory: bool = True) -> list[str]:
        eos, streams = self.tokenizer.eos, [[self.tokenizer.eos, *self.prompt] for _ in rows]
        began, images = len(self.prompt) + 1, self._images(rows)
        for _ in range(LONGEST_ANSWER):
            best = self._logits(taught, streams, images, memory)[:, -1].argmax(-1).tolist()
            for stream, token in zip(streams, best, strict=True):
                stream.append(token)
            if all(eos in stream[began:] for stream in streams):
                break
        ends = [s[began:].index(eos) if eos in s[began:] else len(s) for s in streams]
        return [self.tokenizer.decode(s[began : began + end]) for s, end in zip(streams, ends, strict=True)]

    def scores(self, taught: Any, rows: Sequence[int], answers: Sequence[Sequence[str]]) -> np.ndarray:
        images, began, found = self._images(rows), len(self.prompt) + 1, []
        for texts in zip(*answers, strict=True):  # one of each session
            ids = [self.tokenizer.encode(text) for text in texts]
            longest = max(map(len, ids))
            streams = [[self.tokenizer.eos, *self.prompt, *i, *[0] * (longest - len(i))] for i in ids]
            log = self._logits(taught, streams, images, True).double().log_softmax(-1).numpy()
            found.append(
                [sum(log[b, began - 1 + t, token] for t, token in enumerate(i)) for b, i in enumerate(ids)]
            )
        return np.array(found).T

    def doubts(self, taught: Any, rows: Sequence[int]) -> np.ndarray | None:
        if not self.model.cfg.fixed_slots:
            return None
        from ..model.vision import image_tokens

        return learned_share(self.model, image_tokens(self.model, self._images(rows)), taught[1])

    def _images(self, rows: Sequence[int]) -> Any:
        import torch

        return torch.from_numpy(to_float(self.pictures[np.asarray(rows)]))

    def _logits(self, taught: Any, streams: list[list[int]], images: Any, memory: bool) -> Any:
        """float32 [B, T, V]"""
        import torch

        self.model.memory_on = memory
        try:
            with torch.no_grad():
                encoded = self.model.encode(torch.tensor(streams), images)
                return self.model.decode(encoded, own=taught[1]).logits
        finally:
            self.model.memory_on = True


def learned_share(model: Any, image: Any, slots: Any) -> np.ndarray:
    """float64 [B]: the share of the learned slots when memories ``slots`` are asked with image tokens
    ``image`` float32 [B, n, d].
    """
    import torch

    from ..model.memory import key_scores

    with torch.no_grad():
        begun = torch.full((len(image), 1), model.cfg.vocab_size - 1)
        query = model.key(model.encode(begun, image=image).source)
        scores = key_scores(query, slots, model.weight("memory.sharpness"))[:, 0].double()
        return scores.softmax(-1)[:, : model.cfg.fixed_slots].sum(-1).numpy()
