# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny profile"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bitmar_tiny.codegen.boards import load_board

from ..errors import ConfigError
from ..profile.recording import Recording
from ..report.profile import Files, document, energy_of, report
from ..run.device import DeviceSession
from ..run.profile import ROUNDS, TOKENS, record
from ..run.session import is_local
from .app import notes, results
from .common import (
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
@click.option(
    "--voltage", type=click.FloatRange(0.1, 1000), help="Of a power log that holds only the current."
)
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
    baud: int,
    patience_s: float | None,
    record_file: Path | None,
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
    if is_local(target):
        raise ConfigError(
            f"{target} is no firmware: it has no clock to read.", "Choose host, a board or a port with --on."
        )
    leave_out_memory(target)
    frozen = named_model(model, preset_name, target)
    with open_target(
        target, frozen, baud, patience_s, record_file, flags=("-DBM_PROFILE",), memory=memory
    ) as board:
        recording, overhead = _run(board, tokens, rounds, _plan(project, board), not as_json)
    profile = load_board(board.identity.board) if _is_known(board.identity.board) else None
    energy = energy_of(recording, profile.power if profile else None, power_log, voltage)
    tables = report(recording, Files(json=out, csv=csv, trace=trace, html=html), energy)
    if as_json:
        click.echo(document(recording, energy), nl=False)
        return
    results.print(*tables)
    if recording.label != "measured":
        notes.print("Run under an emulator: its times say nothing about the board.")
    elif overhead is not None:
        notes.print(f"To be measured made a step {overhead - 1:+.1%} longer (measured).")


def _run(
    board: DeviceSession, tokens: int, rounds: int, plan: dict[str, Any] | None, show: bool
) -> tuple[Recording, float | None]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=notes, transient=True, disable=not show) as bar:
        task = bar.add_task(f"profile {board.describe()}", total=rounds)
        return record(
            board,
            tokens,
            rounds,
            label="simulated" if board.emulated else "measured",
            plan=plan,
            progress=lambda done: bar.update(task, completed=done),
        )


def _plan(project: Path | None, board: DeviceSession) -> dict[str, Any] | None:
    """plan.json of the board's project; ``ConfigError`` if it is another's."""
    if project is None:
        return board.plan
    try:
        manifest = json.loads((project / "manifest.json").read_text())
        plan = json.loads((project / "plan.json").read_text())
        build = manifest["build"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{project}: not a generated project.", "Make one with 'bitmar-tiny codegen --board BOARD'."
        ) from None
    if build != board.identity.build:
        raise ConfigError(
            f"{project}: the board's firmware is of another build ({board.identity.build}) than this "
            f"project ({build}).",
            "Build and flash the project, or leave out --project.",
        )
    return plan


def _is_known(name: str) -> bool:
    try:
        load_board(name)
    except ConfigError:
        return False
    return True
