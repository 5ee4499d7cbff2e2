# SPDX-License-Identifier: Apache-2.0
"""A session with an exported model: ONNX in onnxruntime, LiteRT in its interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..arch.tables import tap_table
from ..errors import DataError
from ..exchange.files import export, open_runtime
from ..exchange.target import Arrays, ExportedModel, Runtime, reported
from ..files import TemporaryFolder
from ..frozen import FrozenModel
from ..golden import numerics as nm
from ..memory.store import Memory
from .local import LocalSession
from .session import TapRecord


class ExportedSession(LocalSession):
    """``runtime``: the loaded file; ``taps``: it shows every tensor; ``folder``: of a file that was exported
    for this session.
    """

    def __init__(
        self, model: FrozenModel, runtime: Runtime, taps: bool = True, folder: TemporaryFolder | None = None
    ) -> None:
        super().__init__(model, runtime.name)
        self.can_tap = taps
        self.runtime, self.folder = runtime, folder
        self.dtypes = [t.dtype for t in tap_table(self.cfg)]
        self.restart()

    def begin(self) -> list[TapRecord]:
        self.exported.begin_episode()
        return []

    def image(self, vectors: np.ndarray) -> list[TapRecord]:
        return self._seen("image", self.exported.set_image(nm.as_features(vectors)))

    def advance(self, token: int) -> None:
        self.out = self.exported.step(token)
        self._report("step", self.out)

    def logits(self) -> tuple[np.ndarray, np.float32]:
        return self.out["logits"].ravel(), np.float32(self.out["logits.scale"].ravel()[0])

    def end(self) -> list[TapRecord]:
        return self._seen("write", self.exported.end_episode())

    def memory_on(self, on: bool) -> None:
        self.exported.memory_on = on

    def keep(self) -> tuple[Arrays, Arrays]:
        return dict(self.exported.state), self.out

    def restore(self, kept: tuple[Arrays, Arrays]) -> None:
        self.exported.state, self.out = dict(kept[0]), kept[1]

    def read_memory(self) -> Memory:
        m = self.exported.memory
        codes = m["memory.high"].astype(np.int32) * 256 + m["memory.low"]
        scales, usage = (m[f"memory.{part}"].ravel() for part in ("scales", "usage"))
        kept = codes.astype(np.int16), scales.astype(np.float32), usage.astype(np.uint32)
        return Memory(*kept, self.exported.cfg.keyed)

    def write_memory(self, memory: Memory) -> None:
        high, low = nm.planes(memory.codes)
        m = self.exported.memory
        values = {"high": high, "low": low, "scales": memory.scales, "usage": memory.usage}
        self.exported.memory = {
            f"memory.{part}": a.astype(m[f"memory.{part}"].dtype).reshape(m[f"memory.{part}"].shape)
            for part, a in values.items()
        }

    def restart(self) -> None:
        self.exported, self.out = ExportedModel(self.model, self.runtime), {}

    def close(self) -> None:
        if self.folder:
            self.folder.cleanup()

    def _seen(self, kind: str, out: Arrays) -> list[TapRecord]:
        self._report(kind, out)
        return self.reported()

    def _report(self, kind: str, out: Arrays) -> None:
        if out and any(self.modes.values()):
            for tap, array in reported(self.cfg, kind, self.exported, out):
                self.report(tap, np.asarray(array, self.dtypes[tap]))


def open_exported(
    model: FrozenModel, format_name: str, path: Path | None = None, taps: bool = False
) -> ExportedSession:
    """A session with exported files, or fresh ones. ``DataError`` for files that are damaged or another
    model's.
    """
    folder = None
    if path is None:
        folder = TemporaryFolder()
        path = Path(folder.name) / f"model.{format_name}"
        export(model, format_name, path)
    runtime = open_runtime(format_name, path, taps=True) if taps else open_runtime(format_name, path)
    if runtime.model_sha256 != model.digest:
        raise DataError(
            f"{path}: exported from another model (SHA-256 {runtime.model_sha256[:16]}..., not "
            f"{model.digest[:16]}...).",
            "Export this model.",
        )
    return ExportedSession(model, runtime, taps, folder)
