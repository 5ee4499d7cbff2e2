# SPDX-License-Identifier: Apache-2.0
"""A frozen model made smaller for a board that it does not fit. Each result is another model, with another
digest.
"""

from __future__ import annotations

import numpy as np

from ..arch.config import ModelConfig
from ..data.tokenizer import Tokenizer
from ..data.tokenizer_file import MIN_VOCAB
from ..errors import ConfigError
from ..golden import numerics as nm
from .model_file import FrozenModel


def with_small_token_table(model: FrozenModel) -> FrozenModel:
    """The model with token embeddings of 4 bits (codes in [-7, 7], a scale per token): a blob stores them in
    half the bytes.

    Rounded after training; measure what it costs with ``bitmar-tiny eval``.
    """
    codes, scales = model.arrays["token_table.codes"], model.arrays["token_table.scales"]
    top = np.abs(codes).max(1).astype(np.float32)
    small = nm.rne(codes * (nm.CODE4_MAX / np.maximum(top, 1))[:, None].astype(np.float32)).astype(np.int8)
    arrays = model.arrays | {
        "token_table.codes": small,
        "token_table.scales": scales * top / np.float32(nm.CODE4_MAX),
    }
    return FrozenModel(model.config, arrays, model.tokenizer, model.provenance | {"token_bits": 4})


def with_window(model: FrozenModel, window: int) -> FrozenModel:
    """The model with a shorter window: the weights are the same, tokens leave the KV rings earlier.

    ``ConfigError`` unless ``window`` is in [1, the model's].
    """
    cfg = model.config
    if not 1 <= window <= cfg.window:
        raise ConfigError(
            f"A window of {window} cannot be cut from one of {cfg.window}.",
            f"Choose one from 1 to {cfg.window}.",
        )
    config = ModelConfig.parse(cfg.model_dump() | {"window": window}, "window")
    return FrozenModel(
        config, model.arrays, model.tokenizer, model.provenance | {"window_cut_from": cfg.window}
    )


def with_vocabulary(model: FrozenModel, size: int) -> FrozenModel:
    """The model with a pruned vocabulary: all bytes, the earliest merges of its BPE (the commonest pieces of
    words) and EOS, ``size`` tokens in all. The rows that stay are unchanged, and so is the logit of each
    token that stays, after tokens that stay; text that the dropped tokens spelled takes more tokens. The name
    of the configuration says that the vocabulary was pruned.

    ``ConfigError`` unless ``size`` is in [257, the model's].
    """
    cfg, a = model.config, model.arrays
    if not MIN_VOCAB <= size <= cfg.vocab_size:
        raise ConfigError(
            f"A vocabulary of {size} tokens cannot be cut from one of {cfg.vocab_size}.",
            f"Choose a size from {MIN_VOCAB} to {cfg.vocab_size}.",
        )
    kept = [
        *range(size - 1),
        cfg.vocab_size - 1,
    ]  # Tokenizer.prune without texts: a merge joins earlier tokens only
    rows = {name: a[name][kept] for name in ("token_table.codes", "token_table.scales", "head.w.trits")}
    tokenizer = Tokenizer.from_bytes(model.tokenizer).prune([], size).to_bytes() if model.tokenizer else b""
    config = ModelConfig.parse(
        cfg.model_dump() | {"vocab_size": size, "name": f"{cfg.name}-pruned{size}"}, "vocabulary"
    )
    return FrozenModel(
        config, a | rows, tokenizer, model.provenance | {"vocabulary_pruned_from": cfg.vocab_size}
    )
