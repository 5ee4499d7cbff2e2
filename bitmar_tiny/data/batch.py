# SPDX-License-Identifier: Apache-2.0
"""A batch of training streams, cut out of tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .corpus import to_float
from .sessions import Sessions
from .tokens import Tokens

#: Label of a position that does not count.
IGNORE = -100


@dataclass(frozen=True)
class Batch:
    """One training batch. T is the longest stream in it.

    tokens: int64 [B, T], EOS first, EOS as padding; labels: int64 [B, T], the next token, -100 on
    padding; lengths: int64 [B], positions that count; images: float32 [B, n, 768] or None;
    has_image: bool [B]; source: int64 [B], index of the caption, or of the text stream; total: labels that
    count in the whole batch, where these are some rows of it; before: earlier episodes of the streams of a
    session [B*E, T'], those that are not there of length 0 and without an image, or None; target, asked:
    int64 [B], of a session's streams, things: int64 [B*E], of earlier episodes, or None: see
    :class:`~.sessions.Sessions`. Where streams share their earlier episodes, ``before`` has them once, [G*E]:
    memory: int64 [B], which of the G blocks each stream reads; block: int64 [G], the first stream of the
    whole batch that reads it.
    """

    tokens: np.ndarray
    labels: np.ndarray
    lengths: np.ndarray
    images: np.ndarray | None
    has_image: np.ndarray
    source: np.ndarray
    total: int = 0
    before: Batch | None = None
    target: np.ndarray | None = None
    asked: np.ndarray | None = None
    things: np.ndarray | None = None
    memory: np.ndarray | None = None
    block: np.ndarray | None = None

    @property
    def n_tokens(self) -> int:
        """Labels that count."""
        return int(self.lengths.sum())


class Streams:
    """Token streams cut from one flat array. Stream i is EOS followed by flat[start : start+count]."""

    def __init__(self, flat: np.ndarray, starts: np.ndarray, counts: np.ndarray, eos: int) -> None:
        self.flat, self.starts, self.counts, self.eos = flat, starts, counts, eos

    @classmethod
    def cut(cls, tokens: Tokens, max_len: int, whole: bool, pack: bool, eos: int) -> Streams:
        """Cut every sample into parts of max_len labels (``whole``: keep the first part; ``pack``: cut all as
        one).
        """
        if whole:
            return cls(tokens.flat, tokens.starts, np.minimum(tokens.sizes, max_len), eos)
        if pack:
            flat = tokens.joined()
            tokens = Tokens.of(flat, np.array([len(flat)] if len(flat) else [], np.int64))
        n_parts = -(-tokens.sizes // max_len)
        within = np.arange(n_parts.sum()) - np.repeat(np.cumsum(n_parts) - n_parts, n_parts)
        starts = np.repeat(tokens.starts, n_parts) + within * max_len
        end = np.repeat(tokens.starts + tokens.sizes, n_parts)
        return cls(tokens.flat, starts, np.minimum(max_len, end - starts), eos)

    def __len__(self) -> int:
        return len(self.starts)

    def gather(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """tokens, labels int64 [B, T] and lengths int64 [B] of the streams ``indices``."""
        counts = self.counts[indices]
        columns = np.arange(counts.max())
        inside = columns < counts[:, None]
        at = np.where(inside, self.starts[indices][:, None] + columns, 0)
        labels = np.where(inside, self.flat[at].astype(np.int64), IGNORE)
        tokens = np.full_like(labels, self.eos)
        tokens[:, 1:] = np.where(inside[:, 1:], labels[:, :-1], self.eos)
        return tokens, labels, counts.astype(np.int64)


def session_batch(sessions: Sessions, chosen: np.ndarray, rows: slice, eos: int) -> Batch:
    """The batch of the sessions ``chosen`` (int [B]), or some rows of it."""
    texts = sessions.texts
    streams = Streams(texts.flat, texts.starts, texts.sizes, eos)
    last, first = sessions.last[chosen], sessions.first[chosen]
    begins = np.append(True, (first[1:] != first[:-1]) | (last[1:] == last[:-1]))
    reads = np.maximum.accumulate(np.where(begins, np.arange(len(chosen)), 0))[rows]
    total, (block, memory) = int(streams.counts[last].sum()), np.unique(reads, return_inverse=True)
    earlier, there = (part.ravel() for part in sessions.before(chosen[block]))
    before = _of_texts(sessions, streams, earlier, there, earlier)
    before = replace(before, things=np.where(there, sessions.things[earlier], -1))
    chosen, last = chosen[rows], last[rows]
    asked = _of_texts(sessions, streams, last, np.ones(len(last), bool), chosen)
    return replace(
        asked,
        total=total,
        before=before,
        target=sessions.target[chosen],
        asked=sessions.asked[chosen],
        memory=memory,
        block=block,
    )


def _of_texts(
    sessions: Sessions, streams: Streams, texts: np.ndarray, there: np.ndarray, source: np.ndarray
) -> Batch:
    """A row for each of ``texts`` (int [n]); where it is not ``there``, of length 0."""
    tokens, labels, lengths = streams.gather(texts)
    labels[~there] = IGNORE
    rows = np.where(there, sessions.rows[texts], -1)
    shown, images = rows >= 0, None
    if shown.any():
        images = np.zeros((len(rows), *sessions.pictures.shape[1:]), np.float32)
        images[shown] = to_float(sessions.pictures[rows[shown]])
    return Batch(tokens, labels, lengths * there, images, shown, source)
