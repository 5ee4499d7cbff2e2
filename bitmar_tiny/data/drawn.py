# SPDX-License-Identifier: Apache-2.0
"""Pictures of one's own as raw patches: what ``train --pictures`` reads its captions and features from.

FOLDER/captions.json    the captions of each picture that could be read, a list of lists
FOLDER/features.npy     their patches, uint8 [N, vectors, 768] (see ``rows.py``)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import DataError
from .files import write_json
from .pictures import Album
from .pixels import load_image, picture_side
from .processes import in_processes
from .rows import Picture, make_rows

FORMAT = 1
#: Pictures that are worth a process of their own, and how many are handed to it at once.
WORTH, AT_ONCE = 100, 16
#: Faults that are listed one by one.
LISTED = 5


def prepare_pictures(
    album: Album,
    folder: Path,
    vectors: int,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> tuple[Path, Path]:
    """Draw an album for a model that takes ``vectors`` vectors a picture; the paths of captions and features.

    What is left out is listed through ``say``. What was drawn before, for the same content, is not drawn
    again. ``DataError`` where no picture can be read.
    """
    picture_side(vectors)
    made = make_rows(
        folder,
        {"format": FORMAT, "vectors": vectors},
        album.pictures,
        partial(draw_patches, vectors),
        progress,
    )
    missing = ("caption names a picture that is not there", "captions name pictures that are not there")
    for what, faults in (
        (("picture cannot be read", "pictures cannot be read"), made.bad),
        (missing, album.missing),
    ):
        for words in listed(*what, faults):
            say(words)
    if album.unnamed:
        say(f"Pictures that no metadata names, left out: {album.unnamed:,}.")
    captions = folder / "captions.json"
    write_json(captions, [album.captions[i] for i in made.kept])
    return captions, folder / "features.npy"


def listed(one: str, more: str, faults: Sequence[str | DataError]) -> Iterator[str]:
    """The lines that tell of faults: how many, and the first few. one, more: what is wrong, for one fault and
    for more.
    """
    if faults:
        yield f"{len(faults):,} {one if len(faults) == 1 else more}. Left out:"
        yield from (f"  {fault}" for fault in faults[:LISTED])
        if len(faults) > LISTED:
            yield f"  and {len(faults) - LISTED:,} more"


def draw_patches(vectors: int, pictures: Sequence[Picture]) -> Iterator[np.ndarray | DataError]:
    """The patches of pictures, or what is wrong with one, in as many processes as they are worth."""
    draw, workers = partial(_one, vectors), min(os.cpu_count() or 1, len(pictures) // WORTH)
    if workers < 2:
        yield from map(draw, pictures)
        return
    yield from in_processes(draw, pictures, workers, AT_ONCE)


def _one(vectors: int, picture: Path) -> np.ndarray | DataError:
    try:
        return load_image(picture, vectors)
    except DataError as fault:
        return fault
