# SPDX-License-Identifier: Apache-2.0
"""Emoji sets of npm (``@iconify-json/*``): the same things drawn by several hands."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from ..iconify import Style, read_style
from ..openmoji import draw_svgs, emoji_names
from ..pixels import picture_side
from .table import Progress, Things, pairs_of, split_things

#: Sets of one company are of one drawer; any other set has a drawer of its own.
DRAWERS = {
    "noto": "Google",
    "noto-v1": "Google",
    "emojione": "JoyPixels",
    "emojione-v1": "JoyPixels",
    "fluent-emoji-flat": "Microsoft",
    "twemoji": "Twitter",
    "openmoji": "OpenMoji",
    "fxemoji": "Mozilla",
}
#: Sets that are never trained on; they are asked in the test.
HELD_OUT = ("fxemoji", "noto-v1")
#: A thing is one that so many drawers drew, or all where there are fewer.
LEAST_DRAWERS = 4
#: No things of their own: other colours of one, and flags, which are not drawn.
_LEFT_OUT = re.compile(r"skin tone|^flag")


def find(path: Path) -> list[Path]:
    """The folders of Iconify sets in a folder."""
    return sorted(p.parent for p in path.glob("*/icons.json")) if path.is_dir() else []


class Emoji:
    """Sets in folders. ``DataError`` as in ``read_style``."""

    vectors = None

    def __init__(self, folders: list[Path]) -> None:
        names = emoji_names()
        self.styles: list[Style] = [read_style(folder, names) for folder in folders]
        self.made_with: dict[str, Any] = {"source": "emoji", "sets": [s.record for s in self.styles]}

    def draw(self, vectors: int, progress: Progress | None) -> Things:
        """All things that enough drawers drew, in every set."""
        drawer = [DRAWERS.get(s.prefix, s.prefix) for s in self.styles]
        drawn_by: dict[str, set[str]] = defaultdict(set)
        for style, who in zip(self.styles, drawer, strict=True):
            for name, _ in style.drawings:
                drawn_by[name].add(who)
        least = min(LEAST_DRAWERS, len(set(drawer)))
        names = sorted(n for n, by in drawn_by.items() if len(by) >= least and not _LEFT_OUT.search(n))
        index = {name: i for i, name in enumerate(names)}
        wanted = [
            (view, index[name], f"{style.prefix}: {name}", svg)
            for view, style in enumerate(self.styles)
            for name, svg in style.drawings
            if name in index
        ]
        pictures, _ = draw_svgs(
            [("", label, svg) for *_, label, svg in wanted], vectors, picture_side(vectors)[0], progress
        )
        held = [s.prefix in HELD_OUT for s in self.styles]

        def apart(a: int, c: int, held_out: bool) -> bool:
            return not held[a] and held[c] == held_out and drawer[a] != drawer[c]

        views = len(self.styles)
        pairs = {
            "another drawer": pairs_of(views, lambda a, c: apart(a, c, False)),
            "drawer never trained on": pairs_of(views, lambda a, c: apart(a, c, True)),
        }
        return Things(
            "emoji",
            pictures,
            np.array([thing for _, thing, *_ in wanted]),
            np.array([view for view, *_ in wanted]),
            names,
            [s.prefix for s in self.styles],
            split_things(names),
            np.zeros(len(names), np.int64),
            pairs,
            "another drawer",
            [name for name, found in pairs.items() if len(found)],
        )
