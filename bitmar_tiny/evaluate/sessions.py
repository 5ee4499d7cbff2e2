# SPDX-License-Identifier: Apache-2.0
"""Does a model answer out of its memory what it was told in earlier episodes? Through the golden model, whose
bits are the board's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.sessions import Session, read_sessions, write_places
from ..data.tokenizer import Tokenizer
from ..frozen import FrozenModel
from ..golden.model import GoldenModel

CONDITIONS = ("on", "off", "shuffled")
#: Sessions that are asked unless told otherwise, and the seed of the made-up ones: not that of training.
ITEMS, HELD_OUT_SEED = 200, 1


def held_out_places(count: int = ITEMS) -> list[Session]:
    """Made-up sessions about where things are, like those that the preset ``recall`` is trained on, drawn
    with another seed.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_places(Path(folder) / "places.jsonl", count, HELD_OUT_SEED)
        return read_sessions(Path(folder) / "places.jsonl")


def evaluate_sessions(
    frozen: FrozenModel,
    sessions: Sequence[Session],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Exact answers: share of the sessions by condition, and with the memory on by how long ago the answer
    was told.

    Each session begins with the memory that the model was trained to; what is told is written to it, episode
    by episode, as on a board. on: then asked; off: asked with the memory unread; shuffled: asked with what
    the session before left there. ``by_age``: {episodes told since: [right, asked]}; an answer that no text
    has counts as never told, -1.
    """
    tokenizer, golden = Tokenizer.from_bytes(frozen.tokenizer), GoldenModel(frozen.config, frozen.arrays)
    trained = before = _memory(golden)
    right, by_age = dict.fromkeys(CONDITIONS, 0), {}
    for n, session in enumerate(sessions):
        _set(golden, trained)
        for text in session.told:
            _feed(golden, tokenizer, text)
            golden.end_episode()
        memory = _memory(golden)
        for condition, m in zip(CONDITIONS, (memory, memory, before), strict=False):
            _set(golden, m)
            golden.memory_on = condition != "off"
            hit = _answer(golden, tokenizer, session) == session.answer
            right[condition] += hit
            if condition == "on":
                count = by_age.setdefault(_age(session), [0, 0])
                count[0], count[1] = count[0] + hit, count[1] + 1
        golden.memory_on, before = True, memory
        progress(n + 1, len(sessions))
    return {
        "items": len(sessions),
        **{c: right[c] / len(sessions) for c in CONDITIONS},
        "by_age": dict(sorted(by_age.items())),
    }


def _memory(golden: GoldenModel) -> tuple:
    return golden.m_codes.copy(), golden.m_scales.copy(), golden.m_usage.copy()


def _set(golden: GoldenModel, memory: tuple) -> None:
    golden.m_codes, golden.m_scales, golden.m_usage = (part.copy() for part in memory)


def _feed(golden: GoldenModel, tokenizer: Tokenizer, text: str) -> np.ndarray:
    """A new episode: EOS and the text. Returns the integer logits int32 [V] behind it."""
    golden.begin_episode()
    for token in (tokenizer.eos, *tokenizer.encode(text)):
        acc = golden.step(token)
    return acc


def _answer(golden: GoldenModel, tokenizer: Tokenizer, session: Session) -> str:
    """What the model writes behind the prompt, greedily, at most a few tokens more than the answer has."""
    acc, found = _feed(golden, tokenizer, session.prompt), []
    for _ in range(len(tokenizer.encode(session.answer)) + 4):
        token = int(np.argmax(acc))
        if token == tokenizer.eos:
            break
        found.append(token)
        acc = golden.step(token)
    return tokenizer.decode(found)


def _age(session: Session) -> int:
    """Episodes that were told since the last one that has the prompt and the answer, or the answer alone; -1:
    none has.
    """
    for wanted in (session.prompt + session.answer, session.answer.strip()):
        ages = [age for age, text in enumerate(reversed(session.told)) if wanted in text]
        if ages:
            return ages[0]
    return -1
