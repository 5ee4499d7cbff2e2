# SPDX-License-Identifier: Apache-2.0
"""Sessions made up from pictures of things: each thing is shown and called by a name that is made up for this
session alone, so that no weight can hold it; then one of them is asked, in a view in which it was not shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import ConfigError
from .places import PLACES, THINGS, place_of
from .sessions import NONE_OF_THEM, Session, Sessions
from .things.table import TRAIN, Things, Trial
from .tokenizer import Tokenizer

#: The parts of a name. GPT-2's tokenizer has a token for each, and takes none of them together.
FIRST = (
    "bal bel bil bol bul dam dan del dem dex dil don fal fel fem fin fol fox ful gel gem gol gul hal hex him "
    "hol hum jan jun kan kil lan lax lin lun lux mal mel mil mon mun nan nem nil num pel pil pol pul ran ren "
    "san sil sol sun tal tel tex til tul val van vel vil vol wal wel wil"
).split()
SECOND = (
    "ba be bi bo bu ha he hi ho ja jo ju ke ma me mi mo mu ra re ri ro ru va vi vo vu wa we wi wo wu ze zi "
    "zo zu ban ben bin bon hab hib hof hum jan jen jun kef nex rax rez rix rob vik wik zan zen zon"
).split()
#: Names as people give them: perhaps a colour or a size, and a thing. GPT-2's tokenizer has a token for each.
KINDS = "big small old new red blue green yellow black white".split()
WORDS = (
    "cup mug pen key box bag hat coat shoe ring watch clock phone lamp chair table desk bed door window "
    "book card coin ball toy doll bear dog cat fish bird horse cow pig duck mouse tree leaf flower rose "
    "plant apple lemon orange bread cake egg cheese soup rice salt sugar milk tea coffee water bottle "
    "glass plate bowl knife pan pot oven soap towel brush mirror car bus truck train bike boat ship plane "
    "wheel road bridge house tower shop school church farm garden stone rock sand hill river lake sea "
    "cloud star moon sun fire candle drum guitar piano horn bell camera radio screen keyboard cable "
    "battery tool hammer saw nail rope tape paper pencil paint picture map flag letter basket tent "
    "blanket shirt dress jacket belt boot hand foot face robot dragon ghost crown mask puzzle"
).split()
PROMPT, UNKNOWN = "This is", " I don't know."
#: Tokens that an answer has at most.
LONGEST_ANSWER = 12
#: Words before which no article is put.
DETERMINERS = ("a", "an", "the", "my", "your", "his", "her", "our", "their")
VOWELS = tuple("aeiou")
#: Most names that change in a session: each is an episode more, for the whole batch.
MOST_RENAMED = 3


def answer_of(name: str) -> str:
    """What is said behind ``PROMPT``: " a dax.", " an apple.", and " my cup." where the name says whose."""
    if name.partition(" ")[0].lower() in DETERMINERS:
        return f" {name}."
    return f" {'an' if name[:1].lower() in VOWELS else 'a'} {name}."


def name_of(answer: str) -> str:
    """The name in an answer: of " a dax." it is "dax"."""
    name = answer.strip().removesuffix(".")
    article, _, rest = name.partition(" ")
    return rest if article in ("a", "an") and rest else name


def sentence_of(name: str) -> str:
    """What is said beside a picture."""
    return PROMPT + answer_of(name)


def draw_names(rng: np.random.Generator, count: int) -> list[str]:
    """Names, no two alike. ``ConfigError`` for more than there are."""
    most = len(FIRST) * len(SECOND)
    if count > most:
        raise ConfigError(f"There are {most:,} made-up names, not {count:,}.", "Show fewer things.")
    drawn = rng.choice(most, count, replace=False)
    return [FIRST[i // len(SECOND)] + SECOND[i % len(SECOND)] for i in drawn]


def draw_words(rng: np.random.Generator, count: int) -> list[str]:
    """Names as people give them, no two alike: "cup", "my cup", "the big cup"."""
    found: dict[str, None] = {}
    while len(found) < count:
        parts = (rng.choice(("", "", "my", "the", "your")), rng.choice(("", "", *KINDS)), rng.choice(WORDS))
        found[" ".join(filter(None, parts))] = None
    return list(found)


@lru_cache(maxsize=1)
def spelling(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """What names can be spelled of: tokens of letters that begin a word, and those that go on with one."""
    texts = [tokenizer.decode([i]) for i in range(tokenizer.vocab_size) if i != tokenizer.eos]
    first = [t[1:] for t in texts if t[:1] == " " and t[1:].isascii() and t[1:].isalpha()]
    return first, [t for t in texts if t.isascii() and t.isalpha()]


def draw_spelled(rng: np.random.Generator, count: int, parts: tuple[list[str], list[str]]) -> list[str]:
    """Names spelled of any tokens (:func:`spelling`), no two alike: one word or two, perhaps with whose it
    is; so that what a user calls a thing can be kept, too.
    """
    found: dict[str, None] = {}
    while len(found) < count:
        words = [rng.choice(("", "", "my", "the", "your"))]
        for most in (5, 3)[: rng.integers(1, 3)]:
            words.append(rng.choice(parts[0]) + "".join(rng.choice(parts[1], rng.integers(0, most))))
        found[" ".join(filter(None, words))] = None
    return list(found)


def draw_texts(rng: np.random.Generator, count: int) -> list[str]:
    """Texts that have nothing to do with pictures."""
    return [
        place_of(t, p)
        for t, p in zip(*(rng.integers(0, len(x), count) for x in (THINGS, PLACES)), strict=True)
    ]


@dataclass(frozen=True)
class Recipe:
    """What a session is made of.

    things: fewest and most that are shown; views: pictures of each; unknown: part of the sessions that ask
    for a thing that was not shown; renamed: part of those in which some of the things get another name later,
    among them the one that is asked; texts: most episodes without a picture among the others; questions: most
    that are asked of one memory, each of another thing; recited: part of them that are asked without a
    picture, of a memory that holds nothing else; words, spelled: parts of the sessions whose names are
    words, or are spelled of any tokens.
    """

    things: tuple[int, int] = (2, 20)
    views: int = 1
    unknown: float = 0.1
    renamed: float = 0.1
    texts: int = 0
    questions: int = 1
    recited: float = 0.0
    words: float = 0.0
    spelled: float = 0.0


def told(rng: np.random.Generator, trial: Trial, names: Sequence[str]) -> list[tuple[int, int, str]]:
    """Episodes (thing, row, text) that show the things of a trial by these names, view after view."""
    rows = trial.shown.T  # [k, N]: first all things once
    return [
        (int(i), int(view[i]), sentence_of(names[i])) for view in rows for i in rng.permutation(len(names))
    ]


def _some_names(rng: np.random.Generator, count: int, recipe: Recipe, tokenizer: Tokenizer) -> list[str]:
    """Names of one kind."""
    kind = rng.random()
    if kind < recipe.words:
        return draw_words(rng, count)
    if kind < recipe.words + recipe.spelled:
        return draw_spelled(rng, count, spelling(tokenizer))
    return draw_names(rng, count)


def make_sessions(
    rng: np.random.Generator, trial: Trial, recipe: Recipe, tokenizer: Tokenizer
) -> list[Session]:
    """What a trial shows, told once, and a session for each question about it."""
    n = len(trial.shown)
    names = _some_names(rng, 2 * n, recipe, tokenizer)
    now, later = names[:n], names[n:]
    episodes: list[tuple[int, int | None, str]] = [*told(rng, trial, now)]
    if rng.random() < recipe.renamed:
        chosen = {trial.target, *rng.permutation(n)[: rng.integers(0, MOST_RENAMED)].tolist()}
        episodes += [(i, int(rng.choice(trial.shown[i])), sentence_of(later[i])) for i in sorted(chosen)]
        now = [later[i] if i in chosen else name for i, name in enumerate(now)]
    for text in draw_texts(rng, int(rng.integers(0, recipe.texts + 1))):
        episodes.insert(int(rng.integers(0, len(episodes) + 1)), (-1, None, text))
    things, pictures, texts = zip(*episodes, strict=True)

    def question(target: int, picture: int | None) -> Session:
        last = NONE_OF_THEM if target < 0 else len(things) - 1 - things[::-1].index(target)
        answer = UNKNOWN if target < 0 else answer_of(now[target])
        return Session(texts, PROMPT, answer, (*pictures, picture), last, things)

    asked = [(trial.target, trial.asked)]
    if recipe.questions > 1:
        others = rng.permutation([i for i in range(n) if i != trial.target])[: recipe.questions - 1]
        asked += [(i, int(trial.others[i])) for i in others.tolist()]
    strange = rng.random(len(asked)) < recipe.unknown
    return [
        question(-1, trial.stranger)
        if unknown and trial.stranger >= 0
        else question(i, None if rng.random() < recipe.recited else row)
        for (i, row), unknown in zip(asked, strange, strict=True)
    ]


class MadeSessions:
    """Sessions to train on, made anew for every batch: a pure function of seed and number.

    Each batch is of one table, the larger ones more often, and its sessions have as many things.
    """

    def __init__(self, tables: Sequence[Things], tokenizer: Tokenizer, recipe: Recipe) -> None:
        self.tables, self.tokenizer, self.recipe = tables, tokenizer, recipe
        self.sizes = np.array([(t.side == TRAIN).sum() for t in tables])
        low, high = recipe.things
        if not 1 <= low <= high or recipe.views < 1:
            raise ConfigError(
                f"Sessions of {low} to {high} things in {recipe.views} views are not possible.",
                "Show one thing at least, in one view at least: session_things=[2, 20], session_views=1.",
            )
        for table in tables:  # refuses what cannot be drawn before anything is trained
            table.trial(np.random.default_rng(0), TRAIN, table.training, low, recipe.views, most=True)

    def __len__(self) -> int:
        """Things to learn from: as many sessions count as an epoch."""
        return int(self.sizes.sum())

    def draw(self, seed: int, number: int, count: int) -> Sessions:
        """The sessions of batch ``number``."""
        rng = np.random.default_rng([seed, number])
        table = self.tables[rng.choice(len(self.tables), p=self.sizes / self.sizes.sum())]
        n = int(rng.integers(self.recipe.things[0], self.recipe.things[1] + 1))
        sessions: list[Session] = []
        while len(sessions) < count:
            trial = table.trial(rng, TRAIN, table.training, n, self.recipe.views, most=True)
            sessions += make_sessions(rng, trial, self.recipe, self.tokenizer)
        return Sessions.encode(self.tokenizer, sessions[:count], table.pictures)

    def arrays(self) -> Iterator[np.ndarray]:
        """All that tells these sessions from others, for who seals it."""
        yield np.frombuffer(repr(self.recipe).encode(), np.uint8)
        for t in self.tables:
            yield from (t.thing, t.view, t.side, t.group, t.pairs[t.training], t.pictures)

    def check(self, every: int, max_len: int) -> None:
        """``ConfigError`` where ``session_every`` draws none, or a text may have more than ``max_len``
        tokens.
        """
        if not every:
            raise ConfigError(
                "There are things to make sessions of, but session_every=0 trains on none of them.",
                "Set session_every in the training settings: 1 for sessions only, 2 for every second batch.",
            )
        longest = max(map(len, self.tokenizer.encode_batch(every_text()))) + 1
        if longest > max_len:
            raise ConfigError(
                f"A text of the sessions has {longest} tokens, its end included, max_len is {max_len}.",
                f"Set max_len={longest} in the training settings.",
            )


def every_text() -> list[str]:
    """Texts in which every part of a name, and every word of the others, is."""
    names = [a + SECOND[i % len(SECOND)] for i, a in enumerate(FIRST)]
    names += [FIRST[i % len(FIRST)] + b for i, b in enumerate(SECOND)]
    places = [place_of(t, p) for t in range(len(THINGS)) for p in range(len(PLACES))]
    names += [f"{whose} {kind} {word}" for whose in ("my", "the", "your") for kind in KINDS for word in WORDS]
    return [*map(sentence_of, (*names, *WORDS)), PROMPT + UNKNOWN, *places]
