"""Run a script on a board over its link, and yield its taps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import DeviceError
from ..frozen import FrozenModel
from ..memory.store import Memory
from ..run.device import Board, TapRecord
from .script import Event
from .target import SILENT, Record


class BoardTarget:
    """A board whose firmware has taps. Its memory is the model's own while a script runs, and afterwards what it was before.

    A ``power`` event restarts the board, so a script for one that cannot be restarted has none (``possible``).
    """

    def __init__(self, board: Board, model: FrozenModel) -> None:
        if "taps" not in board.identity.flags:
            raise DeviceError(
                f"{board.name}: this firmware was built without taps, so it shows nothing to compare.",
                "Build it with taps (make TAPS=1, or BITMAR_TAPS in menuconfig) and flash it.",
            )
        self.board, self.model, self.name = (
            board,
            model,
            f"{board.identity.board}/{board.identity.kernels} on {board.name}",
        )

    def possible(self, script: Sequence[Event]) -> list[Event]:
        """The script without what this board cannot do."""
        return [e for e in script if e.kind != "power" or self.board.can_restart]

    @property
    def memory(self) -> str:
        """Where the board keeps its memory, one of ``lower.MEMORY_TIERS``."""
        flags = self.board.identity.flags
        return "sd" if "store" in flags else "flash" if "read_only" in flags else "ram"

    def run(self, script: Sequence[Event], modes: dict[int, int], start: int = 0) -> Iterator[Record]:
        if self.memory == "flash":
            yield from self._run(script, modes, start)
            return
        before = self.board.read_memory()
        try:
            self._set_memory()
            yield from self._run(script, modes, start)
        finally:
            self.board.write_memory(before)

    def _run(self, script: Sequence[Event], modes: dict[int, int], start: int) -> Iterator[Record]:
        board = self.board
        board.taps({}, SILENT)
        board.memory_on(True)
        board.begin()
        for number, event in enumerate(script):
            if number == start:
                board.taps(modes, SILENT)
            for tap in self._execute(event, modes if number >= start else {}):
                yield Record(number, tap.id, tap.crc, tap.data)
        board.taps({}, SILENT)

    def _execute(self, event: Event, modes: dict[int, int]) -> list[TapRecord]:
        board = self.board
        if event.kind == "token":
            return board.tokens([event.token])
        if event.kind == "image":
            return board.image(event.image)
        if event.kind == "write":
            return board.end()
        if event.kind == "begin":
            return board.begin()
        if event.kind == "memory":
            board.memory_on(event.on)
        else:
            self._power(modes)
        return []

    def _power(self, modes: dict[int, int]) -> None:
        """Off and on: what is in RAM is forgotten, and the firmware silent."""
        self.board.restart()
        self.board.taps(modes, SILENT)

    def _set_memory(self) -> None:
        a = self.model.arrays
        self.board.write_memory(Memory(a["memory.m.codes"], a["memory.m.scales"], a["memory.m.usage"]))
