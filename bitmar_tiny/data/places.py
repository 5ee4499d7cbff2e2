# SPDX-License-Identifier: Apache-2.0
"""Made-up sessions about where things are: what the preset ``recall`` learns from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..files import atomic_file

#: What ``write_places`` tells of.
THINGS = ("key", "pen", "coin", "ring", "map", "phone", "cup", "book")
PLACES = (
    "in the drawer",
    "on the shelf",
    "under the bed",
    "in the box",
    "on the desk",
    "behind the door",
    "in the car",
    "by the window",
)
MOST_TOLD = 11


def place_of(thing: int, place: int) -> str:
    """The sentence that tells where a thing is, both by number."""
    return f"The {THINGS[thing]} is {PLACES[place]}."


def write_places(path: Path, count: int, seed: int = 0) -> None:
    """A file of ``count`` made-up sessions: where things are is told, some of them moved, one is asked for.
    The same for the same seed.

    Up to ``MOST_TOLD`` things are told, in any order, some of them several times; what holds is what was told
    last.
    """
    rng = np.random.default_rng(seed)
    with atomic_file(path) as f:  # other processes may be reading the same file, made by them
        for n in rng.integers(1, MOST_TOLD + 1, count):
            things, places = rng.integers(0, len(THINGS), n), rng.integers(0, len(PLACES), n)
            now = dict(zip(things.tolist(), places.tolist(), strict=False))
            asked = list(now)[rng.integers(len(now))]
            told = [place_of(t, p) for t, p in zip(things, places, strict=False)]
            f.write(
                (json.dumps([*told, [f"The {THINGS[asked]} is", f" {PLACES[now[asked]]}."]]) + "\n").encode()
            )
