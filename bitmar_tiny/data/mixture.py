# SPDX-License-Identifier: Apache-2.0
"""Batches of captions, text and sessions in a fixed, seekable order.

``batch(step)`` is a pure function of the seed and the step, so training that is killed and resumed
sees the same batches, and evaluation can look at any of them. Batches of each kind
alternate: short captions do not pay for the length of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from ..errors import ConfigError, DataError
from .batch import Batch, Streams, session_batch
from .corpus import CaptionSet
from .sessions import Sessions
from .show_once import MadeSessions
from .tokenizer import Tokenizer
from .tokens import Tokens

_CAPTION, _TEXT, _SESSION = 0, 1, 2


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
        sessions: Sessions | MadeSessions | None = None,
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
        self.captions, self.eos = captions, tokenizer.eos
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
        self._streams = (
            Streams.cut(chosen, max_len, True, False, tokenizer.eos),
            Streams.cut(texts, max_len, False, pack, tokenizer.eos),
            () if sessions is None else sessions,
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
        if kind == _SESSION and isinstance(self.sessions, MadeSessions):
            made = self.sessions.draw(self.seed, nth, self.batch_size)
            return session_batch(made, np.arange(self.batch_size), rows, self.eos)
        chosen = self._draw(kind, nth)
        if kind == _SESSION:
            return session_batch(self.sessions, chosen, rows, self.eos)
        total, chosen = int(self._streams[kind].counts[chosen].sum()), chosen[rows]
        tokens, labels, lengths = self._streams[kind].gather(chosen)
        if kind == _TEXT:
            return Batch(tokens, labels, lengths, None, np.zeros(len(chosen), bool), chosen, total)
        source = self.indices[chosen]
        return Batch(
            tokens, labels, lengths, self.captions.images(source), np.ones(len(chosen), bool), source, total
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
