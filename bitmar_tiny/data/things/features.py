# SPDX-License-Identifier: Apache-2.0
"""Things as a frozen backbone sees them: a folder of ``bitmar-tiny features``, whose captions name the thing
of every picture. Pictures of one thing are its views, in their order.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError, DataError
from ..backbone_record import KEY, read_record
from ..corpus import CaptionSet
from ..packages import sha256_file
from .table import Progress, Things, pairs_of, split_things

FILES = ("captions.json", "features.npy")


def find(path: Path) -> bool:
    """Whether a folder holds features."""
    return all((path / name).is_file() for name in FILES)


class Features:
    """The two files of a folder. vectors: of a picture. ``DataError`` for damaged ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.whole = CaptionSet.load(*(folder / name for name in FILES))
        self.vectors = self.whole.n_vectors
        sums = {name: sha256_file(folder / name) for name in FILES}
        self.backbone = read_record(folder)
        self.made_with: dict[str, Any] = {"source": "features", "sha256": sums}
        self.made_with[KEY] = self.backbone.model_dump(mode="json")

    def draw(self, vectors: int, progress: Progress | None) -> Things:
        """Things that have two pictures at least, float16 as they are. ``DataError`` for too few things,
        ``ConfigError`` for another number of vectors.
        """
        whole = self.whole
        if whole.n_vectors != vectors:
            raise ConfigError(
                f"{self.folder}: {whole.n_vectors} vectors a picture, the model takes {vectors}.",
                "Give 'bitmar-tiny features' the model (--model), or the model as many image_tokens.",
            )
        name_of = dict(zip(whole.rows.tolist(), whole.captions, strict=True))  # the last of several captions
        several = Counter(name_of.values())
        rows = [row for row, name in sorted(name_of.items()) if several[name] > 1]
        if not rows:
            raise DataError(
                f"{self.folder}: no thing has two pictures.",
                "Give 'bitmar-tiny features' a folder with a folder of pictures for each thing.",
            )
        names = sorted({name_of[row] for row in rows})
        thing = np.array([names.index(name_of[row]) for row in rows])
        view = np.array([int((thing[:i] == t).sum()) for i, t in enumerate(thing)])
        views = int(view.max()) + 1
        if progress:
            progress(len(rows), len(rows))
        return Things(
            "features",
            np.asarray(whole.features[np.array(rows)]).astype(np.float16),
            thing,
            view,
            names,
            [f"picture {i + 1}" for i in range(views)],
            split_things(names),
            np.zeros(len(names), np.int64),
            {"another view": pairs_of(views, lambda a, c: a != c)},
            "another view",
            ["another view"],
            backbone=self.backbone,
        )
