# SPDX-License-Identifier: Apache-2.0
"""Tables of the benchmark "show once", for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Column, Table

from .words import narrow


def with_interval(share: dict[str, Any] | None) -> str:
    """A share in percent with half of its interval's width: 64.3 ± 3.0."""
    if not share or share["share"] is None:
        return ""
    return f"{100 * share['share']:.1f} ± {50 * (share['high'] - share['low']):.1f}"


def show_once_tables(report: dict[str, Any]) -> Iterator[Table]:
    """What was answered, and what it is measured against; the controls; things that were never shown."""
    rows, side = report["rows"], report["side"]
    title = f"Show once, things of the {side}, % of sessions \\[measured]"
    answered = [r for r in rows if "generated" in r]
    head = (Column("things, asked in", no_wrap=False), "shown", "sessions")
    table = Table(
        *head, "name\nwritten", "name\nchosen", "chance", "pixels,\nnearest", "network", title=title
    )
    for r in rows:
        table.add_row(
            *_what(r),
            f"{r['sessions']:,}",
            with_interval(r.get("generated")),
            with_interval(r.get("choice")),
            f"{100 * r['chance']:.1f}",
            with_interval(r["pixels"]["colour"]),
            with_interval(r["twin"]),
        )
    yield narrow(table)
    if not answered:
        return
    names = ("memory off", "another's\nquestion", "names\nshuffled", "renamed:\nthe new one")
    table = Table(*head[:2], *names, title=f"Controls, answered by {report['on']}")
    for r in answered:
        table.add_row(*_what(r), *(with_interval(r[k]) for k in ("off", "another", "shuffled", "renamed")))
    yield narrow(table)
    names = ("said so", "said of\nwhat was shown", "area under\nthe curve")
    table = Table(*head[:2], *names, title='Never shown: "I don\'t know."')
    for r in answered:
        auc = "" if r["auc"] is None else f"{r['auc']:.3f}"
        table.add_row(*_what(r), with_interval(r["unknown"]), with_interval(r["doubted"]), auc)
    yield narrow(table)


def _what(row: dict[str, Any]) -> tuple[str, str]:
    return f"{row['things']}, {row['question']}", f"{row['shown']:,}"
