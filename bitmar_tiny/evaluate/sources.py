# SPDX-License-Identifier: Apache-2.0
"""Memories to look at: of a store, a snapshot, a frozen model, or a training run with what its log says of
the reads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..frozen import FrozenModel
from ..memory.inspect import Source, layout_of, memory_of
from ..memory.snapshot import read_snapshot
from ..memory.store import MemoryStore
from ..train.logs import FILE, read_log


def load_source(path: str | Path, owner: FrozenModel | None = None) -> Source:
    """A store, a snapshot (.safetensors), a frozen model (.bitmar), or the last checkpoint of a training
    run's folder. ``owner``: whose shape a store is taken to have if its first header is lost. ``StoreError``
    and ``FrozenError``.
    """
    path = Path(path)
    if path.is_dir():
        from ..train.run import freeze_run

        model = freeze_run(path)
        return Source(
            str(path), memory_of(model), model.digest, reads=logged_reads(path, model.config.memory_slots)
        )
    if path.suffix == ".bitmar":
        model = FrozenModel.load(path)
        return Source(str(path), memory_of(model), model.digest)
    if path.suffix == ".safetensors":
        return Source(str(path), *read_snapshot(path))
    store = MemoryStore.open(path, layout=owner and layout_of(owner))
    return Source(str(path), store.read(), store.digest, store.sequence)


def logged_reads(run: Path, slots: int) -> dict[int, np.ndarray]:
    """What the run's log holds of the reads, which may be nothing."""
    lines = read_log(run) if (run / FILE).is_file() else []
    found = {
        line["step"]: np.array(line["memory"]["reads"])
        for line in lines
        if line.get("kind") == "step" and line.get("memory", {}).get("reads")
    }
    return {step: reads for step, reads in found.items() if reads.shape == (slots,)}
