# SPDX-License-Identifier: Apache-2.0
"""Tokenised samples: one flat array of ids, each sample closed by EOS, and where each begins.

The flat array may be a memory map of any size (``shards.py``); what is held in memory is 12 bytes a sample.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .tokenizer import Tokenizer

#: Held-out samples are taken in runs of neighbours: lines of one book beside each other are no independent
#: test.
BLOCK = 256


@dataclass(frozen=True)
class Tokens:
    """flat: uint16 [all tokens]; starts: int64 [n]; sizes: int32 [n], tokens of each sample with its EOS."""

    flat: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, flat: np.ndarray, sizes: np.ndarray) -> Tokens:
        """Samples that lie one behind the other."""
        return cls(flat, np.cumsum(sizes, dtype=np.int64) - sizes, sizes.astype(np.int32))

    @classmethod
    def encode(cls, tokenizer: Tokenizer, texts: Iterable[str]) -> Tokens:
        """Tokenise in memory."""
        eos = np.array([tokenizer.eos], np.uint16)
        parts = [part for ids in tokenizer.encode_batch(texts) for part in (ids, eos)]
        sizes = np.array([len(ids) + 1 for ids in parts[::2]], np.int32)
        return cls.of(np.concatenate(parts) if parts else np.zeros(0, np.uint16), sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def n_tokens(self) -> int:
        """Tokens of all samples, EOS included."""
        return int(self.sizes.sum(dtype=np.int64))

    def take(self, indices: np.ndarray) -> Tokens:
        """The samples ``indices``; the tokens themselves stay where they are."""
        return Tokens(self.flat, self.starts[indices], self.sizes[indices])

    def joined(self) -> np.ndarray:
        """uint16: all samples, one behind the other."""
        if len(self) and len(self.flat) == self.n_tokens and (np.diff(self.starts) > 0).all():
            return self.flat
        return np.concatenate(
            [self.flat[a : a + n] for a, n in zip(self.starts, self.sizes, strict=False)] or [self.flat[:0]]
        )


def split(tokens: Tokens, hold_out: int, budget: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices (training, held out), both ascending: ``hold_out`` tokens and then ``budget`` tokens (0: all
    the rest), each rounded up to whole blocks of neighbours, drawn in an order that depends on ``seed`` and
    on how many there are alone.
    """
    block = max(1, min(BLOCK, len(tokens) // 64))
    total = (
        np.add.reduceat(tokens.sizes.astype(np.int64), np.arange(0, len(tokens), block))
        if len(tokens)
        else np.zeros(0, np.int64)
    )
    order = np.random.default_rng([seed, len(tokens)]).permutation(len(total))
    reached = np.cumsum(total[order]) - total[order]  # tokens before each block in that order
    held = reached < hold_out
    used = ~held & ((reached - total[order[held]].sum() < budget) | (budget == 0))

    def samples(blocks: np.ndarray) -> np.ndarray:
        mask = np.zeros(len(total), bool)
        mask[order[blocks]] = True
        return np.flatnonzero(np.repeat(mask, block)[: len(tokens)])

    return samples(used), samples(held)
