# SPDX-License-Identifier: Apache-2.0
"""How readily a model says that it doesn't know. The learned slots of a keyed memory win where no other key
is like the question's. Training sets their keys by things that it sees often, so a model is set anew by
things that it has not seen.
"""

from __future__ import annotations

import numpy as np

from ..errors import ConfigError
from .model_file import FrozenModel


def with_doubt(model: FrozenModel, factor: float) -> FrozenModel:
    """The model with the keys of its learned slots ``factor`` times as long: below 1 it doubts less, above 1
    more. Another model, with another digest.

    ``ConfigError`` for a memory without learned slots, or a factor outside [0, 4].
    """
    fixed = model.config.fixed_slots
    if not fixed:
        raise ConfigError(
            f"{model.config.name}: the memory has no learned slots that could say 'I don't know'.",
            "Leave --doubt out.",
        )
    if not 0 <= factor <= 4:
        raise ConfigError(
            f"A doubt of {factor:g} is not possible.", "Choose one from 0 to 4; 1 is as trained."
        )
    scales = model.arrays["memory.m.scales"].copy()
    scales[:fixed] *= np.float32(factor)
    arrays = model.arrays | {"memory.m.scales": scales}
    before = model.provenance.get("doubt", 1.0)
    return FrozenModel(model.config, arrays, model.tokenizer, model.provenance | {"doubt": before * factor})
