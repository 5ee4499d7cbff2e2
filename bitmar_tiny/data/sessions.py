# SPDX-License-Identifier: Apache-2.0
"""Sessions: texts and pictures that come one after the other, each an episode of its own, the last of which
can need what the earlier ones told.

A file has one session a line, a JSON list: what is told, one episode or more, and last what is asked,
[prompt, answer]. An episode is a text, or a picture with a text; a picture is a file, named from the folder
of the sessions' file:

    ["The key is in the drawer.", "The pen is on the shelf.", ["The key is", " in the drawer."]]
    [{"image": "cup.png", "text": "This is a dax."},
     {"image": "cup2.png", "prompt": "This is", "answer": " a dax."}]    (all on one line)

A model learns to write the last text, prompt and answer joined; the others are read and written to the memory
before, each stream having a memory of its own. So the answer can only come out of the memory, and training
teaches what to put there and where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError
from ..files import parse_json
from .drawn import draw_patches
from .files import check_texts, picture_beside
from .lines import open_text
from .pixels import load_image
from .rows import TABLE, make_rows
from .tokenizer import Tokenizer
from .tokens import Tokens

#: Most episodes that are told in a session: each is one more row of a batch.
LONGEST = 256
#: Targets that are no episode: the session does not tell, or the answer was in none of its episodes.
UNKNOWN, NONE_OF_THEM = -1, -2
HINT = (
    f'Give one JSON list a line: 1 to {LONGEST} episodes that are told, each "text" or '
    '{"image": "file", "text": "text"}, then ["prompt", "answer"] or '
    '{"image": "file", "prompt": "prompt", "answer": "answer"}.'
)
FORMAT = 1


@dataclass(frozen=True)
class Session:
    """What is told, one episode a text, then asked, and the answer that the model should give.

    pictures: that of each episode, the question's last, None where it has none; () where no episode has one.
    A picture is a file, or the row of a table of pictures. target: which told episode holds the answer, or
    ``UNKNOWN`` or ``NONE_OF_THEM``; things: what each told episode is about, any number
    that stands for it, -1 where nobody knows, () where that is so of all. where: file and line, for who
    reports a fault. Sessions that share one tuple ``told`` share what they are told.
    """

    told: tuple[str, ...]
    prompt: str
    answer: str
    pictures: tuple[Path | int | None, ...] = ()
    target: int = UNKNOWN
    things: tuple[int, ...] = ()
    where: str = field(default="", compare=False)

    @property
    def texts(self) -> tuple[str, ...]:
        """All episodes, the last with its answer."""
        return (*self.told, self.prompt + self.answer)

    def picture(self, episode: int) -> Path | int | None:
        """The picture of an episode; -1: of the question."""
        return self.pictures[episode] if self.pictures else None


def read_sessions(path: Path | str) -> list[Session]:
    """The sessions of a file, blank lines left out. ``DataError`` names the file and the line of the first
    that is none, or whose picture is not there.
    """
    try:
        with open_text(path) as stream:
            lines = stream.read().decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text.", HINT) from None
    found = [_session(line, Path(path), number) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise DataError(f"{path}: holds no session.", HINT)
    return found


def _session(line: str, path: Path, number: int) -> Session:
    where = f"{path}:{number}"
    try:
        episodes = parse_json(line)
    except ValueError:
        episodes = None
    if not isinstance(episodes, list) or not 2 <= len(episodes) <= LONGEST + 1:
        raise DataError(f"{where}: not a session.", HINT)
    told = [
        _fields({"text": e} if isinstance(e, str) else e, ("text",), f"{where}: episode {i}", path)
        for i, e in enumerate(episodes[:-1], 1)
    ]
    asked = episodes[-1]
    if isinstance(asked, list) and len(asked) == 2:
        asked = dict(zip(("prompt", "answer"), asked, strict=True))
    *_, prompt, answer = last = _fields(asked, ("prompt", "answer"), f"{where}: the question", path)
    pictures = tuple(e[0] for e in (*told, last))
    return Session(
        tuple(text for _, text in told),
        prompt,
        answer,
        pictures if any(p is not None for p in pictures) else (),
        where=where,
    )


def _fields(episode: Any, names: Sequence[str], where: str, file: Path) -> tuple[Any, ...]:
    """(picture or None, the text of each name). Only a prompt may be empty."""
    if not isinstance(episode, dict) or set(episode) - {"image"} != set(names):
        raise DataError(f"{where} is no {' with an '.join(names)}.", HINT)
    check_texts(episode, where, HINT, empty=("prompt",))
    picture = None
    if "image" in episode:
        picture = picture_beside(file, episode["image"], "sessions' file", where)
    return picture, *(episode[name] for name in names)


def draw_pictures(
    sessions: Sequence[Session],
    folder: Path,
    vectors: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Session], np.ndarray | None]:
    """The sessions with rows in the place of picture files, and the table of these, uint8 [M, vectors, 768],
    drawn once into ``folder``; None where no session has a picture.

    ``DataError`` names file and line of the first picture that cannot be read.
    """
    first: dict[Path, str] = {}
    for session in sessions:
        for picture in session.pictures:
            if isinstance(picture, Path):
                first.setdefault(picture, session.where)
    if not first:
        return list(sessions), None
    files, failed = list(first), None
    try:
        kept = make_rows(
            folder, {"format": FORMAT, "vectors": vectors}, files, partial(draw_patches, vectors), progress
        ).kept
    except DataError as fault:  # no picture can be read, or the disk is full
        kept, failed = [], fault
    for bad in sorted(set(range(len(files))) - set(kept)):
        load_vectors(files[bad], vectors, first[files[bad]])
    if failed:
        raise failed
    rows = {file: i for i, file in enumerate(files)}
    return [
        replace(s, pictures=tuple(rows[p] if isinstance(p, Path) else p for p in s.pictures))
        for s in sessions
    ], np.load(folder / TABLE, mmap_mode="r")


def load_vectors(path: Path, vectors: int, where: str) -> np.ndarray:
    """A picture file as a model takes it, uint8 [vectors, 768]. ``DataError`` begins with ``where`` it is
    named.
    """
    try:
        return load_image(path, vectors)
    except DataError as fault:
        raise DataError(f"{where}: {fault.message}", fault.hint) from None


@dataclass(frozen=True)
class Sessions:
    """Tokenised sessions. texts: all of them, one behind the other; first, count, last: int64 [n], which of
    them each session is told, and which it asks: sessions that follow each other may be told the same ones;
    rows: int64, the picture of each text, -1: none; target: int64 [n] and
    things: int64, of each text, as in a :class:`Session`; asked: int64 [n], the last token before the answer,
    of the stream that begins with EOS; pictures: uint8 [M, vectors, 768], or None where there is none.
    """

    texts: Tokens
    first: np.ndarray
    count: np.ndarray
    last: np.ndarray
    rows: np.ndarray
    target: np.ndarray
    things: np.ndarray
    asked: np.ndarray
    pictures: np.ndarray | None = None

    @classmethod
    def encode(
        cls, tokenizer: Tokenizer, sessions: Sequence[Session], pictures: np.ndarray | None = None
    ) -> Sessions:
        """Tokenise in memory, prompt and answer apart: on a board, too, the answer begins behind the prompt's
        last token. pictures: the table that the sessions' rows count in.
        """
        same = [i > 0 and s.told is sessions[i - 1].told for i, s in enumerate(sessions)]
        new = [() if as_before else s.told for s, as_before in zip(sessions, same, strict=True)]
        texts = np.cumsum([len(told) + 1 for told in new])
        parts = Tokens.encode(
            tokenizer,
            [part for told, s in zip(new, sessions, strict=True) for part in (*told, s.prompt, s.answer)],
        )
        prompt = texts + np.arange(len(sessions)) - 1
        sizes = parts.sizes.copy()
        sizes[prompt + 1] += sizes[prompt] - 1
        flat = np.delete(parts.flat, parts.starts[prompt] + parts.sizes[prompt] - 1)  # no EOS between the two
        rows, things, first = [], [], []
        for end, told, s in zip(texts.tolist(), new, sessions, strict=True):
            rows += [
                -1 if p is None else p for p in (s.pictures or (None,) * (len(s.told) + 1))[-len(told) - 1 :]
            ]
            things += [*(s.things or (-1,) * len(told))[: len(told)], -1]
            first.append(end - 1 - len(told) if told else first[-1])
        return cls(
            Tokens.of(flat, np.delete(sizes, prompt)),
            np.array(first, np.int64),
            np.array([len(s.told) for s in sessions], np.int64),
            texts - 1,
            np.array(rows, np.int64),
            np.array([s.target for s in sessions], np.int64),
            np.array(things, np.int64),
            parts.sizes[prompt] - 1,
            pictures,
        )

    def __len__(self) -> int:
        return len(self.count)

    def arrays(self) -> Iterator[np.ndarray]:
        """All that tells these sessions from others, for who seals it."""
        yield from (self.texts.starts, self.texts.sizes, self.texts.flat)
        if self.pictures is not None:
            yield from (self.rows, self.pictures)

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
            number = 1 + np.searchsorted(self.last, self.texts.sizes.argmax())
            raise ConfigError(
                f"A text of session {number} has {longest} tokens, its end included, max_len is {max_len}.",
                f"Set max_len={longest} in the training settings, or shorten it.",
            )

    def before(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices into ``texts`` of the earlier texts of some sessions, int64 [B, E] with E the most of them,
        and which are there, bool [B, E].
        """
        column = np.arange(self.count[chosen].max())
        there = column < self.count[chosen][:, None]
        return np.where(there, self.first[chosen][:, None] + column, 0), there
