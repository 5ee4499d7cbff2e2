# SPDX-License-Identifier: Apache-2.0
"""What "show once" is measured against: the nearest picture by pixels or by a backbone's vectors, and a small
convolutional prototypical network that is trained on the same things. All only pick one of the pictures that
were shown; they write no name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..data.backbones import Backbone
from ..data.corpus import to_float
from ..data.features import extract
from ..data.pixels import PATCH, patches_to_pixels, picture_side
from ..data.things.encode import whole
from ..data.things.table import TRAIN, Things, Trial

#: Side of the pictures that are compared pixel by pixel, and of those that the network sees.
PIXELS, SEEN = 16, 32
#: The network: convolutions, their channels; things of an episode, distortion (``train.augment``), rate.
LAYERS, CHANNELS, EPISODE, AMOUNT, RATE = 4, 64, 40, 0.08, 1e-3
#: Squared distances are divided by this before they are compared.
TEMPERATURE = 10.0
_AT_ONCE = 256
#: Rows of the table -> float [n, d], compared by their distance.
Embed = Callable[[np.ndarray], np.ndarray]


def small(things: Things, rows: np.ndarray, side: int) -> np.ndarray:
    """float32 [n, side, side, 3] in [0, 1], 0 where a picture is white; of its own size where that is
    smaller.
    """
    size = picture_side(things.pictures.shape[1])[0]
    grid = (size // PATCH) ** 2
    pixels = patches_to_pixels(things.pictures[rows][:, :grid], size)
    step = max(1, size // side)
    pixels = pixels.reshape(len(rows), size // step, step, size // step, step, 3).mean((2, 4))
    return (1 - pixels / 255).astype(np.float32)


@dataclass(frozen=True)
class Nearest:
    """right: bool [n], whether the shown picture that is nearest to the asked one shows it; known, strange:
    float [n], how far that is, and how far the nearest is to a picture of a thing that was not shown (as many
    as there are).
    """

    right: np.ndarray
    known: np.ndarray
    strange: np.ndarray


def nearest(trials: Sequence[Trial], embed: Embed) -> Nearest:
    used = np.unique([row for t in trials for row in (*t.shown.ravel(), t.asked, t.stranger) if row >= 0])
    parts = [embed(used[i : i + _AT_ONCE]) for i in range(0, len(used), _AT_ONCE)]
    table = dict(zip(used.tolist(), np.concatenate(parts), strict=True))
    right, known, strange = [], [], []
    for t in trials:
        shown = np.stack([table[row] for row in t.shown.ravel().tolist()])
        apart = ((shown - table[t.asked]) ** 2).sum(1).reshape(t.shown.shape).min(1)
        right.append(int(apart.argmin()) == t.target)
        known.append(apart.min())
        if t.stranger >= 0:
            strange.append(((shown - table[t.stranger]) ** 2).sum(1).min())
    return Nearest(np.array(right), np.array(known), np.array(strange))


def by_pixels(things: Things, colour: bool) -> Embed:
    """Directions of the pixels of small pictures, so that the nearest has the largest cosine."""

    def embed(rows: np.ndarray) -> np.ndarray:
        pixels = small(things, rows, PIXELS)
        flat = (pixels if colour else pixels.mean(-1)).reshape(len(rows), -1)
        return _directions(flat)

    return embed


def by_backbone(
    things: Things, backbone: Backbone, progress: Callable[[int, int], None] = lambda done, total: None
) -> Embed:
    """Directions of a backbone's vectors, the mean over a picture, prepared as ``bitmar-tiny features`` does;
    what the backbone sees is the picture of the table, enlarged. Each picture is looked at once.
    """
    seen: dict[int, np.ndarray] = {}

    def embed(rows: np.ndarray) -> np.ndarray:
        new = [row for row in rows.tolist() if row not in seen]
        for i, row in enumerate(new, 1):
            (vectors, _), *_ = extract(backbone, [whole(things, row)])
            seen[row] = vectors.astype(np.float32).mean(0)
            progress(i, len(new))
        return _directions(np.stack([seen[row] for row in rows.tolist()]))

    return embed


def by_features(things: Things) -> Embed:
    """Directions of the features that the table holds, the mean over a picture."""
    return lambda rows: _directions(to_float(things.pictures[rows]).mean(1))


def _directions(flat: np.ndarray) -> np.ndarray:
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


def train_twin(
    things: Things, minutes: float, seed: int = 0, progress: Callable[[float], None] = lambda part: None
) -> Embed:
    """Train the network for so long on the things that are for training, asked as ``things.training`` says;
    returns its embedding.
    """
    import torch
    import torch.nn.functional as F

    from ..train.augment import distort

    torch.manual_seed(seed)
    rng, net = np.random.default_rng(seed), _network()
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    most = min(EPISODE, int((things.side == TRAIN).sum()))
    start = time.monotonic()
    while (spent := (time.monotonic() - start) / (60 * minutes)) < 1:
        progress(spent)
        shown, asked = _episode(things, rng, most)
        pixels = torch.from_numpy(small(things, np.concatenate([shown, asked]), SEEN)).permute(0, 3, 1, 2)
        draws = torch.from_numpy(rng.normal(size=(len(pixels), 4)).astype(np.float32) * AMOUNT)
        seen = net(distort(pixels, draws, 0.0))
        known, asked_for = seen[: len(shown)], seen[len(shown) :]
        apart = torch.cdist(asked_for, known) ** 2
        loss = F.cross_entropy(-apart / TEMPERATURE, torch.arange(len(shown)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()

    def embed(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(torch.from_numpy(small(things, rows, SEEN)).permute(0, 3, 1, 2)).numpy()

    return embed


def _episode(things: Things, rng: np.random.Generator, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows [n] and [n]: things in two views that go with each other, each thing in some."""
    first = things.trial(rng, TRAIN, things.training, most, most=True)
    of = things.thing[first.shown[:, 0]]
    pairs = things.pairs[things.training]
    shown, asked = [], []
    for thing in of:
        views = things.row[thing][pairs]
        there = views[(views >= 0).all(1)]
        a, c = there[rng.integers(len(there))]
        shown.append(a)
        asked.append(c)
    return np.array(shown), np.array(asked)


def _network():
    from torch import nn

    layers: list[nn.Module] = []
    for i in range(LAYERS):
        layers += [
            nn.Conv2d(CHANNELS if i else 3, CHANNELS, 3, padding=1),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers, nn.Flatten())
