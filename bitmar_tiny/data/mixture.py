# SPDX-License-Identifier: Apache-2.0
"""Batches of captions, text and sessions in a fixed, seekable order.

``batch(step)`` is a pure function of the seed and the step, so training that is killed and resumed
sees the same batches, and evaluation can look at any of them. Batches of each kind
alternate: short captions do not pay for the length of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import ConfigError, DataError
from .corpus import CaptionSet
from .sessions import Sessions
from .tokenizer import Tokenizer
from .tokens import Tokens

#: Label of a position that does not count.
IGNORE = -100
_CAPTION, _TEXT, _SESSION = 0, 1, 2


@dataclass(frozen=True)
class Batch:
    """One training batch. T is the longest stream in it.

    tokens: int64 [B, T], EOS first, EOS as padding; labels: int64 [B, T], the next token, -100 on
    padding; lengths: int64 [B], positions that count; images: float32 [B, n, 768] or None;
    has_image: bool [B]; source: int64 [B], index of the caption, or of the text stream; total: labels that
    count in the whole batch, where these are some rows of it; before: earlier episodes of the streams of a
    session [B*E, T'], those that are not there of length 0, or None; target, asked, things: int64 [B]
    or None, see ``train.feed.Feed``.
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

    @property
    def n_tokens(self) -> int:
        """Labels that count."""
        return int(self.lengths.sum())


class _Streams:
    """Token streams cut from one flat array. Stream i is EOS followed by flat[start : start+count]."""

    def __init__(self, flat: np.ndarray, starts: np.ndarray, counts: np.ndarray, eos: int) -> None:
        self.flat, self.starts, self.counts, self.eos = flat, starts, counts, eos

    @classmethod
    def cut(cls, tokens: Tokens, max_len: int, whole: bool, pack: bool, eos: int) -> _Streams:
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


class Mixture:
    """Batches of captions, text and sessions in a reproducible order.

    captions: pictures with captions; indices: which of them to use (the training side of a split;
    None = all); texts: samples, one string each (``corpus.read_lines``) or tokenised; caption_tokens: all
    captions, where they are tokenised already; batch_size: streams per batch; max_len: most tokens
    per stream, EOS included (labels per stream, too).
    text_every: every how many steps one is text: 2 = 50:50 (odd steps), 0 = captions only,
    1 = text only. pack: cut the text as one long stream (for corpora of very short lines); each
    stream still begins with EOS. A text longer than max_len becomes several streams, a caption
    longer than that is cut, a session refused: its end is the answer. sessions, session_every: every how many
    steps a batch is of sessions, the other steps being as if there were none; 1 = sessions only. Raises
    ``ConfigError`` or ``DataError`` when there is nothing to draw.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        captions: CaptionSet | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        texts: Iterable[str] | Tokens | None = None,
        *,
        batch_size: int,
        max_len: int,
        text_every: int = 2,
        seed: int = 0,
        pack: bool = False,
        caption_tokens: Tokens | None = None,
        sessions: Sessions | None = None,
        session_every: int = 0,
    ) -> None:
        if batch_size < 1 or max_len < 2 or text_every < 0 or session_every < 0:
            raise ConfigError(
                f"A mixture of batch_size={batch_size}, max_len={max_len}, text_every={text_every}, "
                f"session_every={session_every} is not possible.",
                "They start at 1, 2, 0 and 0.",
            )
        if sessions is not None:
            sessions.check(session_every, max_len)
        self.batch_size, self.max_len, self.text_every, self.seed = batch_size, max_len, text_every, seed
        self.captions = captions
        self.indices = self._caption_indices(captions, indices)
        if caption_tokens is None:
            chosen = Tokens.encode(
                tokenizer, [captions.captions[i] for i in self.indices] if captions is not None else ()
            )
        else:
            chosen = caption_tokens.take(self.indices)
        if not isinstance(texts, Tokens):
            texts = Tokens.encode(tokenizer, texts if texts is not None else ())
        self.n_text_tokens = texts.n_tokens
        self.sessions, self.session_every = sessions, session_every
        last = Tokens.encode(tokenizer, ()) if sessions is None else sessions.last()
        self._streams = (
            _Streams.cut(chosen, max_len, True, False, tokenizer.eos),
            _Streams.cut(texts, max_len, False, pack, tokenizer.eos),
            _Streams.cut(last, max_len, True, False, tokenizer.eos),
        )
        self._episodes = (
            None if sessions is None else _Streams.cut(sessions.texts, max_len, True, False, tokenizer.eos)
        )
        for kind, what in ((_CAPTION, "captions"), (_TEXT, "text"), (_SESSION, "sessions")):
            if self._drawn(kind) and not len(self._streams[kind]):
                raise DataError(
                    f"There is nothing to train on: no {what}.",
                    "Give some, or set text_every (0 captions only, 1 text only) and "
                    "session_every (0 none, 1 sessions only) to what there is.",
                )
        # Two epochs of each kind: a batch may straddle the border between epochs.
        self._order = lru_cache(maxsize=4)(self._permutation)

    @staticmethod
    def _caption_indices(
        captions: CaptionSet | None, indices: Sequence[int] | np.ndarray | None
    ) -> np.ndarray:
        n = len(captions) if captions is not None else 0
        chosen = np.arange(n) if indices is None else np.asarray(indices, np.int64)
        if len(chosen) and not (0 <= chosen.min() and chosen.max() < n):
            outside = chosen[(chosen < 0) | (chosen >= n)][0]
            raise DataError(
                f"A split names picture {outside}, there are {n}.",
                "Use the split that belongs to these captions.",
            )
        return chosen

    @property
    def n_captions(self) -> int:
        return len(self._streams[_CAPTION])

    @property
    def n_text_streams(self) -> int:
        return len(self._streams[_TEXT])

    def _drawn(self, kind: int) -> bool:
        """Whether there are batches of a kind."""
        if kind == _SESSION:
            return self.session_every > 0
        return self.session_every != 1 and (
            self.text_every != 1 if kind == _CAPTION else self.text_every != 0
        )

    def kind_of(self, step: int) -> tuple[int, int]:
        """Kind of ``batch(step)``, and how many of that kind there were before it."""
        for kind, every in ((_SESSION, self.session_every), (_TEXT, self.text_every)):
            before = step // every if every else 0
            if every and step % every == every - 1:
                return kind, before
            step -= before
        return _CAPTION, step

    def is_text(self, step: int) -> bool:
        """Whether ``batch(step)`` is text."""
        return self.kind_of(step)[0] == _TEXT

    @property
    def batches_per_epoch(self) -> int:
        """Batches that hold as many streams as the kinds that are drawn from hold together."""
        return -(
            -sum(len(streams) for kind, streams in enumerate(self._streams) if self._drawn(kind))
            // self.batch_size
        )

    def batch(self, step: int, rows: slice = slice(None)) -> Batch:
        """The batch of ``step`` >= 0, or some rows of it. The same arrays on every call, whatever was asked
        before.
        """
        kind, nth = self.kind_of(step)
        chosen = self._draw(kind, nth)
        total, chosen = int(self._streams[kind].counts[chosen].sum()), chosen[rows]
        tokens, labels, lengths = self._streams[kind].gather(chosen)
        if kind != _CAPTION:
            before = self._before(chosen) if kind == _SESSION else None
            return Batch(tokens, labels, lengths, None, np.zeros(len(chosen), bool), chosen, total, before)
        source = self.indices[chosen]
        return Batch(
            tokens, labels, lengths, self.captions.images(source), np.ones(len(chosen), bool), source, total
        )

    def _before(self, chosen: np.ndarray) -> Batch:
        """The earlier episodes of some sessions, as many rows for each."""
        texts, there = self.sessions.before(chosen)
        tokens, labels, lengths = self._episodes.gather(texts.ravel())
        labels[~there.ravel()] = IGNORE
        return Batch(
            tokens, labels, lengths * there.ravel(), None, np.zeros(len(tokens), bool), texts.ravel()
        )

    def _draw(self, kind: int, nth: int) -> np.ndarray:
        """Stream indices of the nth batch of a kind: epochs are independent shuffles, laid end to end."""
        n = len(self._streams[kind])
        epochs, within = np.divmod(nth * self.batch_size + np.arange(self.batch_size), n)
        out = np.empty(self.batch_size, np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            out[here] = self._order(kind, int(epoch))[within[here]]
        return out

    def _permutation(self, kind: int, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, kind, epoch]).permutation(len(self._streams[kind]))
