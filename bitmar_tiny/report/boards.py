# SPDX-License-Identifier: Apache-2.0
"""Board profiles, and how fast a model would be on each, beside what others published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from bitmar_tiny.codegen.boards import Board
from bitmar_tiny.codegen.speeds import BoardSpeed

from .plan import human
from .words import narrow, paragraph


def boards_text(boards: Iterable[Board]) -> str:
    """Board profiles, one paragraph each: kernels, memory, compilers."""
    return "\n".join(_board(b) for b in boards)


def _board(b: Board) -> str:
    memory = ", ".join(f"{r.name} {human(r.size)} ({', '.join(r.holds)})" for r in b.regions)
    facts = {"kernels": ", ".join(b.kernels), "compilers": ", ".join(b.compilers), "memory": memory}
    lines = [paragraph(f"{b.name}: {b.title}", hang=4)]
    return "\n".join(lines + [paragraph(f"{name}: {fact}", 4, 4) for name, fact in facts.items()])


def speeds_table(speeds: Sequence[BoardSpeed]) -> Table:
    """One model on every board of which there are figures, a row each."""
    known = [s for s in speeds if s.short]
    table = Table(title="One token (estimated)")
    table.add_column("board", no_wrap=True)
    for head in ("kernels", f"tokens/s,\nwindow {known[0].short.context}", "full\nwindow", "mJ"):
        table.add_column(head)
    table.add_column("what takes longest")
    for s in known:
        full, mj = f"{s.full.tokens_per_s:.1f}" if s.full else "", "" if s.mj is None else f"{s.mj:.1f}"
        table.add_row(s.board.name, s.family, f"{s.short.tokens_per_s:.1f}", full, mj, s.short.bottleneck)
    return narrow(table)


def speeds_text(speeds: Sequence[BoardSpeed]) -> str:
    """What the figures of a board assume; which boards cannot hold the model, and of which there are none."""
    lines = [
        paragraph(f"{s.board.name}: {why}", hang=4)
        for s in speeds
        if (why := s.refused or (s.short.assumed if s.short else ""))
    ]
    without = [s.board.name for s in speeds if not s.short and not s.refused]
    if without:
        lines.append(
            paragraph(f"It fits, but there are no figures of the speed: {', '.join(without)}.", hang=4)
        )
    return "\n".join(lines)


def neighbours_table(rows: Sequence[dict[str, Any]]) -> Table:
    """What others published; beside it this model's tokens a second on that board if a token read as much."""
    table = Table(title="Neighbours", show_lines=True)
    for head in (
        "board, model and source",
        "MB a token",
        "tokens/s\n(published)",
        "ours at as\nmany bytes\n(estimated)",
    ):
        table.add_column(head)
    for row in rows:
        numbers = [row["read_mb"], row["tokens_per_s"], row["ours_at_these_bytes"]]
        cells = ("" if n is None else f"{n:.3g}" for n in numbers)
        table.add_row(f"{row['board']}: {row['project']}, {row['model']}; {row['source']}", *cells)
    return narrow(table)


def errors_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The estimate beside what others measured of their own firmware."""
    table = Table(title="Their firmware by our rates", show_lines=True)
    for head in ("what is read, and source", "MB", "ms\n(measured\nby them)", "ms\n(estimated)", "off"):
        table.add_column(head)
    for row in rows:
        numbers = [f"{row[k]:.3g}" for k in ("read_mb", "measured_ms", "estimated_ms")]
        table.add_row(f"{row['board']}: {row['what']}; {row['source']}", *numbers, f"{row['off']:+.0%}")
    return narrow(table)
