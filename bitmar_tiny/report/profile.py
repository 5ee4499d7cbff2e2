# SPDX-License-Identifier: Apache-2.0
"""The report of a profile in one call: tables to show, and the files that were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from bitmar_tiny.codegen.boards import Power, board_files, load_board

from ..files import atomic_file
from ..profile.energy import Energy, estimated_energy, measured_energy
from ..profile.power_log import read_log
from ..profile.prediction import predict
from ..profile.recording import Recording
from ..profile.summary import summary_dict
from .export import to_csv, to_trace
from .page import to_html
from .tables import profile_tables


@dataclass(frozen=True)
class Files:
    """Where to write what; None is not written."""

    json: Path | None = None
    csv: Path | None = None
    trace: Path | None = None
    html: Path | None = None


def report(recording: Recording, files: Files = Files(), energy: Energy | None = None) -> list[Table]:
    """Write the files and return the tables. ``DataError`` in one sentence if the disk refuses or the plan
    cannot be read.
    """
    prediction = predict(recording)
    for path, text in (
        (files.json, lambda: document(recording, energy)),
        (files.csv, lambda: to_csv(recording)),
        (files.trace, lambda: to_trace(recording)),
        (files.html, lambda: to_html(recording, prediction, energy)),
    ):
        if path is not None:
            with atomic_file(path) as f:
                f.write(text().encode())
    return profile_tables(recording, prediction, energy)


def document(recording: Recording, energy: Energy | None = None) -> str:
    """The JSON file: the recording, then what follows from it."""
    derived: dict[str, Any] = {
        "summary": summary_dict(recording),
        "prediction": predict(recording).as_dict(),
        "energy": energy.as_dict() if energy else None,
    }
    return recording.to_json(derived)


def power_of(recording: Recording) -> Power | None:
    """What the profile of the recording's board says that it draws, if there is such a profile."""
    board = recording.identity["board"]
    return load_board(board).power if board in board_files() else None


def energy_of(
    recording: Recording, power: Power | None = None, log: Path | None = None, voltage: float | None = None
) -> Energy | None:
    """From a meter's ``log``, or from the board's figures, or None. ``DataError`` for a bad log."""
    if log is not None:
        return measured_energy(recording, read_log(log, voltage))
    return estimated_energy(recording, power.active_w, power.idle_w, power.source) if power else None
