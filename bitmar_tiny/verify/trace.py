# SPDX-License-Identifier: Apache-2.0
"""Run a script on a session, and yield its taps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..arch.tables import Tap
from ..frozen import FrozenModel
from ..memory.inspect import memory_of
from ..run.session import CRC, SILENT, Session, TapRecord
from .script import Event


@dataclass(frozen=True)
class Record:
    """One tap of a script: event number, tap id, CRC-32, and the tensor if it was asked for."""

    event: int
    tap: int
    crc: int
    data: bytes = b""


def default_modes(taps: Sequence[Tap]) -> dict[int, int]:
    """CRC for every tap but the quiet ones."""
    return {i: SILENT if t.quiet else CRC for i, t in enumerate(taps)}


def possible(script: Sequence[Event], session: Session) -> list[Event]:
    """The script without what the session cannot do: power cuts, where nothing can restart it."""
    return [e for e in script if e.kind != "power" or session.can_restart]


def trace(
    session: Session, model: FrozenModel, script: Sequence[Event], modes: Mapping[int, int], start: int = 0
) -> Iterator[Record]:
    """Every tap that ``modes`` (tap id -> ``SILENT``, ``CRC`` or ``DATA``) asks for, from event ``start`` on.

    The session's memory is the model's own meanwhile, and afterwards what it was before.
    """
    session.need_taps()
    if session.memory_tier == "flash":
        yield from _trace(session, script, modes, start)
        return
    before = session.read_memory()
    try:
        session.write_memory(memory_of(model))
        yield from _trace(session, script, modes, start)
    finally:
        session.write_memory(before)


def _trace(
    session: Session, script: Sequence[Event], modes: Mapping[int, int], start: int
) -> Iterator[Record]:
    session.taps({})
    session.memory_on(True)
    session.begin()
    for number, event in enumerate(script):
        if number == start:
            session.taps(modes)
        for tap in execute(session, event, modes if number >= start else {}):
            yield Record(number, tap.id, tap.crc, tap.data)
    session.taps({})


def execute(session: Session, event: Event, modes: Mapping[int, int]) -> list[TapRecord]:
    """One event of a script; ``modes``: of the taps, which a restart forgets."""
    if event.kind == "token":
        return session.tokens([event.token])
    if event.kind == "image":
        return session.image(event.image)
    if event.kind == "write":
        return session.end()
    if event.kind == "begin":
        return session.begin()
    if event.kind == "memory":
        session.memory_on(event.on)
    else:
        session.restart()
        session.taps(modes)
    return []
