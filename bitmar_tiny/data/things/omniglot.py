# SPDX-License-Identifier: Apache-2.0
"""Omniglot: characters of many alphabets, each drawn by 20 people, and its official one-shot task.

The folder holds ``images_background_small1.zip``, trained on alone, ``images_background_small2.zip``, whose
other alphabets are for choosing settings, and ``all_runs.zip``, 20 runs of 20 characters, whose alphabets are
in neither. A character turned by a right angle is trained on as a character of its own.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ..files import ZIP_FAULTS
from ..packages import sha256_file
from ..pixels import decode_pixels, picture_side, picture_vectors
from .table import DEV, TEST, TRAIN, Progress, Things, Trial, pairs_of

ARCHIVES = ("images_background_small1.zip", "images_background_small2.zip", "all_runs.zip")
_CHARACTER = re.compile(r"([^/]+/character\d+)/\d+_(\d+)\.png$")
_RUN = re.compile(r"(run\d+)/(training|test)/(\w+)\.png$")
_HINT = "Copy it again from the data set's public repository, brendenlake/omniglot."


def find(path: Path) -> bool:
    """Whether a folder holds Omniglot's archives."""
    return all((path / name).is_file() for name in ARCHIVES)


class Omniglot:
    """The three archives of a folder."""

    vectors = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sums = {name: sha256_file(folder / name) for name in ARCHIVES}
        self.made_with: dict[str, Any] = {"source": "omniglot", "sha256": sums}

    def draw(self, vectors: int, progress: Progress | None) -> Things:
        """Characters of both background sets, those to train on at four angles, and the official runs.
        ``DataError`` for a damaged archive.
        """
        drawn: list[tuple[str, int, int, np.ndarray]] = []  # thing, view, side, patches
        trained: set[str] = set()
        for archive, side in zip(ARCHIVES[:2], (TRAIN, DEV), strict=True):
            for name, raw in self._pictures(archive):
                if (found := _CHARACTER.search(name)) and (side == TRAIN or found[1] not in trained):
                    trained |= {found[1]} if side == TRAIN else set()
                    pixels = decode_pixels(raw, picture_side(vectors)[0], name)
                    for turns in range(4 if side == TRAIN else 1):
                        label = found[1] + f" turned by {90 * turns}" * (turns > 0)
                        patches = picture_vectors(np.ascontiguousarray(np.rot90(pixels, turns)), vectors)
                        drawn.append((label, int(found[2]), side, patches))
                if progress:
                    progress(len(drawn), len(drawn) + 1)
        of_run = {
            found.groups(): picture_vectors(decode_pixels(raw, picture_side(vectors)[0], name), vectors)
            for name, raw in self._pictures(ARCHIVES[2])
            if (found := _RUN.search(name))
        }
        rows = {key: len(drawn) + i for i, key in enumerate(of_run)}
        # each picture of a run is a view that nothing else is drawn in, so only the fixed trials ask it
        drawn += [(f"{run}/{part}/{name}", 0, TEST, p) for (run, part, name), p in of_run.items()]
        names = sorted({thing for thing, *_ in drawn})
        index = {name: i for i, name in enumerate(names)}
        side, group = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
        alphabets = [re.sub(r"/character\d+", "", name) if "/character" in name else "" for name in names]
        known = sorted(set(alphabets))
        for thing, _, which, _ in drawn:
            side[index[thing]] = which
            group[index[thing]] = known.index(alphabets[index[thing]])
        views = max(view for _, view, *_ in drawn) + 1
        return Things(
            "omniglot",
            np.stack([patches for *_, patches in drawn]),
            np.array([index[thing] for thing, *_ in drawn]),
            np.array([view for _, view, *_ in drawn]),
            names,
            [f"drawer {view}" for view in range(views)],
            side,
            group,
            {"another drawer": pairs_of(views, lambda a, c: a != c and a > 0 and c > 0)},
            "another drawer",
            ["another drawer"],
            list(self._official(rows)),
        )

    def _official(self, rows: dict[tuple[str, ...], int]) -> Iterator[Trial]:
        """The 400 questions of the runs, in their order."""
        for name, raw in self._pictures(ARCHIVES[2], ".txt"):
            run = name.split("/")[-2]
            shown = sorted(key for key in rows if key[:2] == (run, "training"))
            for line in raw.decode("utf-8-sig", "replace").split("\n"):
                if line.strip():
                    try:
                        item, answer = (Path(part).stem for part in line.split())
                        target = shown.index((run, "training", answer))
                        asked = rows[run, "test", item]
                    except (ValueError, KeyError):
                        raise DataError(
                            f"{self.folder / ARCHIVES[2]}: {name} names no pair.", _HINT
                        ) from None
                    yield Trial(np.array([[rows[key]] for key in shown]), asked, target)

    def _pictures(self, archive: str, ending: str = ".png") -> Iterator[tuple[str, bytes]]:
        try:
            with zipfile.ZipFile(self.folder / archive) as opened:
                for name in sorted(opened.namelist()):
                    if name.endswith(ending) and "__MACOSX" not in name:
                        yield name, opened.read(name)
        except ZIP_FAULTS as error:
            raise DataError(f"{self.folder / archive}: a damaged archive ({error}).", _HINT) from None
