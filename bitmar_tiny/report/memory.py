"""Pictures of the episodic memory (the paper's figure 2: slot activation)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Sequence

import numpy as np

from ..golden import numerics as nm
from ..store import Memory


def heat_map(memories: Sequence[tuple[str, Memory]], path: Path) -> None:
    """Usage of every slot (times K: 1 is the uniform share) above the length of its row, one column for each memory; PNG or SVG."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(memories), figsize=(4.2 * len(memories), 7.2), squeeze=False, layout="constrained")
    for column, (name, memory) in enumerate(memories):
        usage = memory.usage * (memory.slots / nm.USAGE_ONE)
        length = np.linalg.norm(memory.rows(), axis=1)
        for axis, values, what, colours in ((axes[0, column], usage, "usage (1 = uniform)", "magma"), (axes[1, column], length, "length of the row", "viridis")):
            shown = axis.imshow(_square(values), cmap=colours, vmin=0, interpolation="nearest")
            axis.set_title(f"{name}\n{what}" if axis is axes[0, column] else what, fontsize=9)
            axis.set_xticks([])
            axis.set_yticks([])
            figure.colorbar(shown, ax=axis, shrink=0.8)
    figure.suptitle("Memory slots, in order, row by row", fontsize=10)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _square(values: np.ndarray) -> np.ndarray:
    """[K] -> nearly square, the rest empty."""
    side = math.ceil(math.sqrt(len(values)))
    grid = np.full((math.ceil(len(values) / side), side), np.nan)
    grid.flat[:len(values)] = values
    return grid
