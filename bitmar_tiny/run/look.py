# SPDX-License-Identifier: Apache-2.0
"""A picture as the model takes it: pixels, or the vectors of the backbone that it was trained with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.backbone_record import UNKNOWN, BackboneRecord, record_of
from ..data.features import PictureEncoder
from ..data.pixels import picture_array, read_picture
from ..errors import ConfigError
from ..frozen import FrozenModel

#: A picture file, the bytes of one, or an array: float32 features or uint8 patches [image_inputs, 768].
Picture = str | Path | bytes | np.ndarray


def backbone_of(model: FrozenModel) -> BackboneRecord | None:
    """What made the vectors that a model was trained on; None if it looks at the pixels itself."""
    return record_of(model.provenance, model.config.name)


def open_backbone(model: FrozenModel, backbone: str | Path) -> PictureEncoder:
    """The backbone file, for a model that was trained with it. ``ConfigError`` for another, and for a model
    that looks at the pixels itself; ``DataError`` for a file that cannot be used.
    """
    record = backbone_of(model)
    if record is None:
        raise ConfigError(
            f"{model.config.name}: this model was trained on pixels, and {backbone} makes vectors.",
            "Leave out the backbone.",
        )
    return PictureEncoder(record, backbone, model.config.name)


def look(
    model: FrozenModel, image: Picture, backbone: str | Path | PictureEncoder | None = None
) -> np.ndarray:
    """uint8 patches or float32 features [image_inputs, 768] of a picture. A .npy file and an array are
    features already, or patches.

    ``ConfigError`` where the model needs a backbone for it and none is given, and as :func:`open_backbone`;
    ``DataError`` for a picture that cannot be read.
    """
    n, record = model.config.image_inputs, backbone_of(model)
    is_array = isinstance(image, np.ndarray)
    if backbone is not None and not isinstance(backbone, PictureEncoder) and (record is None or not is_array):
        backbone = open_backbone(model, backbone)
    if record is not None and not is_array and not _is_features(image):
        if backbone is None:
            raise ConfigError(
                f"{model.config.name}: this model sees through a backbone, {record.name}.",
                "Give the features of the picture (.npy), from 'bitmar-tiny features'."
                if record.same(UNKNOWN)
                else f"Name it with --backbone {record.file}, or give the features of the picture (.npy).",
            )
        return picture_array(backbone.encode(image), n, "The backbone")
    vectors = picture_array(image, n, "The picture") if is_array else read_picture(image, n)
    if record is not None and vectors.dtype == np.uint8:
        raise ConfigError(
            f"{model.config.name}: this model sees through a backbone, {record.name}, and these are pixels.",
            "Give the features of the picture, float32.",
        )
    return vectors


def _is_features(image: Picture) -> bool:
    return isinstance(image, (str, Path)) and Path(image).suffix == ".npy"
