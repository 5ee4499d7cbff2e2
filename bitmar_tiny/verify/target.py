"""Run a script on a target and yield its taps: the golden model, or a program built from generated C."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ..arch.records import Tap
from ..arch.tables import tap_table
from ..errors import ProcessorError, ToolError
from ..frozen import FrozenModel
from ..golden.model import GoldenModel
from .script import Event

SILENT, CRC, DATA = 0, 1, 2
RESULT, MORE = 0xFFFFFFFF, 0x80000000
#: Exit status of a program that its processor cannot run (linux_main.c).
WRONG_PROCESSOR = 3
RUN_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Record:
    """One tap as a target reported it: event number, tap id, CRC-32, and the tensor if asked for."""

    event: int
    tap: int
    crc: int
    data: bytes = b""


class Target(Protocol):
    """Anything that can run a script. ``modes`` maps tap id -> SILENT, CRC or DATA, from event ``start`` on."""

    name: str

    def run(self, script: Sequence[Event], modes: dict[int, int], start: int = 0) -> Iterator[Record]: ...


def default_modes(taps: list[Tap]) -> dict[int, int]:
    """CRC for every tap but the quiet ones."""
    return {i: SILENT if t.quiet else CRC for i, t in enumerate(taps)}


class GoldenTarget:
    """The NumPy reference itself."""

    name = "golden"

    def __init__(self, model: FrozenModel, memory: str = "ram") -> None:
        """``memory``: where the target keeps it, one of ``lower.MEMORY_TIERS``: what a power cut leaves of it."""
        self.model, self.memory = model, memory

    def run(self, script: Sequence[Event], modes: dict[int, int], start: int = 0) -> Iterator[Record]:
        ids = {t.name: i for i, t in enumerate(tap_table(self.model.config))}
        records: list[Record] = []
        number = 0

        def tap(name: str, array: np.ndarray) -> None:
            mode = modes.get(ids[name], SILENT)
            if mode != SILENT and number >= start:
                data = np.ascontiguousarray(array).tobytes()
                records.append(Record(number, ids[name], zlib.crc32(data), data if mode == DATA else b""))

        golden = self._start(tap)
        for number, event in enumerate(script):
            if event.kind == "token":
                golden.step(event.token)
            elif event.kind == "image":
                golden.set_image(event.image)
            elif event.kind == "write":
                golden.end_episode()
            elif event.kind == "memory":
                golden.memory_on = event.on
            elif event.kind == "power":
                golden = self._start(tap, golden)
            else:
                golden.begin_episode()
            yield from records
            records.clear()

    def _start(
        self, tap: Callable[[str, np.ndarray], None], before: GoldenModel | None = None
    ) -> GoldenModel:
        """The model as it is after power on; ``before``: as it was when the power went."""
        model = GoldenModel(self.model.config, self.model.arrays, tap, read_only=self.memory == "flash")
        if before is not None and self.memory == "sd":
            model.m_codes, model.m_scales, model.m_usage = before.m_codes, before.m_scales, before.m_usage
        return model


class ProgramTarget:
    """A generated program with taps, run natively or under an emulator; every stretch between power cuts in a process of its own.

    ``store``: the memory store that it starts with, if it has one; a copy is used.
    """

    def __init__(self, command: list[str], name: str, taps: list[Tap], store: Path | None = None) -> None:
        self.command, self.name, self.taps, self.store = command, name, taps, store

    def run(self, script: Sequence[Event], modes: dict[int, int], start: int = 0) -> Iterator[Record]:
        """Raises ``ToolError`` when the program refuses, dies, hangs or answers something else."""
        cuts = [0, *(i + 1 for i, e in enumerate(script) if e.kind == "power"), len(script)]
        with tempfile.TemporaryDirectory() as folder:
            command = [*self.command, "trace"]
            if self.store:
                shutil.copyfile(self.store, Path(folder) / self.store.name)
                command += ["--store", str(Path(folder) / self.store.name)]
            for first, end in zip(cuts, cuts[1:]):
                for record in self._stretch(
                    command, Path(folder), script[first:end], modes, max(start - first, 0)
                ):
                    yield replace(record, event=record.event + first)

    def _stretch(
        self, command: list[str], folder: Path, script: Sequence[Event], modes: dict[int, int], start: int
    ) -> Iterator[Record]:
        script_file, trace_file = folder / "script", folder / "trace"
        with open(script_file, "wb") as f:
            for number, event in enumerate(script):
                if number == start:
                    f.writelines(b"S" + struct.pack("<IB", tap, mode) for tap, mode in modes.items())
                f.write(event.encode())
        with open(script_file, "rb") as stdin, open(trace_file, "wb") as stdout:
            try:
                done = subprocess.run(
                    command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=RUN_TIMEOUT_S
                )
            except subprocess.TimeoutExpired:
                raise ToolError(f"{self.name}: the program gave no answer for {RUN_TIMEOUT_S} s.") from None
        if done.returncode == WRONG_PROCESSOR:
            raise ProcessorError(
                f"{self.name}: this processor lacks the instructions of the kernel family.",
                "Choose another with --kernels.",
            )
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise ToolError(
                f"{self.name}: the program ended with status {done.returncode}"
                f"{': ' + words[0] if words else ''}."
            )
        yield from self._parse(trace_file, script)

    def _parse(self, path: Path, script: Sequence[Event]) -> Iterator[Record]:
        answered = [i for i, e in enumerate(script) if e.kind not in ("memory", "power")]
        with open(path, "rb") as f:
            if f.read(8) != b"BMTR" + struct.pack("<I", len(self.taps)):
                raise ToolError(
                    f"{self.name}: the program was generated for another model or version.",
                    "Run 'bitmar-tiny codegen' again.",
                )
            for event in answered:
                begun = b""  # of a tensor that comes in pieces
                while True:
                    head = f.read(12)
                    if len(head) < 12:
                        raise ToolError(
                            f"{self.name}: the trace ends in event {event} ({script[event].describe()})."
                        )
                    tap, crc, size = struct.unpack("<III", head)
                    if tap == RESULT:
                        if crc:
                            raise ToolError(
                                f"{self.name}: event {event} ({script[event].describe()}) was refused, "
                                f"status {crc - (1 << 32)}."
                            )
                        break
                    begun += f.read(size & ~MORE)
                    if not size & MORE:
                        yield Record(event, tap, crc, begun)
                        begun = b""
