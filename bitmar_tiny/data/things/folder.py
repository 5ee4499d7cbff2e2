# SPDX-License-Identifier: Apache-2.0
"""Pictures of one's own: a folder for each thing with its views in it, or a list of them.

A list is a file of JSON lines; a picture is named from the list's folder, the view may be left out:

    {"image": "cup/left.png", "thing": "cup", "view": "left"}
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...files import parse_json
from ..drawn import draw_patches
from ..files import check_texts, picture_beside
from ..lines import decoded, open_text
from ..packages import sha256_file
from ..pictures import find_pictures, name_of
from ..sessions import load_vectors
from .table import Progress, Things, pairs_of, split_things

#: Endings of lists.
LISTS = (".jsonl", ".json", ".ndjson")
_HINT = (
    'Give one object a line: {"image": "file", "thing": "name", "view": "name"}; the view may be left out.'
)


class Pictures:
    """Labelled picture files. entries: (file, thing, view or "", where it is named)."""

    vectors = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = _of_list(path) if path.is_file() else _of_folder(path)
        seals = [[thing, view, sha256_file(file)] for file, thing, view, _ in self.entries]
        self.made_with: dict[str, Any] = {"source": "pictures", "pictures": seals}

    def draw(self, vectors: int, progress: Progress | None) -> Things:
        """Things that have two views at least. ``DataError`` for a picture that cannot be read, and for too
        few things.
        """
        seen: Counter[str] = Counter()
        numbered = []  # a view without a name is the picture's number among those of its thing
        for file, thing, view, where in self.entries:
            seen[thing] += 1
            numbered.append((file, thing, view or f"picture {seen[thing]}", where))
        several = {thing for thing, n in seen.items() if n > 1}
        if not several:
            raise DataError(
                f"{self.path}: no thing has two pictures.", "Give each thing two views at least, in a folder."
            )
        entries = [e for e in numbered if e[1] in several]
        names, views = (sorted({e[i] for e in entries}) for i in (1, 2))
        rows = []
        for i, drawn in enumerate(draw_patches(vectors, [e[0] for e in entries])):
            if isinstance(drawn, DataError):
                load_vectors(entries[i][0], vectors, entries[i][3])
                raise drawn
            rows.append(drawn)
            if progress:
                progress(i + 1, len(entries))
        return Things(
            "pictures",
            np.stack(rows),
            np.array([names.index(e[1]) for e in entries]),
            np.array([views.index(e[2]) for e in entries]),
            names,
            views,
            split_things(names),
            np.zeros(len(names), np.int64),
            {"another view": pairs_of(len(views), lambda a, c: a != c)},
            "another view",
            ["another view"],
        )


def _of_folder(folder: Path) -> list[tuple[Path, str, str, str]]:
    """A view is called as its file where a file of another thing is, too."""
    files = [f for f in find_pictures(folder) if f.parent != folder]
    if not files:
        raise DataError(
            f"{folder}: holds no folders of pictures.", "Give each thing a folder with its views."
        )
    things: dict[str, set[str]] = defaultdict(set)
    for file in files:
        things[file.stem].add(file.relative_to(folder).parts[0])
    return [
        (
            file,
            name_of(file.relative_to(folder).parts[0]),
            file.stem if len(things[file.stem]) > 1 else "",
            str(folder),
        )
        for file in files
    ]


def _of_list(path: Path) -> list[tuple[Path, str, str, str]]:
    found = []
    with open_text(path) as stream:
        for number, line in enumerate(stream, 1):
            if text := decoded(line, path, number).strip():
                found.append(_entry(text, path, f"{path}:{number}"))
    if not found:
        raise DataError(f"{path}: lists no picture.", _HINT)
    return found


def _entry(text: str, path: Path, where: str) -> tuple[Path, str, str, str]:
    try:
        entry = parse_json(text)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or not {"image", "thing"} <= set(entry) <= {"image", "thing", "view"}:
        raise DataError(f"{where}: not a picture of a thing.", _HINT)
    check_texts(entry, where, _HINT)
    file = picture_beside(path, entry["image"], "list", where)
    return file, entry["thing"], entry.get("view", ""), where
