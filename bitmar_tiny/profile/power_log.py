# SPDX-License-Identifier: Apache-2.0
"""A power meter's log (CSV) and the part of it in which the board ran the profiled steps."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError

COLUMNS = ("time_s", "power_w", "current_a", "voltage_v", "marker")
LEAST_SAMPLES = 10  # between the edges; fewer say little about an average
GAP = 8.0  # times the usual distance of samples: the meter lost some
HELP = (
    "The columns are time_s and power_w (or current_a with voltage_v or --voltage), and marker (0 or 1) if "
    "there is one."
)


@dataclass(frozen=True)
class PowerLog:
    """Samples float64 [n] in the order of time. ``marker``: bool [n], high while the board runs, or None."""

    where: str
    time_s: np.ndarray
    power_w: np.ndarray
    marker: np.ndarray | None


@dataclass(frozen=True)
class Window:
    """One stretch with the marker high: samples float64 [n], the first and the last at its edges."""

    time_s: np.ndarray
    power_w: np.ndarray

    @property
    def seconds(self) -> float:
        return float(self.time_s[-1] - self.time_s[0])

    @property
    def joules(self) -> float:
        """Trapezoids between neighbouring samples."""
        return float(np.trapezoid(self.power_w, self.time_s))


def read_log(path: Path | str, voltage: float | None = None) -> PowerLog:
    """Read a CSV file. ``voltage``: of the supply, where the meter logs current only. ``DataError`` in one
    sentence.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file.", HELP) from None
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DataError(f"{path}: not CSV ({error}).", HELP) from None
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    power = _check_columns(header, voltage, str(path))
    values = _numbers(rows[1:], header, str(path))
    if (back := np.flatnonzero(np.diff(values["time_s"]) <= 0)).size:
        at = values["time_s"][back[0] : back[0] + 2]
        raise DataError(
            f"{path}: time does not go on: {at[1]:.12g} s comes after {at[0]:.12g} s.",
            "Export the log again, in the order of time.",
        )
    with np.errstate(over="ignore"):
        watts = (
            values["power_w"]
            if power
            else values["current_a"] * (values["voltage_v"] if "voltage_v" in values else voltage)
        )
    if not np.isfinite(watts).all():
        raise DataError(f"{path}: current times voltage is more than a number can hold.", HELP)
    marker = values.get("marker")
    if marker is not None and not np.isin(marker, (0, 1)).all():
        raise DataError(f"{path}: the marker is {marker[~np.isin(marker, (0, 1))][0]:g}, not 0 or 1.", HELP)
    return PowerLog(str(path), values["time_s"], watts, None if marker is None else marker == 1)


def _check_columns(header: list[str], voltage: float | None, where: str) -> bool:
    """Whether the log has power itself; ``DataError`` if it cannot be known."""
    if "time_s" not in header or not {"power_w", "current_a"} & set(header):
        found = ", ".join(h for h in header if h)[:80] or "nothing"
        raise DataError(f"{where}: not a power log, its first line is: {found}.", HELP)
    if len(set(header)) != len(header):
        raise DataError(f"{where}: a column is there twice.", HELP)
    if "power_w" in header and voltage is not None:
        raise DataError(f"{where}: has power_w, so --voltage says nothing.", "Leave out --voltage.")
    if "power_w" not in header and ("voltage_v" in header) == (voltage is not None):
        which = (
            "has a column voltage_v, and --voltage was given too"
            if voltage is not None
            else "has current_a and no voltage"
        )
        raise DataError(
            f"{where}: {which}.", "Name the voltage once: in a column voltage_v or with --voltage."
        )
    return "power_w" in header


def _numbers(rows: list[list[str]], header: list[str], where: str) -> dict[str, np.ndarray]:
    """Column -> float64 [n], the known columns only."""
    wanted = [(name, header.index(name)) for name in COLUMNS if name in header]
    values = np.zeros((len(rows), len(wanted)))
    for i, row in enumerate(rows):
        for j, (name, column) in enumerate(wanted):
            try:
                values[i, j] = float(row[column])
            except (ValueError, IndexError):
                values[i, j] = np.nan
            if not np.isfinite(values[i, j]):
                raise DataError(f"{where}: sample {i + 1} has no number for {name}.", HELP)
    return {name: values[:, j] for j, (name, _) in enumerate(wanted)}


def windows(log: PowerLog) -> list[Window]:
    """Every stretch with the marker high; the whole log if it has no marker.

    An edge lies between two samples; it is taken to be in their middle, with the power of the one inside,
    because power and marker jump together. ``DataError`` without a rising and a falling edge, for gaps, and
    for too few samples.
    """
    if log.marker is None:
        return [_checked(log, Window(log.time_s, log.power_w))]
    edges = np.diff(log.marker.astype(np.int8))
    if not log.marker.any():
        raise DataError(
            f"{log.where}: the marker never rises.",
            "Connect the marker's wire, or log from before the board starts.",
        )
    if log.marker[0] or log.marker[-1]:
        edge, when = (
            ("rising", "before the board starts") if log.marker[0] else ("falling", "until the board is done")
        )
        raise DataError(
            f"{log.where}: the marker's {edge} edge is missing.",
            f"Log from {when}." if log.marker[0] else f"Log {when}.",
        )
    rises, falls = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [_checked(log, _cut(log, first, last)) for first, last in zip(rises, falls, strict=True)]


def _cut(log: PowerLog, before: int, last: int) -> Window:
    """From the middle between samples ``before`` and ``before + 1`` to the middle between ``last`` and ``last
    + 1``.
    """
    start, end = ((log.time_s[i] + log.time_s[i + 1]) / 2 for i in (before, last))
    inside = log.power_w[before + 1 : last + 1]
    return Window(
        np.concatenate(([start], log.time_s[before + 1 : last + 1], [end])),
        np.concatenate((inside[:1], inside, inside[-1:])),
    )


def _checked(log: PowerLog, window: Window) -> Window:
    if len(window.time_s) < LEAST_SAMPLES:
        raise DataError(
            f"{log.where}: {len(window.time_s)} samples while the board ran, at least {LEAST_SAMPLES} are "
            "needed.",
            "Sample more often, or profile more steps.",
        )
    distance, usual = np.diff(window.time_s), np.median(np.diff(log.time_s))
    if distance.max() > GAP * usual:
        at = int(distance.argmax())
        raise DataError(
            f"{log.where}: no samples from {window.time_s[at]:.12g} s to {window.time_s[at + 1]:.12g} s, "
            "where the "
            f"board ran (usual: one in {usual:.3g} s).",
            "Log again without gaps.",
        )
    return window
