# SPDX-License-Identifier: Apache-2.0
"""Captions by style of the picture and by what training knew: its name, its concept (the name without skin
tones), or neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.corpus import CaptionSet, to_float
from ..data.openmoji import concept_of, draw_style
from ..data.tokenizer import Tokenizer
from ..model.bitmar import BitMar
from .captions import predict, score

#: What training knew of a picture's name, in the order of the table. "any" are all of them.
KNOWN = ("name trained on", "concept trained on", "neither", "any")


def knowledge(names: Sequence[str], trained: Sequence[str]) -> list[str]:
    """One of ``KNOWN`` for each name, given the names that were trained on."""
    known, concepts = set(trained), set(map(concept_of, trained))
    return [KNOWN[0] if n in known else KNOWN[1] if concept_of(n) in concepts else KNOWN[2] for n in names]


def groups(labels: Sequence[str]) -> dict[str, np.ndarray]:
    """Indices by label, and of all of them where there are several labels."""
    found = {label: np.flatnonzero(np.array(labels) == label) for label in KNOWN[:3] if label in labels}
    return found | ({KNOWN[3]: np.arange(len(labels))} if len(found) > 1 else {})


def score_styles(
    model: BitMar,
    captions: CaptionSet,
    split: Mapping[str, Any],
    tokenizer: Tokenizer,
    unseen: Sequence[Path] = (),
) -> list[dict[str, Any]]:
    """Held-out pictures of every style of the training data, and all pictures of styles that training never
    saw.

    Rows {style, seen, known, pictures, exact, iou}: ``seen`` says whether training had other pictures of the
    style.
    """
    held = set(split["holdout"])
    trained = [name for i, name in enumerate(captions.captions) if i not in held]
    parts = split.get("styles") or {"openmoji": [0, len(captions)]}
    sets = [
        (
            style,
            True,
            [captions.captions[i] for i in range(a, b) if i in held],
            captions.images(np.array([i for i in range(a, b) if i in held], int)),
        )
        for style, (a, b) in parts.items()
    ]
    for folder in unseen:
        style, names, features = draw_style(folder, captions.n_vectors)
        sets.append((style, False, names, to_float(features)))
    rows = []
    for style, seen, names, images in sets:
        said = predict(model, images, len(names), tokenizer)
        for known, at in groups(knowledge(names, trained)).items():
            rows.append(
                {
                    "style": style,
                    "seen": seen,
                    "known": known,
                    "pictures": len(at),
                    **score([said[i] for i in at], [names[i] for i in at]),
                }
            )
    return rows
