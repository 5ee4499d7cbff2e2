# SPDX-License-Identifier: Apache-2.0
"""A tokenizer trained on one's own text, of the shape that every vocabulary here has (:mod:`.tokenizer`)."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ..errors import DataError
from ..extras import need
from .tokenizer import Tokenizer, byte_symbols
from .tokenizer_file import EOS_TEXT, MAX_VOCAB, MIN_VOCAB

#: A pair that is there less often becomes no token.
LEAST = 2


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Byte-level BPE of ``texts``: at most ``size`` tokens, fewer where the texts have no more pairs that
    occur twice. The same for the same texts. ``DataError`` for a size that is not possible,
    ``ToolError`` where the ``tokenizers`` package is not installed.
    """
    need("tokenizers")
    from tokenizers import Tokenizer as Engine
    from tokenizers import models, pre_tokenizers, trainers

    if not MIN_VOCAB <= size <= MAX_VOCAB:
        raise DataError(
            f"A vocabulary of {size} tokens is not possible.",
            f"Choose a vocab_size from {MIN_VOCAB} to {MAX_VOCAB}.",
        )
    symbols = byte_symbols()
    engine = Engine(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1, min_frequency=LEAST, initial_alphabet=symbols, show_progress=False
    )
    engine.train_from_iterator(texts, trainer)
    to_byte = {symbol: byte for byte, symbol in enumerate(symbols)}
    tokens = [bytes([to_byte[symbol]]) for symbol in sorted(symbols)]  # GPT-2's order
    ids = {token: i for i, token in enumerate(tokens)}
    merges = []
    for pair in json.loads(engine.to_str())["model"]["merges"]:
        left, right = (
            bytes(to_byte[c] for c in part) for part in (pair.split(" ") if isinstance(pair, str) else pair)
        )
        if left + right not in ids:  # a token has one merge here: that by which it came first
            merges.append((ids[left], ids[right]))
            ids[left + right] = len(tokens)
            tokens.append(left + right)
    return Tokenizer([*tokens, EOS_TEXT], merges)
