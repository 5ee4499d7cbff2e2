# SPDX-License-Identifier: Apache-2.0
"""What a slot was taught is recited out of the memory itself (**contract**, the C program repeats it).

Of a copy of the memory that slot alone is in use, and the model is asked without a picture: what it reads is
then the slot's value, whatever the query is, and what it writes is what it was told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..data.show_once import LONGEST_ANSWER, PROMPT
from ..data.tokenizer import Tokenizer
from ..frozen import FrozenModel
from ..golden import numerics as nm
from ..golden.model import GoldenModel
from ..golden.streams import Streams
from .store import Memory

#: Slots that are recited at once.
AT_ONCE = 256
#: Is told how many slots were recited, and of how many.
Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Nobody waits."""


def first_sentence(text: str) -> str:
    """What was written up to its first full stop; all of it where there is none."""
    head, stop, _ = text.partition(".")
    return head + stop


class Rehearsal:
    """The golden model of ``model``, on memories that are only tried."""

    def __init__(self, model: FrozenModel) -> None:
        self.golden = GoldenModel(model.config, model.arrays, self._tap)
        self.streams = Streams(model.config, model.arrays)
        self.tokenizer = Tokenizer.from_bytes(model.tokenizer)
        self.slot = 0  # that was written last

    def _tap(self, name: str, array: np.ndarray) -> None:
        if name == "write.slot":
            self.slot = int(array[0])

    def recite(self, memory: Memory, slot: int) -> str:
        """What the model writes behind ``PROMPT`` out of this slot alone, greedily: of a slot that was taught
        a dax it is " a dax.".
        """
        return self.recite_all(memory, [slot])[0]

    def recite_all(self, memory: Memory, slots: Sequence[int], progress: Progress = silent) -> list[str]:
        """The same of several slots."""
        said: list[str] = []
        for first in range(0, len(slots), AT_ONCE):
            said += self._recited(memory, np.array(slots[first : first + AT_ONCE], np.int64))
            progress(len(said), len(slots))
        return said

    def _recited(self, memory: Memory, slots: np.ndarray) -> Iterator[str]:
        eos, tokens = self.tokenizer.eos, self.tokenizer.tokens
        self.streams.begin(memory.codes[slots], memory.scales[slots], memory.usage[slots])
        for token in (eos, *self.tokenizer.encode(PROMPT)):
            logits = self.streams.step(np.full(len(slots), token))
        written: list[list[int]] = [[] for _ in slots]
        writing = set(range(len(slots)))
        while writing:
            best = logits.argmax(1)
            for i in list(writing):
                token = int(best[i])
                written[i] += [token] * (token != eos)
                if token == eos or len(written[i]) == LONGEST_ANSWER or b"." in tokens[token]:
                    writing.remove(i)
            if writing:
                logits = self.streams.step(best)
        return (first_sentence(self.tokenizer.decode(ids)) for ids in written)

    def episode(self, memory: Memory, picture: np.ndarray, text: str) -> tuple[Memory, int]:
        """What an episode, a picture [image_inputs, 768] and a text, leaves of a memory, and the slot that
        keeps it.
        """
        g = self.golden
        g.m_codes, g.m_scales, g.m_usage = memory.codes, memory.scales, memory.usage  # never written into
        g.begin_episode()
        g.set_image(nm.as_features(picture))
        for token in (self.tokenizer.eos, *self.tokenizer.encode(text)):
            g.step(token)
        g.end_episode()
        return Memory(g.m_codes, g.m_scales, g.m_usage, memory.keyed), self.slot
