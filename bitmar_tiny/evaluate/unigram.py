# SPDX-License-Identifier: Apache-2.0
"""The mark below which nothing was learned but words: every token by its frequency in the training text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data.tokens import Tokens
from .scoring import Likelihood, Progress, Query


class UnigramScorer:
    """Scores a continuation by how often its tokens occur in a text, whatever stands before them. A token
    counts once more than it occurs, so that none is impossible.
    """

    name = "unigram"

    def __init__(self, texts: Tokens, vocab_size: int) -> None:
        counts = np.bincount(texts.joined(), minlength=vocab_size) + 1.0
        self.log_probs = np.log(counts / counts.sum())
        self.likeliest = int(counts.argmax())

    def score(self, queries: Sequence[Query], progress: Progress | None = None) -> list[Likelihood]:
        return [
            Likelihood(self.log_probs[list(q.continuation)], all(t == self.likeliest for t in q.continuation))
            for q in queries
        ]
