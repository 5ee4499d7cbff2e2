# SPDX-License-Identifier: Apache-2.0
"""A model that names what it was shown, made by hand: no training, and every answer is known beforehand.

Half of a state says which word came last, half what the memory holds. A word may follow some words, and
follows where the memory holds it. So the answer is put together out of what was told.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from support import SHOWN

from bitmar_tiny.data.show_once import PROMPT, UNKNOWN, answer_of, sentence_of
from bitmar_tiny.data.tokenizer import EOS_TEXT, Tokenizer
from bitmar_tiny.evaluate.askers import LONGEST_ANSWER
from bitmar_tiny.frozen import FrozenModel, random_model
from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.memory.store import Memory
from bitmar_tiny.run.session import Session

ARTICLES, NAMES = (" a", " an", " my"), (" dax", " wug", " cup", " key", " apple")
NO_IDEA = (" I", " don", "'t", " know")
WORDS = ("This", " is", *ARTICLES, *NAMES, *NO_IDEA, ".", EOS_TEXT)
#: Word -> those that it may follow.
BEFORE = {
    **dict.fromkeys((*ARTICLES, " I"), (" is",)),
    **dict.fromkeys(NAMES, ARTICLES),
    **dict(zip(NO_IDEA[1:], ((word,) for word in NO_IDEA), strict=False)),
    ".": (*NAMES, " know"),
    EOS_TEXT: (".",),
}
HALF = 32
#: How far the memory's half is from 0, beside twice 1 for the word that came last.
VOICE = 0.15


def word_tokenizer() -> Tokenizer:
    """Every byte is a token, and every word is one: it grows by a byte a merge."""
    tokens = [bytes([b]) for b in range(256)]
    merges: list[tuple[int, int]] = []
    for word in WORDS[:-1]:
        data = word.encode()
        for end in range(2, len(data) + 1):
            if data[:end] not in tokens:
                merges.append((tokens.index(data[: end - 1]), data[end - 1]))
                tokens.append(data[:end])
    return Tokenizer([*tokens, EOS_TEXT], merges)


def naming_model(**changes: object) -> FrozenModel:
    """The model, which has been shown nothing. ``changes``: of its configuration."""
    tokenizer = word_tokenizer()
    cfg = SHOWN.model_copy(
        update={
            "name": "naming",
            "vocab_size": tokenizer.vocab_size,
            "d_model": 2 * HALF,
            "n_heads": 2,
            "n_fusion_layers": 1,
            "memory_fixed": 1,
            "match": 0.999,
            **changes,
        }
    )
    ids = {
        word: tokenizer.eos if word == EOS_TEXT else tokenizer.encode(word)[0]
        for word in WORDS
    }
    place = {word: i for i, word in enumerate(WORDS)}
    a = {name: array.copy() for name, array in random_model(cfg, seed=6).arrays.items()}
    for name, array in a.items():
        if name.endswith((".wo.trits", ".w2.trits")) and not name.startswith("vision"):
            array[:] = 0  # every block hands on what it gets
    for name in ("token_table.codes", "position_table.codes", "head.w.trits", "memory.wv.trits"):
        a[name][:] = 0
    for name in ("memory.norm", "head.norm"):
        a[name][:] = 1
    a["token_table.scales"][:] = 1 / 127
    a["memory.sharpness"][:] = 20
    a["dec.0.wm.trits"][:] = 0
    a["dec.0.wm.scale"] = np.full_like(a["dec.0.wm.scale"], VOICE)
    for word, i in place.items():
        a["token_table.codes"][ids[word], i] = 127
        a["head.w.trits"][ids[word], HALF + i] = 1
        a["head.w.trits"][ids[word], [place[w] for w in BEFORE.get(word, ())]] = 1
        a["dec.0.wm.trits"][HALF + i, HALF + i] = 1
        if word in (*ARTICLES, *NAMES):
            a["memory.wv.trits"][HALF + i, i] = 1
    keys, values = np.zeros((2, cfg.memory_slots, cfg.d_model), np.int8)
    keys[0] = np.random.default_rng(0).integers(-127, 128, cfg.d_model)
    values[0, [HALF + place[word] for word in NO_IDEA]] = 127
    usage = np.zeros(cfg.memory_slots, np.uint32)
    usage[0] = nm.USAGE_ONE
    a |= {"memory.m.codes": nm.codes_of(keys, values), "memory.m.usage": usage}
    return FrozenModel(cfg, a, tokenizer.to_bytes(), {"weights": "made by hand"})


class Golden:
    """What a session answers: the rules of showing once, said as plainly as they go."""

    def __init__(self, session: Session, tokenizer: Tokenizer, fixed: int = 1) -> None:
        self.session, self.tokenizer, self.fixed = session, tokenizer, fixed
        self.prompt = tokenizer.encode(PROMPT)

    def _answer(self) -> str:
        tokens = [token for token, _ in self.session.generate(self.prompt, LONGEST_ANSWER)]
        return self.tokenizer.decode(tokens)

    def tell(self, name: str, picture: np.ndarray) -> None:
        """Taught without a rehearsal."""
        self.session.begin()
        self.session.image(picture)
        self.session.tokens([self.tokenizer.eos, *self.tokenizer.encode(sentence_of(name))])
        self.session.end()

    def ask(self, picture: np.ndarray) -> str:
        self.session.begin()
        self.session.image(picture)
        return self._answer()

    def recited(self) -> dict[int, tuple[int, str]]:
        """Slot -> episodes ago, and what it says alone."""
        whole, found = self.session.read_memory(), {}
        for slot in np.flatnonzero(whole.usage):
            if slot >= self.fixed:
                usage = np.zeros_like(whole.usage)
                usage[slot] = whole.usage[slot]
                self.session.write_memory(replace(whole, usage=usage))
                self.session.begin()
                found[int(slot)] = (nm.USAGE_ONE - int(whole.usage[slot]), self._answer())
        self.session.write_memory(whole)
        return found

    def forget(self, name: str) -> None:
        gone = [slot for slot, (_, said) in self.recited().items() if said == answer_of(name)]
        whole = self.session.read_memory()
        usage = whole.usage.copy()
        usage[gone] = 0
        self.session.write_memory(Memory(whole.codes, whole.scales, usage, whole.keyed))


def pictures(count: int, side: int = 32) -> list[np.ndarray]:
    """uint8 [side, side, 3], no two alike."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:side, :side] / side
    found = []
    for i in range(count):
        waves = [np.sin(6 * (rng.normal() * x + rng.normal() * y) + rng.normal()) for _ in range(3)]
        shade = np.stack(waves, 2) * (x > 0.5 if i % 2 else y > 0.3)[..., None]
        found.append(np.uint8(np.clip(128 + 127 * shade, 0, 255)))
    return found


__all__ = ["NAMES", "PROMPT", "UNKNOWN", "Golden", "naming_model", "pictures", "word_tokenizer"]
