# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny codegen"""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.buffers import pad
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.estimate import Estimate
from bitmar_tiny.codegen.plan import Plan, human

from .app import notes, print_json, results
from .common import (
    board_option,
    head_bits_option,
    json_option,
    load_model,
    memory_option,
    model_argument,
    preset_option,
)


@click.command()
@model_argument
@board_option(required=True)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Folder of the project (default: firmware-BOARD)."
)
@click.option("--kernels", help="Kernel family (default: the board's first).")
@head_bits_option
@memory_option
@click.option(
    "--features",
    type=click.Path(path_type=Path),
    help="Folder of 'bitmar-tiny features': take its .tflite or .onnx backbone along (Linux boards).",
)
@preset_option("Use random weights of a preset instead of MODEL.")
@json_option
def command(
    model: Path,
    board: str,
    out: Path | None,
    kernels: str | None,
    head_bits: str,
    memory: str,
    features: Path | None,
    preset_name: str | None,
    as_json: bool,
) -> None:
    """Write a standalone C project for a frozen MODEL and a board.

    The memory plan comes first: a model that does not fit is refused before anything is written.

    \b
    Example: bitmar-tiny codegen --board rpi-zero2 model.bitmar -o firmware
             bitmar-tiny codegen --board rpi-zero2 model.bitmar --features features -o firmware
    """
    profile = load_board(board)
    project = emit(
        load_model(model, preset_name),
        profile,
        out or Path(f"firmware-{profile.name}"),
        kernels,
        head_bits,
        memory,
        features,
    )
    if as_json:
        print_json(
            {
                "project": str(project.path),
                "kernels": project.family,
                "head_bits": head_bits,
                "plan": project.plan.as_dict(),
                "estimates": [e.as_dict() for e in project.estimates],
                "memory": project.memory.as_dict(),
            }
        )
        return
    print_plan(project.plan)
    if project.estimates:
        print_estimates(project.estimates)
    notes.print(project.memory.sentence, soft_wrap=True)
    notes.print(
        f"Wrote {project.path} ({project.family} kernels). Next: {profile.platform.next_step(project.path)}",
        soft_wrap=True,
    )


def print_plan(plan: Plan) -> None:
    """The memory plan, region by region."""
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
            human(round(sum(p.per_token for p in plan.placements if p.region == region.name))),
            top,
        )
    results.print(table)


def print_estimates(estimates: list[Estimate]) -> None:
    """How long a token takes, and what it waits for."""
    table = Table(
        "", "tokens in the window", "tokens/s", "memory alone", "bottleneck", title="One token (estimated)"
    )
    for e in estimates:
        table.add_row(e.what, str(e.context), f"{e.tokens_per_s:.1f}", f"{e.bound_per_s:.1f}", e.bottleneck)
    results.print(table)
