# SPDX-License-Identifier: Apache-2.0
"""Things as a backbone sees them: a table of features out of a table of pictures, with the same views,
questions and parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import ConfigError
from ..backbone_record import read_record
from ..backbones import Backbone
from ..features import Preparation, write_features
from ..pixels import PATCH, patches_to_pixels, picture_side
from .find import open_things
from .table import RECORD, Things, load_things, save_record

#: Where pictures are drawn, in the folder of the features.
DRAWN = "drawn"
Bar = Callable[[int, int], None]


def whole(things: Things, row: int) -> np.ndarray:
    """A picture of a table as it is: uint8 [side, side, 3]."""
    size = picture_side(things.pictures.shape[1])[0]
    return patches_to_pixels(things.pictures[row, : (size // PATCH) ** 2], size)


def encode_things(
    path: Path, out: Path, backbone: Backbone, how: Preparation, drawing: Bar, seeing: Bar
) -> Things:
    """Write the table of features of the things of ``path`` into ``out``, and the backbone beside it, as
    ``write_features`` does. Pictures that are not drawn yet are drawn 64 pixels wide.

    ``ConfigError`` for what holds features already; ``DataError`` for what cannot be read.
    """
    things = open_things(path, out / DRAWN, None, drawing)
    if things.backbone:
        raise ConfigError(f"{path}: holds features, not pictures.", "Name the pictures themselves.")
    (out / RECORD).unlink(missing_ok=True)
    images = [whole(things, row) for row in range(len(things.pictures))]
    names = [things.names[i] for i in things.thing]
    write_features(out, backbone, images, names, how, seeing)
    made_with = {"source": things.source, "features": out.name}
    save_record(out, replace(things, backbone=read_record(out)), made_with)
    return load_things(out)
