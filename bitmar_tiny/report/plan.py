# SPDX-License-Identifier: Apache-2.0
"""A memory plan and its estimate, and what goes into a flash."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from bitmar_tiny.codegen.buffers import pad
from bitmar_tiny.codegen.estimate import Estimate
from bitmar_tiny.codegen.plan import Plan, human

from ..device.pieces import Piece
from .words import narrow, paragraph

__all__ = ["assumptions", "estimates_table", "flash_table", "human", "plan_table"]


def plan_table(plan: Plan) -> Table:
    """A memory plan, region by region."""
    table = Table(
        "region",
        "used",
        "of",
        "a token reads",
        "largest contents",
        title=f"Memory plan for {plan.board} (estimated)",
    )
    for region in (r for r in plan.regions if plan.bytes_in(r.name)):
        inside = sorted((p for p in plan.placements if p.region == region.name), key=lambda p: -p.size)
        top = ", ".join(f"{p.name} {human(pad(p.size))}" for p in inside[:4])
        table.add_row(
            region.name,
            human(plan.bytes_in(region.name)),
            human(region.size),
            human(round(sum(p.per_token for p in inside))),
            top,
        )
    return narrow(table)


def estimates_table(estimates: Iterable[Estimate]) -> Table:
    """How long a token takes, and what it waits for."""
    table = Table(
        "", "tokens in the window", "tokens/s", "memory alone", "bottleneck", title="One token (estimated)"
    )
    for e in estimates:
        table.add_row(e.what, str(e.context), f"{e.tokens_per_s:.1f}", f"{e.bound_per_s:.1f}", e.bottleneck)
    return narrow(table)


def assumptions(estimates: Iterable[Estimate]) -> str:
    """What estimates take for granted, each once, a paragraph each; "" if nothing."""
    return "\n".join(paragraph(text) for text in dict.fromkeys(e.assumed for e in estimates if e.assumed))


def flash_table(pieces: Iterable[Piece], board: str, baud: int) -> Table:
    """What is written where into a board's flash, and how long it takes."""
    table = Table(
        "piece",
        "file",
        "at",
        "size",
        "SHA-256",
        "s (estimated)",
        title=f"To be written to {board} at {baud} baud",
    )
    for p in pieces:
        table.add_row(
            p.name, str(p.path), f"{p.offset:#x}", human(len(p.data)), p.sha256[:16], f"{p.seconds(baud):.0f}"
        )
    return narrow(table)
