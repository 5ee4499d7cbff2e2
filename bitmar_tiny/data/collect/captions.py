# SPDX-License-Identifier: Apache-2.0
"""Captions for variety: some pictures have their name in a sentence, too."""

from __future__ import annotations

import zlib

import numpy as np

from ..corpus import CaptionSet

#: Every third picture has one of these, beside its name. No two begin alike, so that the likeliest first word
#: of a caption stays that of a name.
SENTENCES = (
    "this is {}.",
    "here you can see {}.",
    "the picture shows {}.",
    "somebody drew {}.",
    "look, {}!",
    "what is it? {}.",
)
EVERY = 3


def with_sentences(named: CaptionSet) -> CaptionSet:
    """The same captions, and behind them the sentences; pictures stay what they are."""
    drawn = [
        zlib.crc32(f"{row} {text}".encode()) for row, text in zip(named.rows, named.captions, strict=True)
    ]
    more = [i for i, number in enumerate(drawn) if number % EVERY == 0]
    sentences = [SENTENCES[drawn[i] // EVERY % len(SENTENCES)].format(named.captions[i]) for i in more]
    rows = np.concatenate([named.rows, named.rows[np.array(more, np.int64)]])
    return CaptionSet([*named.captions, *sentences], named.features, rows=rows)
