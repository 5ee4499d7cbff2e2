# SPDX-License-Identifier: Apache-2.0
"""Sessions: texts that come one after the other, each an episode of its own, the last of which can need what
the earlier ones told.

A file has one session a line, a JSON list: what is told, one text or more, and last what is asked, [prompt,
answer]:

    ["The key is in the drawer.", "The pen is on the shelf.", ["The key is", " in the drawer."]]

A model learns to write the last text, prompt and answer joined; the others are read and written to the memory
before, each stream having a memory of its own. So the answer can only come out of the memory, and training
teaches what to put there and where.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ConfigError, DataError
from ..files import atomic_file, parse_json
from .files import check_text
from .lines import open_text
from .tokenizer import Tokenizer
from .tokens import Tokens

#: Most episodes that are told in a session: each is one more row of a batch.
LONGEST = 64
HINT = f'Give one JSON list a line: 1 to {LONGEST} texts that are told, then ["prompt", "answer"].'

#: What ``write_places`` tells of.
THINGS = ("key", "pen", "coin", "ring", "map", "phone", "cup", "book")
PLACES = (
    "in the drawer",
    "on the shelf",
    "under the bed",
    "in the box",
    "on the desk",
    "behind the door",
    "in the car",
    "by the window",
)
MOST_TOLD = 11


@dataclass(frozen=True)
class Session:
    """What is told, one episode a text, then asked, and the answer that the model should give."""

    told: tuple[str, ...]
    prompt: str
    answer: str

    @property
    def texts(self) -> tuple[str, ...]:
        """All episodes, the last with its answer."""
        return (*self.told, self.prompt + self.answer)


def read_sessions(path: Path | str) -> list[Session]:
    """The sessions of a file, blank lines left out. ``DataError`` names the file and the line of the first
    that is none.
    """
    try:
        with open_text(path) as stream:
            lines = stream.read().decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text.", HINT) from None
    found = [_session(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise DataError(f"{path}: holds no session.", HINT)
    return found


def _session(line: str, where: str) -> Session:
    try:
        *told, asked = parse_json(line)
        prompt, answer = asked if isinstance(asked, list) else ()
    except (ValueError, TypeError):
        raise DataError(f"{where}: not a session.", HINT) from None
    if (
        not 1 <= len(told) <= LONGEST
        or not all(isinstance(t, str) and t.strip() for t in (*told, answer))
        or not isinstance(prompt, str)
    ):
        raise DataError(f"{where}: not a session.", HINT)
    for text in (*told, prompt, answer):
        check_text(text, f"{where}: a text")
    return Session(tuple(told), prompt, answer)


@dataclass(frozen=True)
class Sessions:
    """Tokenised sessions. texts: all of them, one behind the other; first, count: int64 [n], where each
    session's texts are in them.
    """

    texts: Tokens
    first: np.ndarray
    count: np.ndarray

    @classmethod
    def encode(cls, tokenizer: Tokenizer, sessions: Sequence[Session]) -> Sessions:
        """Tokenise in memory, prompt and answer apart: on a board, too, the answer begins behind the prompt's
        last token.
        """
        count = np.array([len(s.texts) for s in sessions], np.int64)
        parts = Tokens.encode(tokenizer, [part for s in sessions for part in (*s.told, s.prompt, s.answer)])
        prompt = np.cumsum(count + 1) - 2
        sizes = parts.sizes.copy()
        sizes[prompt + 1] += sizes[prompt] - 1
        flat = np.delete(parts.flat, parts.starts[prompt] + parts.sizes[prompt] - 1)  # no EOS between the two
        return cls(Tokens.of(flat, np.delete(sizes, prompt)), np.cumsum(count) - count, count)

    def __len__(self) -> int:
        return len(self.count)

    def check(self, every: int, max_len: int) -> None:
        """``ConfigError`` where ``session_every`` draws none, or a text has more than ``max_len`` tokens:
        what is cut may be the answer.
        """
        if len(self) and not every:
            raise ConfigError(
                "There are sessions, but session_every=0 trains on none of them.",
                "Set session_every in the training settings: 1 for sessions only, 2 for every second batch.",
            )
        longest = self.texts.sizes.max(initial=0)
        if longest > max_len:
            number = np.searchsorted(self.first, self.texts.sizes.argmax(), "right")
            raise ConfigError(
                f"A text of session {number} has {longest} tokens, its end included, max_len is {max_len}.",
                f"Set max_len={longest} in the training settings, or shorten it.",
            )

    def last(self) -> Tokens:
        """The text that each session ends with."""
        return self.texts.take(self.first + self.count - 1)

    def before(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices into ``texts`` of the earlier texts of some sessions, int64 [B, E] with E the most of them,
        and which are there, bool [B, E].
        """
        earlier = self.count[chosen] - 1
        column = np.arange(earlier.max())
        there = column < earlier[:, None]
        return np.where(there, self.first[chosen][:, None] + column, 0), there


def write_places(path: Path, count: int, seed: int = 0) -> None:
    """A file of ``count`` made-up sessions: where things are is told, some of them moved, one is asked for.
    The same for the same seed.

    Up to ``MOST_TOLD`` things are told, in any order, some of them several times; what holds is what was told
    last.
    """
    rng = np.random.default_rng(seed)
    with atomic_file(path) as f:  # other processes may be reading the same file, made by them
        for n in rng.integers(1, MOST_TOLD + 1, count):
            things, places = rng.integers(0, len(THINGS), n), rng.integers(0, len(PLACES), n)
            now = dict(zip(things.tolist(), places.tolist(), strict=False))
            asked = list(now)[rng.integers(len(now))]
            told = [f"The {THINGS[t]} is {PLACES[p]}." for t, p in zip(things, places, strict=False)]
            f.write(
                (json.dumps([*told, [f"The {THINGS[asked]} is", f" {PLACES[now[asked]]}."]]) + "\n").encode()
            )
