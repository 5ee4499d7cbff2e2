# SPDX-License-Identifier: Apache-2.0
"""Tables of the benchmark "show once", for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rich.table import Table

from .words import narrow


def with_interval(share: dict[str, Any] | None) -> str:
    """A share in percent with half of its interval's width: 64.3 ±3.0."""
    if not share or share["share"] is None:
        return ""
    return f"{100 * share['share']:.1f} ±{50 * (share['high'] - share['low']):.1f}"


def show_once_tables(report: dict[str, Any]) -> Iterator[Table]:
    """What was answered, and what it is measured against; the controls; things that were never shown."""
    rows, by = report["rows"], report["on"]
    asked = f", {report['after']} other episodes later" if report["after"] else ""
    asked += ", after a restart" if report["restart"] else ""
    answered = [r for r in rows if "generated" in r]
    yield _table(
        rows,
        f"Show once, things of the {report['side']}{asked}, % of sessions \\[measured]",
        {
            "sessions": lambda r: f"{r['sessions']:,}",
            "name\nwritten": lambda r: with_interval(r.get("generated")),
            "name\nchosen": lambda r: with_interval(r.get("choice")),
            "chance": lambda r: f"{100 * r['chance']:.1f}",
            "pixels,\nnearest": lambda r: with_interval(r["pixels"]["colour"]),
            f"{report['backbone']},\nnearest": lambda r: with_interval(r["backbone"]),
            "network": lambda r: with_interval(r["twin"]),
        },
    )
    if not answered:
        return
    yield _table(
        answered,
        f"Controls, names written by {by}",
        {
            "memory off": lambda r: with_interval(r["off"]),
            "another's\nquestion": lambda r: with_interval(r["another"]),
            "names\nshuffled": lambda r: with_interval(r["shuffled"]),
            "renamed:\nthe new one": lambda r: with_interval(r["renamed"]),
        },
    )
    yield _table(
        answered,
        'Never shown: "I don\'t know."',
        {
            "said so": lambda r: with_interval(r["unknown"]),
            "said of what\nwas shown": lambda r: with_interval(r["doubted"]),
            "area under\nthe curve": lambda r: _area(r["auc"]),
            "of the\nread": lambda r: _area(r["auc_read"]),
            "of the\nnetwork": lambda r: _area(r["areas"].get("twin")),
        },
    )


def _area(area: float | None) -> str:
    return "" if area is None else f"{area:.3f}"


def _table(rows: list[dict[str, Any]], title: str, columns: dict[str, Callable[[Any], str]]) -> Table:
    """One row each; a column in which nothing stands is left out."""
    columns = {name: cell for name, cell in columns.items() if any(map(cell, rows))}
    table = Table("things, asked in", "shown", *columns, title=title)
    for r in rows:
        what = f"{r['things']}, {r['question']}"
        table.add_row(what, f"{r['shown']:,}", *(cell(r) for cell in columns.values()))
    return narrow(table)
