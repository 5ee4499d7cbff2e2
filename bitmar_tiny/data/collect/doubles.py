# SPDX-License-Identifier: Apache-2.0
"""Texts that stand in a corpus already: word for word, or nearly.

Two texts are nearly the same where the Jaccard index of their sets of five-word shingles is ``NEAR`` or more.
Candidates are found by MinHash (64 functions, 16 bands of 4: a pair at an index of 0.7 is missed once in 80),
and then compared exactly.
"""

from __future__ import annotations

import numpy as np

from .words import Words

SHINGLE, NEAR = 5, 0.7
_BANDS, _ROWS = 16, 4
_DRAWN = np.random.default_rng(0).integers(1, 1 << 63, (_BANDS * _ROWS, 2)).astype(np.uint64)


class Doubles:
    """Which texts were seen before."""

    def __init__(self) -> None:
        self._exact: set[bytes] = set()
        self._bands: list[dict[bytes, list[int]]] = [{} for _ in range(_BANDS)]
        self._shingles: list[np.ndarray] = []

    def seen(self, words: Words) -> np.ndarray:
        """bool [texts]: whether a text, or nearly it, came before, here or in an earlier call."""
        hashes, text = words.runs(SHINGLE)
        ends = np.searchsorted(text, np.arange(len(words)), side="right")
        starts = np.append(0, ends[:-1]) if len(ends) else ends
        signed = _signatures(hashes, starts, ends)
        found = np.zeros(len(words), bool)
        for i, (first, size) in enumerate(zip(words.starts, words.sizes, strict=True)):
            key = words.flat[first : first + size].tobytes()
            if key in self._exact:
                found[i] = True
                continue
            self._exact.add(key)
            if ends[i] > starts[i]:
                found[i] = self._near(np.unique(hashes[starts[i] : ends[i]]), signed[i])
        return found

    def _near(self, shingles: np.ndarray, signature: np.ndarray) -> bool:
        bands = [signature[b * _ROWS : (b + 1) * _ROWS].tobytes() for b in range(_BANDS)]
        candidates = {i for b, band in enumerate(bands) for i in self._bands[b].get(band, ())}
        if any(_jaccard(shingles, self._shingles[i]) >= NEAR for i in candidates):
            return True
        for b, band in enumerate(bands):
            self._bands[b].setdefault(band, []).append(len(self._shingles))
        self._shingles.append(shingles)
        return False


def _signatures(hashes: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """uint32 [texts, functions]: the least value of every function over the shingles of each text."""
    out = np.zeros((len(starts), len(_DRAWN)), np.uint32)
    there = np.flatnonzero(ends > starts)
    for k, (factor, offset) in enumerate(_DRAWN if len(there) else ()):
        mixed = ((hashes * (factor | np.uint64(1)) + offset) >> np.uint64(32)).astype(np.uint32)
        out[there, k] = np.minimum.reduceat(mixed, starts[there])
    return out


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    common = len(np.intersect1d(a, b, assume_unique=True))
    return common / (len(a) + len(b) - common)
