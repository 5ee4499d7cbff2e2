# SPDX-License-Identifier: Apache-2.0
"""Who answers the benchmark "show once": a training run, a frozen model somewhere, or nobody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..data.tokenizer import Tokenizer
from ..errors import ConfigError
from ..files import TemporaryFolder
from ..frozen import FrozenModel
from ..frozen.shipped import is_run
from ..memory.inspect import memory_of
from ..memory.store import MemoryStore
from ..run.session import Session, SessionOptions, open_session
from .askers import Asker, RunningAsker, TorchAsker
from .batched import BatchedAsker

TORCH = "torch"


class Subject:
    """things: what a run was trained on; folder: where things are drawn; vectors: of a picture, None: any
    number; on: the target, "" for nobody.
    """

    def __init__(self, run: Path | None, on: str = "", restart: bool = False) -> None:
        self.things: list[str] = []
        self.vectors: int | None = None
        self.folder, self.model, self.frozen, self.restart = Path("things"), None, None, restart
        self.on = on or "golden"
        if run is None:
            self.on = ""
        elif is_run(run):
            from ..train.run import freeze_run, load_run

            self.model, self.tokenizer, record = load_run(run)
            self.things = record.get("data", {}).get("things", [])
            self.folder, self.vectors = run / "data", self.model.cfg.image_inputs
            self.on = on or ("golden" if restart else TORCH)
            float_twin = record["training"].get("float_twin", False)
            if self.on != TORCH or self.model.cfg.keyed and not float_twin:
                self.frozen = freeze_run(run)
        else:
            self.frozen = FrozenModel.load(run)
            if not self.frozen.tokenizer:
                raise ConfigError(
                    f"{run}: this model was frozen without a tokenizer.", "Freeze it with one to ask it."
                )
            self.tokenizer = Tokenizer.from_bytes(self.frozen.tokenizer)
            self.vectors = self.frozen.config.image_inputs
        if restart and self.on == TORCH:
            raise ConfigError("PyTorch keeps its memory in no store.", "Add --on golden or --on host.")

    def paths(self, things: Sequence[Path]) -> list[Path]:
        """Where the things are: as named, else what the run was trained on. ``ConfigError`` for nothing."""
        paths = list(things) or [Path(p) for p in self.things]
        if not paths:
            raise ConfigError("Nothing says which things are to be shown.", "Name them: --things FOLDER.")
        return paths

    @contextlib.contextmanager
    def opened(self) -> Iterator[Callable[[np.ndarray], Asker]]:
        """A function from a table of pictures to who asks about them."""
        if self.on == TORCH and self.frozen:
            frozen = self.frozen
            yield lambda pictures: BatchedAsker(frozen, self.tokenizer, pictures)
            return
        if self.on == TORCH:
            yield lambda pictures: TorchAsker(self.model, self.tokenizer, pictures)
            return
        with self._running() as running:
            trained, model = running.read_memory(), self.frozen
            yield lambda pictures: RunningAsker(running, model, self.tokenizer, pictures, self.restart)
            running.write_memory(trained)

    @contextlib.contextmanager
    def _running(self) -> Iterator[Session]:
        """The session, with a store where it is restarted."""
        assert self.frozen is not None
        options = SessionOptions(memory="sd" if self.restart else "auto")
        with contextlib.ExitStack() as stack:
            if self.restart and self.on == "golden":
                store = Path(stack.enter_context(TemporaryFolder())) / "memory.store"
                MemoryStore.create(store, memory_of(self.frozen), self.frozen.digest)
                options = SessionOptions(store=store)
            yield stack.enter_context(open_session(self.on, self.frozen, options))
