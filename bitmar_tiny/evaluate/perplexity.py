# SPDX-License-Identifier: Apache-2.0
"""Perplexity of text: what the model would have bet on every token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.tokenizer import Tokenizer
from ..errors import DataError
from .scoring import Progress, Query, Scorer


def evaluate_perplexity(
    scorer: Scorer, texts: Sequence[str], tokenizer: Tokenizer, longest: int, progress: Progress | None = None
) -> dict[str, Any]:
    """Perplexity of samples, each cut into streams of ``longest`` tokens that begin with EOS, as training
    cuts them.

    Returns tokens, bytes, samples, streams, perplexity (per token), bits_per_byte (comparable between
    tokenizers), and the perplexity of the best guess that looks at nothing: every token by its own frequency
    in this very text (``unigram``). sample_bits, sample_bytes: of every sample.
    """
    streams, sample, sizes = [], [], [len(text.encode()) for text in texts]
    for n, ids in enumerate(tokenizer.encode_batch(texts)):
        streams += [ids[i : i + longest].tolist() for i in range(0, len(ids), longest)]
        sample += [n] * (len(streams) - len(sample))
    if not streams:
        raise DataError("There is no text to score.", "Give a file with some lines of text.")
    found = scorer.score([Query((tokenizer.eos,), tuple(s)) for s in streams], progress)
    nlls = np.array([-f.total for f in found])
    nll = float(nlls.sum())
    tokens = sum(len(s) for s in streams)
    counts = np.bincount(np.concatenate(streams)).astype(np.float64)
    share = counts[counts > 0] / tokens
    return {
        "tokens": tokens,
        "bytes": sum(sizes),
        "samples": len(texts),
        "streams": len(streams),
        "perplexity": math.exp(min(nll / tokens, 700)),
        "bits_per_byte": nll / math.log(2) / max(sum(sizes), 1),
        "unigram": float(np.exp(-(share * np.log(share)).sum())),
        "sample_bits": (np.bincount(sample, nlls, len(texts)) / math.log(2)).tolist(),
        "sample_bytes": sizes,
    }
