# SPDX-License-Identifier: Apache-2.0
"""Texts as codes of their words, and hashes of runs of words, all of many texts at once."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_WORD = re.compile(r"[^\W_]+")
_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Words:
    """flat: uint64 [words of all texts], each word by its letters, without case and punctuation; starts,
    sizes: int64 [texts].
    """

    flat: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[str]) -> Words:
        """The words of texts. An apostrophe is no border."""
        known: dict[str, int] = {}
        codes, sizes = [], []
        for text in texts:
            words = _WORD.findall(text.replace("'", "").lower())
            sizes.append(len(words))
            for word in words:
                if (code := known.get(word)) is None:
                    code = known[word] = zlib.crc32(word.encode()) + 1
                codes.append(code)
        counts = np.array(sizes, np.int64)
        return cls(np.array(codes, np.uint64), np.cumsum(counts) - counts, counts)

    def __len__(self) -> int:
        return len(self.sizes)

    def runs(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """(uint64, int64): hashes of every run of n words of one text, and which text each is of."""
        mixed = np.zeros(max(len(self.flat) - n + 1, 0), np.uint64)
        for i in range(n):
            mixed = (mixed ^ self.flat[i : i + len(mixed)]) * _STEP
            mixed ^= mixed >> np.uint64(29)
        text = np.repeat(np.arange(len(self)), self.sizes)
        inside = text[: len(mixed)] == text[n - 1 : n - 1 + len(mixed)]
        return mixed[inside], text[: len(mixed)][inside]
