# SPDX-License-Identifier: Apache-2.0
"""Byte-level BPE in Python, for where the ``tokenizers`` package is not installed: text to the same ids,
as ``firmware_templates/runtime/model/bm_tokenizer.c`` does it on a board.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Sequence
from functools import cache, lru_cache

from .unicode_classes import LETTER, NUMBER, OTHER, SPACE, STARTS

#: Different pieces of text whose ids are remembered.
_REMEMBERED = 1 << 14
_DEAD = -1


@cache
def splitter() -> re.Pattern[str]:
    """GPT-2's regular expression, with the Unicode classes of the C program instead of Python's own."""
    ends = [start >> 2 for start in STARTS[1:]] + [0x110000]
    inside = ["", "", "", ""]
    for start, end in zip(STARTS, ends, strict=True):
        inside[start & 3] += f"\\U{start >> 2:08x}-\\U{end - 1:08x}"
    letter, number, other, space = (inside[kind] for kind in (LETTER, NUMBER, OTHER, SPACE))
    words = f" ?[{letter}]+| ?[{number}]+| ?[{other}]+"
    return re.compile(f"'s|'t|'re|'ve|'m|'ll|'d|{words}|[{space}]+(?![^{space}])|[{space}]+")


class Encoder:
    """A vocabulary's encoder. tokens: bytes of every id, of which the first 256 are the single bytes;
    merges: (left id, right id) by rank, so rank r results in id 256+r.
    """

    def __init__(self, tokens: Sequence[bytes], merges: Sequence[tuple[int, int]]) -> None:
        ids = {token[0]: i for i, token in enumerate(tokens[:256])}
        self._byte_ids = bytes(ids[byte] for byte in range(256))
        self._results = {pair: 256 + rank for rank, pair in enumerate(merges)}
        self._remembered = lru_cache(_REMEMBERED)(self._merge)

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``, nothing added. ``UnicodeEncodeError`` if it holds a lone surrogate."""
        return [i for piece in splitter().findall(text) for i in self._remembered(piece)]

    def _merge(self, piece: str) -> tuple[int, ...]:
        """Ids of one piece: of all neighbours that merge, those of the lowest rank first, the leftmost of
        equals. A heap holds what may merge, so that a long piece takes n log n steps.
        """
        results, ids = self._results, list(piece.encode().translate(self._byte_ids))
        found = [(results[pair], i) for i, pair in enumerate(itertools.pairwise(ids)) if pair in results]
        heapq.heapify(found)
        n = len(ids)
        before, after = list(range(-1, n - 1)), list(range(1, n + 1))
        while found:
            result, left = heapq.heappop(found)
            right = after[left]
            if right == n or results.get((ids[left], ids[right])) != result:
                continue  # one of the two has merged meanwhile
            ids[left], ids[right], after[left] = result, _DEAD, after[right]
            if after[left] < n:
                before[after[left]] = left
            for i in (before[left], left):
                if i >= 0 and after[i] < n and (pair := (ids[i], ids[after[i]])) in results:
                    heapq.heappush(found, (results[pair], i))
        return tuple(i for i in ids if i != _DEAD)
