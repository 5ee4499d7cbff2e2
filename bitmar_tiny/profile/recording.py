# SPDX-License-Identifier: Apache-2.0
"""What a board reported of the steps it ran: cycles by step, section and part. Every profile report starts
from this.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError

SCHEMA, VERSION = "bitmar-tiny/profile", 2
LABELS, KINDS = ("measured", "simulated"), ("prefill", "decode")
#: What identifies a run; the rest of ``Recording.identity`` is shown where it is known.
REQUIRED = ("model", "model_sha256", "board", "kernels")
STORE = ("reads", "bytes", "stall_cycles", "writes", "written_bytes")
KEYS = (
    "schema",
    "schema_version",
    "label",
    "identity",
    "clock_hz",
    "sections",
    "parts",
    "kinds",
    "starts",
    "totals",
    "stack_peak",
    "arenas",
    "store",
    "plan",
    "episodes",
    "cycles",
)
#: Results that a report adds to the file. They follow from the rest, so they are written and never read.
DERIVED = ("summary", "prediction", "energy")
#: A step of more cycles than this (17 days at 3 GHz) is a broken counter; with ``MOST_CELLS`` the sums stay
#: exact.
MOST_CYCLES, MOST_CELLS = 1 << 52, 1 << 11


@dataclass(frozen=True)
class Recording:
    """One profiled run. ``DataError`` in one sentence if its figures contradict each other."""

    identity: dict[
        str, Any
    ]  # model, model_sha256, board, kernels, head_bits, build_id, compiler, port, when (ISO date),
    # head_kb_s (Identity)
    label: str  # "measured" or "simulated" (an emulator: no timing claims)
    clock_hz: int  # of the cycle counter
    sections: tuple[str, ...]  # "embed", "enc.0", ..., "fusion", "memory", "dec.0", ..., "head"
    parts: tuple[str, ...]  # "other", "gemv", "attention", "memory", "head", "pick"
    kinds: tuple[str, ...]  # per step: "prefill" or "decode"
    starts: np.ndarray  # uint64 [steps], counter at the start of each step
    totals: np.ndarray  # uint64 [steps], cycles of the whole step (with its pick, when decoding)
    cycles: np.ndarray  # uint64 [steps, sections, parts]
    stack_peak: int | None  # bytes
    arenas: dict[str, int]  # region -> bytes in use
    store: (
        dict[str, Any] | None
    )  # {"reads": n, "bytes": n, "stall_cycles": n, "writes": n, "written_bytes": n}
    plan: dict[str, Any] | None  # plan.json of the project: what was predicted
    episodes: tuple[int, ...] = ()  # cycles that the writing of each episode into the memory took

    def __post_init__(self) -> None:
        problem = _wrong_names(self) or _wrong_counts(self)
        if problem:
            raise DataError(f"This profile cannot be used: {problem}.", "Profile the board again.")

    @property
    def timed(self) -> bool:
        """Whether its cycles are time: those of an emulator are not."""
        return self.label == "measured"

    @property
    def unaccounted(self) -> np.ndarray:
        """uint64 [steps]: cycles of each step that no section and part claims."""
        return self.totals - self.cycles.sum(axis=(1, 2), dtype=np.uint64)

    def steps_of(self, kind: str) -> np.ndarray:
        """Indices of the steps of a kind."""
        return np.flatnonzero(np.array(self.kinds) == kind)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, in the order of ``KEYS``."""
        return {
            "schema": SCHEMA,
            "schema_version": VERSION,
            "label": self.label,
            "identity": self.identity,
            "clock_hz": self.clock_hz,
            "sections": list(self.sections),
            "parts": list(self.parts),
            "kinds": list(self.kinds),
            "starts": self.starts.tolist(),
            "totals": self.totals.tolist(),
            "stack_peak": self.stack_peak,
            "arenas": self.arenas,
            "store": self.store,
            "plan": self.plan,
            "episodes": list(self.episodes),
            "cycles": self.cycles.tolist(),
        }

    def to_json(self, derived: dict[str, Any] | None = None) -> str:
        """The file: one line for each key and for each step, so that files can be read and compared.
        ``derived``: of ``DERIVED``.
        """
        lines = []
        for key, value in (self.as_dict() | (derived or {})).items():
            text = (
                json.dumps(value)
                if key != "cycles"
                else "[\n" + ",\n".join(json.dumps(step) for step in value) + "\n]"
            )
            lines.append(f"{json.dumps(key)}: {text}")
        return "{" + ",\n".join(lines) + "}\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Recording:
        """Read what ``to_json`` wrote. ``DataError`` naming ``where`` for anything else."""
        try:
            values = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise DataError(
                f"{where}: not a profile (it is no JSON).", "Write one with 'bitmar-tiny profile --json'."
            ) from None
        _check_schema(values, where)
        unknown, missing = set(values) - {*KEYS, *DERIVED}, [k for k in KEYS if k not in values]
        if unknown or missing:
            what = f"the key '{missing[0]}' is missing" if missing else f"the key '{min(unknown)}' is unknown"
            raise DataError(f"{where}: damaged, {what}.", "Profile the board again.")
        try:
            plain = {
                k: values[k]
                for k in ("identity", "label", "clock_hz", "stack_peak", "arenas", "store", "plan")
            }
            names = {k: _names(values[k], k) for k in ("sections", "parts", "kinds")}
            arrays = {k: _counts(values[k], k) for k in ("starts", "totals", "cycles")}
            return cls(
                **plain,
                **names,
                **arrays,
                episodes=tuple(values["episodes"]) if isinstance(values["episodes"], list) else None,
            )
        except DataError as error:
            raise DataError(
                f"{where}: {error.message[0].lower()}{error.message[1:]}", "Profile the board again."
            ) from None

    @classmethod
    def load(cls, path: Path | str) -> Recording:
        """Read a profile's file. ``DataError`` in one sentence."""
        try:
            return cls.from_json(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are no JSON


def _check_schema(values: Any, where: str) -> None:
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        what = f"it is '{schema}'" if isinstance(schema, str) else "it does not say what it is"
        raise DataError(f"{where}: not a profile ({what}).", "Write one with 'bitmar-tiny profile --json'.")
    if values.get("schema_version") != VERSION:
        raise DataError(
            f"{where}: a profile of version {values.get('schema_version')}, this program reads version "
            f"{VERSION}.",
            "Profile the board again with this version.",
        )


def _names(value: Any, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise DataError(f"This profile cannot be used: {what} are not names.")
    return tuple(value)


def _counts(value: Any, what: str) -> np.ndarray:
    """Nested lists of whole numbers from 0 on, as uint64."""
    try:
        array = np.array(value)
    except (ValueError, OverflowError):  # of unequal lengths
        array = np.array(None)
    if array.dtype.kind not in "iu" or array.size == 0 or array.min() < 0:
        raise DataError(f"This profile cannot be used: {what} are not counts of cycles.")
    return array.astype(np.uint64)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _wrong_names(r: Recording) -> str | None:
    """What is wrong with everything but the counters, or None."""
    if not isinstance(r.identity, dict):
        return "its identity is not a table"
    for key in REQUIRED:
        if not isinstance(r.identity.get(key), str) or not r.identity[key]:
            return f"it does not say which {key} it is of"
    if not re.fullmatch(r"[0-9a-f]{64}", r.identity["model_sha256"]):
        return "its model_sha256 is no SHA-256"
    ways = r.identity.get("head_kb_s", {})
    if not isinstance(ways, dict) or not all(map(_whole, ways.values())):
        return "its head_kb_s are not rates of ways"
    if r.label not in LABELS:
        return f"its label is {r.label!r}, not one of {', '.join(LABELS)}"
    if not _whole(r.clock_hz) or r.clock_hz == 0:
        return f"its clock_hz is {r.clock_hz!r}"
    for what, names in (("section", r.sections), ("part", r.parts)):
        if not names or len(set(names)) != len(names):
            return f"a {what} has no name, or one that another has"
    if r.stack_peak is not None and not _whole(r.stack_peak):
        return f"its stack_peak is {r.stack_peak!r}"
    if not isinstance(r.arenas, dict) or not all(_whole(v) for v in r.arenas.values()):
        return "its arenas are not sizes in bytes"
    if r.store is not None and (
        not isinstance(r.store, dict)
        or set(r.store) != set(STORE)
        or not all(_whole(v) for v in r.store.values())
    ):
        return f"its store does not have the counts {', '.join(STORE)}"
    if not isinstance(r.episodes, tuple) or not all(map(_whole, r.episodes)):
        return "its episodes are not counts of cycles"
    return None if r.plan is None or isinstance(r.plan, dict) else "its plan is not a table"


def _wrong_counts(r: Recording) -> str | None:
    """What is wrong with the counters, or None."""
    steps = len(r.kinds)
    if steps == 0:
        return "it holds no step"
    if unknown := set(r.kinds) - set(KINDS):
        return f"a step is of the kind {min(unknown)!r}"
    shapes = (
        ("starts", r.starts, (steps,)),
        ("totals", r.totals, (steps,)),
        ("cycles", r.cycles, (steps, len(r.sections), len(r.parts))),
    )
    for what, array, shape in shapes:
        if not isinstance(array, np.ndarray) or array.dtype != np.uint64 or array.shape != shape:
            return f"its {what} are not uint64 {list(shape)}"
    if (
        int(r.totals.max()) > MOST_CYCLES
        or int(r.starts.max()) >= 1 << 63
        or len(r.sections) * len(r.parts) > MOST_CELLS
    ):
        return "a counter ran wild"
    claimed = r.cycles.sum(axis=(1, 2), dtype=np.uint64)
    for largest, what in (
        (r.cycles.max(axis=(1, 2)), "a part"),
        (claimed, "the parts together"),
    ):  # a sum may have wrapped around
        if (bad := np.flatnonzero(largest > r.totals)).size:
            return (
                f"in step {bad[0]} {what} took {largest[bad[0]]:,} cycles, the whole step "
                f"{r.totals[bad[0]]:,}"
            )
    if (bad := np.flatnonzero(r.starts[1:] < r.starts[:-1] + r.totals[:-1])).size:
        return f"step {bad[0] + 1} starts before step {bad[0]} has ended"
    return None
