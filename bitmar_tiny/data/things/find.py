# SPDX-License-Identifier: Apache-2.0
"""Things from wherever they are: what is in a folder says which set it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ...errors import ConfigError, DataError
from ..pixels import picture_side
from . import emoji, features, furniture, omniglot
from .folder import LISTS, Pictures
from .table import RECORD, Progress, Things, load_things, same_things, save_things

KINDS = (
    "Give a folder of Iconify emoji sets (node_modules/@iconify-json), of furniture (.sh3f), of Omniglot's "
    "archives, of features, a folder with a folder of pictures for each thing, or a list (.jsonl)."
)


#: Of a picture of 64 pixels.
VECTORS = 21


class Source(Protocol):
    """made_with: all that its table depends on, beside how many vectors a picture has; vectors: how many that
    is, None where as many are drawn as are asked for.
    """

    made_with: dict[str, Any]
    vectors: int | None

    def draw(self, vectors: int, progress: Progress | None) -> Things: ...


def find_source(path: Path) -> Source:
    """What a path holds. ``DataError`` for nothing that is known."""
    if path.is_file() and path.suffix.lower() in LISTS:
        return Pictures(path)
    if not path.is_dir():
        what = "not a list of pictures" if path.exists() else "does not exist"
        raise DataError(f"{path}: {what}.", KINDS)
    if features.find(path):
        return features.Features(path)
    if sets := emoji.find(path):
        return emoji.Emoji(sets)
    if catalogues := furniture.find(path):
        return furniture.Furniture(catalogues)
    if omniglot.find(path):
        return omniglot.Omniglot(path)
    return Pictures(path)


def open_things(path: Path, folder: Path, vectors: int | None, progress: Progress | None = None) -> Things:
    """The things of ``path`` for a model that takes ``vectors`` vectors a picture, drawn into ``folder``
    unless they are there; or a folder that was drawn before, as it is. vectors None: as many as that has,
    else ``VECTORS``.

    ``DataError`` for what cannot be read, ``ConfigError`` for a folder of other vectors.
    """
    if (path / RECORD).is_file():
        return _of_size(load_things(path), vectors, path)
    source = find_source(path)
    vectors = vectors or source.vectors or VECTORS
    if source.vectors is None:
        picture_side(vectors)
    made_with = source.made_with | {"vectors": vectors}
    if not same_things(folder, made_with):
        save_things(folder, source.draw(vectors, progress), made_with)
    return load_things(folder)


def open_all(
    paths: Sequence[Path], folder: Path, vectors: int | None, progress: Progress | None = None
) -> list[Things]:
    """The things of several paths, each drawn into a folder of its own in ``folder``."""
    return [open_things(p, folder / f"things{i}", vectors, progress) for i, p in enumerate(paths, 1)]


def _of_size(things: Things, vectors: int | None, path: Path) -> Things:
    if vectors and things.pictures.shape[1] != vectors:
        raise ConfigError(
            f"{path}: {things.pictures.shape[1]} vectors a picture, the model takes {vectors}.",
            "Name the pictures themselves, to draw them for this model.",
        )
    return things
