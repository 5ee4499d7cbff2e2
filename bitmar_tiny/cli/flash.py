# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny flash"""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.plan import human

from ..device.esptool import Port
from ..device.flash import write
from ..device.pieces import APP, MODEL, Piece, collect
from ..device.record import Playback, Record
from ..errors import ConfigError
from .app import notes, print_json, results
from .common import board_option, json_option


@click.command()
@click.argument("project", type=click.Path(path_type=Path), required=False)
@board_option(required=True)
@click.option(
    "--port", help="Serial port, /dev/ttyUSB0 for example, or replay:FILE. Not needed with --dry-run."
)
@click.option(
    "--record",
    "record_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what esptool is asked and says into this file.",
)
@click.option("--model", "parts", flag_value=MODEL, help="The model alone.")
@click.option("--app", "parts", flag_value=APP, help="The program alone (boot loader, partition table, app).")
@click.option("--all", "parts", flag_value="all", default="all", help="Both (the default).")
@click.option(
    "--baud", type=click.IntRange(1200, 4_000_000), help="Speed while flashing (default: the board's)."
)
@click.option(
    "--no-reset",
    is_flag=True,
    help="Do not reset the chip: it is in the boot loader already, and stays there.",
)
@click.option("--no-verify", is_flag=True, help="Trust the write, do not read back.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and stop.")
@json_option
def command(
    project: Path | None,
    board: str,
    port: str | None,
    record_file: Path | None,
    parts: str,
    baud: int | None,
    no_reset: bool,
    no_verify: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write the model and the program of a PROJECT (default: firmware-BOARD) into a board's flash.

    What the flash holds already is not written again; what is written is read back by hash.

    \b
    Examples: bitmar-tiny flash --board esp32-s3-n16r8 --dry-run
              bitmar-tiny flash --board esp32-s3-n16r8 --port /dev/ttyUSB0
    """
    profile = load_board(board)
    project = project or Path(f"firmware-{profile.name}")
    pieces = collect(project, profile, (MODEL, APP) if parts == "all" else (parts,))
    speed = baud or profile.flash.baud
    if not as_json:
        _print_plan(pieces, profile.name, speed)
    if dry_run:
        if as_json:
            print_json({"board": profile.name, "dry_run": True, "pieces": [p.as_dict() for p in pieces]})
        return
    if port is None:
        raise ConfigError(
            "No port was named.", "Add --port /dev/ttyUSB0, or --dry-run to see what would be written."
        )
    record, replay = _tape(port, record_file)
    port = replay.head.get("port", port) if replay else port
    line = Port(
        port,
        profile.chip,
        speed,
        project / "flash.log",
        "no-reset" if no_reset else "default-reset",
        record,
        replay,
    )
    done = _write(pieces, profile, line, not no_verify, show=not as_json)
    if as_json:
        print_json({"board": profile.name, "port": port, "pieces": done})
        return
    for piece in done:
        notes.print(
            f"{piece['name']}: "
            f"{piece['state']}{', read back' if piece['state'] == 'written' and not no_verify else ''}."
        )


def _tape(port: str, record_file: Path | None) -> tuple[Record | None, Playback | None]:
    """What is written of this command, and the record that it is played back from."""
    replay = Playback(Path(port.removeprefix("replay:"))) if port.startswith("replay:") else None
    record = Record(record_file) if record_file else None
    if record:
        record.begin({"port": port})
    return record, replay


def _print_plan(pieces: list[Piece], board: str, baud: int) -> None:
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
    results.print(table)


def _write(pieces: list[Piece], profile, line: Port, verify: bool, show: bool) -> list[dict]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=notes, transient=True, disable=not show) as bar:
        tasks = {p.name: bar.add_task(f"{p.name}: waiting", total=1.0) for p in pieces}
        return write(
            pieces,
            profile,
            line,
            verify,
            lambda piece, state, share: bar.update(
                tasks[piece.name], description=f"{piece.name}: {state}", completed=share
            ),
        )
