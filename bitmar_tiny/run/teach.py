# SPDX-License-Identifier: Apache-2.0
"""A thing shown once by its name, recognised, forgotten and listed, wherever the model and its memory are.

There is no record beside the memory. What a slot holds is recited out of it by golden, on this computer, from
one reading of the memory; so a board's is answered for as a store's.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace

import numpy as np

from ..data.show_once import LONGEST_ANSWER, PROMPT, UNKNOWN, answer_of, name_of, sentence_of
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, DataError, StoreError
from ..frozen import FrozenModel
from ..golden import numerics as nm
from ..memory.inspect import Source, layout_of, memory_of, nearest, rest
from ..memory.recital import Progress, Rehearsal, first_sentence, silent
from ..memory.store import Memory
from .device import DeviceSession
from .generate import TO_WRITE, Request, generate, tell
from .session import Session

#: Slots that are named as those that answered.
TOP = 3
#: What is left out around a name, what none may hold, and its most bytes (bm_words.c has the same).
SPACES, CONTROL, MOST_BYTES = " \t\n\v\f\r", re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029.]"), 128


@dataclass(frozen=True)
class Thing:
    """What a slot was taught. name: what it recites, without its article; episodes_ago: how many episodes the
    memory was given since.
    """

    slot: int
    name: str
    episodes_ago: int


@dataclass(frozen=True)
class Taught:
    """What was taught. replaced: what the slot held before, if anything; alike: that was replaced because its
    picture is like this one, else because the memory is full; known: things that are known now.
    """

    thing: Thing
    replaced: Thing | None
    alike: bool
    known: int


@dataclass(frozen=True)
class Answering:
    """A slot that answered. share: of what was read, 0 to 1; name: what it recites; learned: it was trained,
    not taught.
    """

    slot: int
    share: float
    name: str
    learned: bool


@dataclass(frozen=True)
class Seen:
    """What the model says of a picture. text: the sentence; name: of the thing, None for one that it doesn't
    know; slots: those that answered most, the first the most; learned_share: of all learned slots in what was
    read, 0 to 1: the more, the less the picture is like anything that was taught.
    """

    text: str
    name: str | None
    slots: list[Answering]
    learned_share: float


def need_things(model: FrozenModel) -> None:
    """``ConfigError`` for a model that nothing can be shown to."""
    cfg = model.config
    lacking = (
        "its memory keeps no keys apart from values (write_rule is not keyed)"
        if not cfg.keyed
        else "it was frozen without a tokenizer"
        if not model.tokenizer
        else ""
    )
    if lacking:
        raise ConfigError(
            f"{cfg.name}: nothing can be shown to this model: {lacking}.",
            "Choose one that was trained on things; docs/how-to/show-once.md says how.",
        )


def checked_name(model: FrozenModel, name: str) -> str:
    """A name as it is taught. ``ConfigError`` for one that nothing can have."""
    if any("\ud800" <= c <= "\udfff" for c in name):
        raise DataError("The name holds bytes that are no Unicode text.", "Write it in UTF-8.")
    name = name.strip(SPACES)
    if not name:
        raise ConfigError("The name is empty.", "Give the thing one, such as 'my cup'.")
    if CONTROL.search(name):
        raise ConfigError(
            "The name holds a line break, another control character or a full stop.",
            "Write it on one line, without a full stop.",
        )
    if len(name.encode()) > MOST_BYTES:
        raise ConfigError(f"The name is longer than {MOST_BYTES} bytes.", "Choose a shorter one.")
    tokens = len(Tokenizer.from_bytes(model.tokenizer).encode(answer_of(name)))
    if tokens > LONGEST_ANSWER:
        raise ConfigError(
            f"'{name[:60]}': too long a name: saying it takes {tokens} tokens, and an answer has "
            f"{LONGEST_ANSWER} at most.",
            "Choose a shorter one.",
        )
    return name


def rehearse(
    model: FrozenModel, name: str, picture: np.ndarray, memory: Memory | None = None
) -> tuple[Memory, int]:
    """The memory after a thing was shown, and the slot that keeps it, as golden has it; nothing is written.

    memory: that is shown to, by default the one that the model was trained to. ``ConfigError`` for a name
    that the model would not say again out of that slot.
    """
    tried = Rehearsal(model)
    after, slot = tried.episode(memory or memory_of(model), picture, sentence_of(name))
    said = tried.recite(after, slot)
    if said != answer_of(name):
        raise ConfigError(
            f"The model cannot keep the name '{name}': it would say '{said.strip()}' in its place.",
            "Choose another name. Nothing was written.",
        )
    return after, slot


def teach(session: Session, model: FrozenModel, name: str, picture: np.ndarray) -> Taught:
    """Show a thing to ``session``: a picture [image_inputs, 768] and its name, as one episode.

    ``ConfigError`` before anything is written, for a name that cannot be kept and for a memory that cannot be
    written.
    """
    session.need_writable(TO_WRITE)
    name = checked_name(model, name)
    before = read_memory(session, model)
    after, slot = rehearse(model, name, picture, before)
    tokenizer = Tokenizer.from_bytes(model.tokenizer)
    replaced = None if before.empty[slot] else _thing(before, slot, Rehearsal(model).recite(before, slot))
    session.memory_on(True)
    tell(session, (tokenizer.eos, *tokenizer.encode(sentence_of(name))), picture)
    cosine = float(before.rows()[slot] @ after.rows()[slot]) / before.width  # their length is sqrt(width)
    return Taught(
        Thing(slot, name_of(answer_of(name)), 0),
        replaced,
        cosine > model.config.match_from - 1e-5,
        len(_used(after, model)),
    )


def ask(session: Session, model: FrozenModel, picture: np.ndarray) -> Seen:
    """What ``session`` says of a picture [image_inputs, 768], and which slots answered it."""
    memory = read_memory(session, model)
    tokenizer = Tokenizer.from_bytes(model.tokenizer)
    request = Request(tuple(tokenizer.encode(PROMPT)), picture, LONGEST_ANSWER)
    said = first_sentence(tokenizer.decode([token for token, _ in generate(session, request)]))
    tried, learned = Rehearsal(model), model.config.fixed_slots
    everyone = nearest(Source(session.name, memory, model.digest), model, (), picture, memory.slots)
    near = everyone[:TOP]
    near = [n for n in near if 2 * nm.PROB_ONE * n.share >= near[0].share]  # golden rounds others to 0
    recited = tried.recite_all(memory, [n.slot for n in near])
    answering = [
        Answering(n.slot, n.share, name_of(text), n.slot < learned)
        for n, text in zip(near, recited, strict=True)
    ]
    known = said != UNKNOWN
    doubt = sum(n.share for n in everyone if n.slot < learned)
    return Seen(PROMPT + said if known else said.strip(), name_of(said) if known else None, answering, doubt)


def forget(session: Session, model: FrozenModel, name: str, progress: Progress = silent) -> list[Thing]:
    """Empty the slots that recite ``name``; returns what they held. Learned slots are never touched.

    ``StoreError`` if none does.
    """
    session.need_writable(TO_WRITE)
    name = name_of(answer_of(checked_name(model, name)))
    memory = read_memory(session, model)
    known = _things(memory, model, progress)
    found = [thing for thing in known if thing.name == name]
    if not found:
        near = difflib.get_close_matches(name, [thing.name for thing in known], n=1)
        raise StoreError(
            f"{session.name}: nothing is known by the name '{name}'.",
            f"Did you mean '{near[0]}'?" if near else "'bitmar-tiny memory list' shows what is known.",
        )
    stays = np.ones(memory.slots, bool)
    stays[[thing.slot for thing in found]] = False
    session.write_memory(
        replace(
            memory,
            codes=memory.codes * stays[:, None],
            scales=memory.scales * stays,
            usage=memory.usage * stays,
        )
    )
    return found


def taught(session: Session, model: FrozenModel, progress: Progress = silent) -> list[Thing]:
    """All that ``session`` was taught, the latest first."""
    return _things(read_memory(session, model), model, progress)


def read_memory(session: Session, model: FrozenModel) -> Memory:
    """The memory of ``session``, which has to run ``model``. ``ConfigError`` or ``DeviceError`` otherwise."""
    need_things(model)
    if isinstance(session, DeviceSession):
        session.need(model)
    memory = session.read_memory()
    if memory.layout != layout_of(model):
        raise ConfigError(f"{session.name} runs another model than {model.config.name}.", "Name its own.")
    return memory


def _used(memory: Memory, model: FrozenModel) -> list[int]:
    """Slots that something was taught."""
    return [slot for slot in np.flatnonzero(~memory.empty).tolist() if slot >= model.config.fixed_slots]


def _things(memory: Memory, model: FrozenModel, progress: Progress = silent) -> list[Thing]:
    used = _used(memory, model)
    recited = Rehearsal(model).recite_all(memory, used, progress)
    found = [_thing(memory, slot, text) for slot, text in zip(used, recited, strict=True)]
    return sorted(found, key=lambda thing: thing.episodes_ago)


def _thing(memory: Memory, slot: int, recited: str) -> Thing:
    return Thing(slot, name_of(recited), int(rest(memory.usage, keyed=True)[slot]))
