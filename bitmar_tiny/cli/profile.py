# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny profile"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ..api.profile import ROUNDS, TOKENS, need_firmware, profile_session
from ..report.profile import Files, document, energy_of, power_of, report
from .app import notes, results
from .common import (
    Real,
    hidden,
    json_option,
    leave_out_memory,
    line_options,
    memory_option,
    model_argument,
    named_model,
    on_option,
    one_target,
    open_target,
    preset_option,
)

file = click.Path(path_type=Path, dir_okay=False)


@click.command()
@model_argument
@click.option(
    "--tokens",
    default=TOKENS,
    show_default=True,
    type=click.IntRange(2, 10_000),
    help="To prefill, and to decode, in every stream.",
)
@click.option("--rounds", default=ROUNDS, show_default=True, type=click.IntRange(1, 1000), help="Streams.")
@click.option(
    "--project",
    type=click.Path(path_type=Path, file_okay=False),
    help="Project that the board's firmware is of, for what its plan predicted.",
)
@click.option("-o", "--out", type=file, help="Write the profile into this JSON file, which 'compare' reads.")
@click.option("--csv", type=file, help="Write every step, section and part into this file.")
@click.option("--trace", type=file, help="Write a trace for ui.perfetto.dev or chrome://tracing.")
@click.option("--html", type=file, help="Write a report with plots.")
@click.option(
    "--power-log", type=file, help="CSV of a power meter, for the energy of a token (docs/how-to/profile.md)."
)
@click.option("--voltage", type=Real(0.1, 1000), help="Of a power log that holds only the current.")
@memory_option
@preset_option("Profile a preset with random weights instead of MODEL.")
@on_option("Where the model runs (default: host)")
@line_options
@hidden("--port")
@json_option
def command(
    model: Path,
    tokens: int,
    rounds: int,
    project: Path | None,
    out: Path | None,
    csv: Path | None,
    trace: Path | None,
    html: Path | None,
    power_log: Path | None,
    voltage: float | None,
    memory: str,
    preset_name: str | None,
    on: str | None,
    line: dict[str, Any],
    port: str | None,
    as_json: bool,
) -> None:
    """Measure where the time of a token goes on a board, layer by layer, beside what the plan predicted.

    Without --on: firmware for this computer, built and started here. The board's memory is afterwards what it
    was before.

    \b
    Examples: bitmar-tiny profile model.bitmar --html profile.html
              bitmar-tiny profile --on /dev/ttyUSB0 --project firmware-esp32-s3-n16r8 -o board.json
    """
    target = one_target(on=on, port=port) or "host"
    need_firmware(target)
    leave_out_memory(target)
    frozen = named_model(model, preset_name, target)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with open_target(target, frozen, line, marks=True, memory_in=memory) as board:
        with Progress(*columns, console=notes, transient=True, disable=as_json) as bar:
            task = bar.add_task(f"profile {board.describe()}", total=rounds)
            recording, overhead = profile_session(
                board, tokens, rounds, project, lambda done: bar.update(task, completed=done)
            )
    energy = energy_of(recording, power_of(recording), power_log, voltage)
    tables = report(recording, Files(json=out, csv=csv, trace=trace, html=html), energy)
    if as_json:
        click.echo(document(recording, energy), nl=False)
        return
    results.print(*tables)
    if recording.label != "measured":
        notes.print("Run under an emulator: its times say nothing about the board.")
    elif overhead is not None:
        notes.print(f"To be measured made a step {overhead - 1:+.1%} longer (measured).")
