# SPDX-License-Identifier: Apache-2.0
"""What a slot was taught is recited out of the memory itself (**contract**, the C program repeats it).

Of a copy of the memory that slot alone is in use, and the model is asked without a picture: what it reads is
then the slot's value, whatever the query is, and what it writes is what it was told.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.show_once import LONGEST_ANSWER, PROMPT
from ..data.tokenizer import Tokenizer
from ..frozen import FrozenModel
from ..golden import numerics as nm
from ..golden.model import GoldenModel
from .store import Memory


def alone(memory: Memory, slot: int) -> Memory:
    """The memory with one slot in use: the usage of all others, the learned ones included, is 0."""
    usage = np.zeros_like(memory.usage)
    usage[slot] = memory.usage[slot]
    return replace(memory, usage=usage)


def first_sentence(text: str) -> str:
    """What was written up to its first full stop; all of it where there is none."""
    head, stop, _ = text.partition(".")
    return head + stop


class Rehearsal:
    """The golden model of ``model``, on memories that are only tried."""

    def __init__(self, model: FrozenModel) -> None:
        self.golden = GoldenModel(model.config, model.arrays, self._tap)
        self.tokenizer = Tokenizer.from_bytes(model.tokenizer)
        self.slot = 0  # that was written last

    def _tap(self, name: str, array: np.ndarray) -> None:
        if name == "write.slot":
            self.slot = int(array[0])

    def _begin(self, memory: Memory) -> None:
        g = self.golden
        g.m_codes, g.m_scales, g.m_usage = memory.codes, memory.scales, memory.usage  # never written into
        g.begin_episode()

    def recite(self, memory: Memory, slot: int) -> str:
        """What the model writes behind ``PROMPT`` out of this slot alone, greedily: of a slot that was taught
        a dax it is " a dax.".
        """
        self._begin(alone(memory, slot))
        written: list[int] = []
        for token in (self.tokenizer.eos, *self.tokenizer.encode(PROMPT)):
            logits = self.golden.step(token)
        while (best := int(logits.argmax())) != self.tokenizer.eos:
            written.append(best)
            if len(written) == LONGEST_ANSWER or b"." in self.tokenizer.tokens[best]:
                break
            logits = self.golden.step(best)
        return first_sentence(self.tokenizer.decode(written))

    def episode(self, memory: Memory, picture: np.ndarray, text: str) -> tuple[Memory, int]:
        """What an episode, a picture [image_inputs, 768] and a text, leaves of a memory, and the slot that
        keeps it.
        """
        self._begin(memory)
        self.golden.set_image(nm.as_features(picture))
        for token in (self.tokenizer.eos, *self.tokenizer.encode(text)):
            self.golden.step(token)
        self.golden.end_episode()
        g = self.golden
        return Memory(g.m_codes, g.m_scales, g.m_usage, memory.keyed), self.slot
