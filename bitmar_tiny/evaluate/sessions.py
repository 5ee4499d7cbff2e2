# SPDX-License-Identifier: Apache-2.0
"""Does a model answer out of its memory what it was told in earlier episodes? Asked wherever the model runs:
the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.places import write_places
from ..data.sessions import Session, load_vectors, read_sessions
from ..data.tokenizer import Tokenizer
from ..files import TemporaryFolder
from ..frozen import FrozenModel
from ..run.golden import GoldenSession
from ..run.session import Session as Running

CONDITIONS = ("on", "off", "shuffled")
#: Sessions that are asked unless told otherwise, and the seed of the made-up ones: not that of training.
ITEMS, HELD_OUT_SEED = 200, 1


def held_out_places(count: int = ITEMS) -> list[Session]:
    """Made-up sessions about where things are, like those that the preset ``recall`` is trained on, drawn
    with another seed.
    """
    with TemporaryFolder() as folder:
        write_places(Path(folder) / "places.jsonl", count, HELD_OUT_SEED)
        return read_sessions(Path(folder) / "places.jsonl")


def evaluate_sessions(
    frozen: FrozenModel,
    sessions: Sequence[Session],
    progress: Callable[[int, int], None] = lambda done, total: None,
    on: Running | None = None,
) -> dict[str, Any]:
    """Exact answers: share of the sessions by condition, and with the memory on by how long ago the answer
    was told.

    Each session begins with the memory that the model was trained to; what is told is written to it, episode
    by episode, as on a board. on: then asked; off: asked with the memory unread; shuffled: asked with what
    the session before left there. ``by_age``: {episodes told since: [right, asked]}; an answer that no text
    has counts as never told, -1. ``on``: where ``frozen`` runs (default: golden). ``DataError`` names the
    file and the line of a picture that cannot be read.
    """
    tokenizer, model = Tokenizer.from_bytes(frozen.tokenizer), on or GoldenSession(frozen)
    model.need_writable()
    trained = before = model.read_memory()
    pictures = Pictures(model.image_inputs)
    right, by_age = dict.fromkeys(CONDITIONS, 0), {}
    for n, session in enumerate(sessions):
        model.write_memory(trained)
        for i, text in enumerate(session.told):
            model.begin()
            pictures.show(model, session, i)
            model.tokens((tokenizer.eos, *tokenizer.encode(text)))
            model.end()
        memory = model.read_memory()
        for condition, m in zip(CONDITIONS, (memory, memory, before), strict=True):
            model.write_memory(m)
            model.memory_on(condition != "off")
            hit = _answer(model, tokenizer, session, pictures) == session.answer
            right[condition] += hit
            if condition == "on":
                count = by_age.setdefault(_age(session), [0, 0])
                count[0], count[1] = count[0] + hit, count[1] + 1
        model.memory_on(True)
        before = memory
        progress(n + 1, len(sessions))
    model.write_memory(trained)
    return {
        "items": len(sessions),
        **{c: right[c] / len(sessions) for c in CONDITIONS},
        "by_age": dict(sorted(by_age.items())),
    }


class Pictures:
    """Picture files of sessions, each read once, as a model takes them."""

    def __init__(self, vectors: int) -> None:
        self.vectors, self.read = vectors, {}

    def show(self, model: Running, session: Session, episode: int) -> None:
        """Give the model the picture of an episode (-1: of the question), where it has one."""
        picture = session.picture(episode)
        if picture is not None:
            model.image(self._vectors(Path(picture), session.where))

    def _vectors(self, path: Path, where: str) -> np.ndarray:
        if path not in self.read:
            self.read[path] = load_vectors(path, self.vectors, where)
        return self.read[path]


def _answer(model: Running, tokenizer: Tokenizer, session: Session, pictures: Pictures) -> str:
    """What the model writes behind the prompt, greedily, at most a few tokens more than the answer has."""
    model.begin()
    pictures.show(model, session, -1)
    limit = len(tokenizer.encode(session.answer)) + 4
    return tokenizer.decode([token for token, _ in model.generate(tokenizer.encode(session.prompt), limit)])


def _age(session: Session) -> int:
    """Episodes that were told since the last one that has the prompt and the answer, or the answer alone; -1:
    none has.
    """
    for wanted in (session.prompt + session.answer, session.answer.strip()):
        ages = [age for age, text in enumerate(reversed(session.told)) if wanted in text]
        if ages:
            return ages[0]
    return -1
