# SPDX-License-Identifier: Apache-2.0
"""Contamination: text that shares a run of words with a set that is evaluated.

A text is contaminated where ``n`` words in a row stand in the set, too; a text of the set that is shorter
counts where it stands in the other whole, from ``shortest`` words on. Case and punctuation do not count.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .words import Words

#: Words in a row that two texts may not share: with sets that are evaluated, and with held-out text, whose
#: formulas ("preheat the oven to 350 degrees") training text shares for good reasons.
N_EVALUATED, N_HELD_OUT = 8, 13
SHORTEST = 5


class Evaluated:
    """A set that is evaluated, by its runs of words. texts: how many it has."""

    def __init__(
        self, name: str, texts: Iterable[str], n: int = N_EVALUATED, shortest: int = SHORTEST
    ) -> None:
        words = Words.of(texts)
        self.name, self.texts = name, len(words)
        self._runs = {}
        for size in range(shortest, n + 1):
            hashes, text = words.runs(size)
            whole = hashes if size == n else hashes[words.sizes[text] == size]
            if len(whole):
                self._runs[size] = np.unique(whole)

    def touches(self, words: Words) -> np.ndarray:
        """bool [texts]: whether each is contaminated by the set."""
        found = np.zeros(len(words), bool)
        for size, known in self._runs.items():
            hashes, text = words.runs(size)
            at = np.searchsorted(known, hashes)
            found[text[known[np.minimum(at, len(known) - 1)] == hashes]] = True
        return found
