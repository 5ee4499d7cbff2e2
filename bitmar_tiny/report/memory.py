# SPDX-License-Identifier: Apache-2.0
"""Pictures of the episodic memory (the paper's figure 2: slot activation)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..golden import numerics as nm
from ..memory.inspect import Source


def draw(sources: Sequence[Source], path: Path) -> None:
    """One training run: how its reads used the slots, from its log. Anything else: usage and length of the
    rows. PNG or SVG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    if len(sources) == 1 and len(sources[0].reads) > 1:
        figure = _training(pyplot, Path(sources[0].name).name, sources[0].reads)
    else:
        figure = _memories(pyplot, sources)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _memories(pyplot, sources: Sequence[Source]):
    """Usage of every slot (times K: 1 is the uniform share) above the length of its row, one column for each
    memory, on common scales.
    """
    usage = [s.memory.usage * ((1 if s.memory.keyed else s.memory.slots) / nm.USAGE_ONE) for s in sources]
    length = [np.linalg.norm(s.memory.rows(), axis=1) for s in sources]
    figure, axes = pyplot.subplots(
        2, len(sources), figsize=(max(4.0 * len(sources), 5.0), 7.4), squeeze=False, layout="constrained"
    )
    for row, values, what, colours in (
        (0, usage, "usage (1 = uniform)", "magma"),
        (1, length, "length of the row |M_k|", "viridis"),
    ):
        most = max(float(v.max()) for v in values) or 1.0
        for axis, source, slots in zip(axes[row], sources, values, strict=True):
            shown = _grid(axis, slots, colours, most)
            if row == 0:
                axis.set_title(Path(source.name).name, fontsize=10)
        figure.colorbar(shown, ax=list(axes[row]), label=what, shrink=0.85)
    figure.suptitle("Slots of the episodic memory, in order, row by row", fontsize=11)
    return figure


def _training(pyplot, name: str, reads: dict[int, np.ndarray]):
    """Early and late activation of the slots, (a) and (b) as in the paper, above the activation of each slot
    over all of the log.
    """
    steps = sorted(reads)
    activation = np.stack([reads[s] for s in steps], axis=1) * len(
        reads[steps[0]]
    )  # [K, steps], 1: the uniform share
    most = float(activation.max()) or 1.0
    figure, axes = pyplot.subplot_mosaic(
        [["early", "late"], ["all", "all"]], figsize=(8.4, 7.4), height_ratios=[1, 1.5], layout="constrained"
    )
    for key, letter, at in (("early", "a", 0), ("late", "b", -1)):
        _grid(axes[key], activation[:, at], "magma", most)
        axes[key].set_title(f"({letter}) step {steps[at]:,}", fontsize=10)
    shown = axes["all"].pcolormesh(
        _edges(steps),
        np.arange(len(activation) + 1),
        activation,
        cmap="magma",
        vmin=0,
        vmax=most,
        rasterized=True,
    )
    axes["all"].invert_yaxis()
    axes["all"].set_xlabel("training step")
    axes["all"].set_ylabel("slot")
    figure.colorbar(shown, ax=list(axes.values()), label="share of a read, times K (1 = uniform)", shrink=0.7)
    figure.suptitle(f"{name}: activation of the episodic memory, {len(activation):,} slots", fontsize=11)
    return figure


def _grid(axis, values: np.ndarray, colours: str, most: float):
    """[K] as a nearly square picture, its corners numbered."""
    side = _width(len(values))
    grid = np.full((math.ceil(len(values) / side), side), np.nan)
    grid.flat[: len(values)] = values
    axis.set_xticks([0, side - 1] if side > 1 else [0])
    axis.set_yticks(
        [0, len(grid) - 1] if len(grid) > 1 else [0],
        [str(i * side) for i in ((0, len(grid) - 1) if len(grid) > 1 else (0,))],
    )
    axis.set_ylabel("first slot of the row", fontsize=8)
    axis.tick_params(labelsize=8)
    return axis.imshow(grid, cmap=colours, vmin=0, vmax=most, interpolation="nearest")


def _width(slots: int) -> int:
    """Slots of a row of the picture: a divisor of K where one gives it at most twice as wide as high."""
    for height in range(math.isqrt(slots), 0, -1):
        if slots % height == 0 and slots <= 2 * height * height:
            return slots // height
    return math.ceil(math.sqrt(slots))


def _edges(steps: Sequence[int]) -> np.ndarray:
    """Borders of columns around steps, float64 [steps + 1]."""
    s = np.asarray(steps, np.float64)
    middle = (s[1:] + s[:-1]) / 2
    return np.concatenate(([s[0] - (middle[0] - s[0])], middle, [s[-1] + (s[-1] - middle[-1])]))
