# SPDX-License-Identifier: Apache-2.0
"""What int8 activations cost: a quantised model beside the same weights with activations in float."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..data.mixture import Mixture
from ..errors import ConfigError
from ..model.arithmetic import FloatActivations, FloatTwin
from ..model.bitmar import BitMar
from ..train.holdout import look_at_holdout


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
