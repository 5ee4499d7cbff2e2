# SPDX-License-Identifier: Apache-2.0
"""What int8 activations cost: a quantised model beside the same weights with activations in float."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arch.config import ModelConfig
from ..data.corpora import Corpus
from ..data.mixture import Mixture
from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, DataError
from ..model.arithmetic import FloatActivations, FloatTwin
from ..model.bitmar import BitMar
from ..train.config import TrainConfig
from ..train.corpus import run_corpus
from ..train.holdout import look_at_holdout
from ..train.run import load_run
from .captions import predict, score

#: Enough to know a share to two points, and written in seconds.
MOST_NAMED = 500


def compare_activations(model: BitMar, mixtures: Sequence[Mixture]) -> dict[str, Any]:
    """Held-out perplexity and alignment, quantised to the bit and with float activations, and their
    perplexities' ratio.

    ``ConfigError`` for a float twin, whose activations are float already. The model is left as it was.
    """
    if isinstance(model.math, FloatTwin):
        raise ConfigError(
            "This is a float twin: its activations are float already.",
            "Name a run that was trained quantisation-aware.",
        )
    quantised, math = look_at_holdout(model, mixtures, exact=True), model.math
    model.math = FloatActivations(math.threshold)
    try:
        twin = look_at_holdout(model, mixtures)
    finally:
        model.math = math
    kinds = [k for k in ("captions", "text") if k in quantised]
    return {
        "quantised": quantised,
        "float_activations": twin,
        "ratio": {k: quantised[k]["perplexity"] / twin[k]["perplexity"] for k in kinds},
    }


def held_out_names(model: BitMar, corpus: Corpus, tokenizer: Tokenizer) -> dict[str, float]:
    """Exact names and word overlap of the first ``MOST_NAMED`` held-out captions, written for their pictures;
    {} without pictures.
    """
    chosen = np.asarray(corpus.held_out[:MOST_NAMED], np.int64)
    if corpus.captions is None or not len(chosen):
        return {}
    written = predict(model, corpus.captions.images(chosen), len(chosen), tokenizer)
    return {"pictures": len(chosen)} | score(written, [corpus.captions.captions[i].strip() for i in chosen])


def measure_holdout(run: Path, data: Path | None = None) -> dict[str, Any]:
    """``compare_activations`` of a training run on what it held out, and ``held_out_names``. data: folder of
    the prepared demo data, for a run that does not name its own. ``DataError`` for a run that held nothing
    out.
    """
    model, tokenizer, record = load_run(run)
    tcfg = TrainConfig.parse(record["training"], str(run))
    source = record.get("data") or ({"folder": str(data)} if data else None)
    if source is None:
        raise DataError(
            f"{run}: the run does not say where its data is.", "Name the folder of the demo data with --data."
        )
    corpus = run_corpus(ModelConfig.parse(record["model"], str(run)), tcfg, source, tokenizer=tokenizer)
    mixtures = corpus.held_out_batches(batch_size=tcfg.batch_size, max_len=tcfg.max_len)
    if not mixtures:
        raise DataError(
            f"{run}: nothing was held out of this run.",
            "Sessions are asked with: bitmar-tiny eval MODEL sessions=FILE",
        )
    names = held_out_names(model, corpus, tokenizer)
    return compare_activations(model, mixtures) | {"names": names, "steps": record["steps"]}
