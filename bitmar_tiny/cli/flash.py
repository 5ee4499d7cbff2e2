# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny flash"""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from ..api.board import BoardProfile, load_board
from ..api.firmware import APP, MODEL, Piece, board_image, copy_project, flash_pieces, flash_project
from ..errors import ConfigError
from ..report.plan import flash_table
from .app import notes, print_json, results
from .common import board_option, json_option


@click.command()
@click.argument("project", type=click.Path(path_type=Path), required=False)
@board_option(required=True)
@click.option(
    "--port",
    help="Serial port: /dev/ttyUSB0, rfc2217://HOST:PORT, or replay:FILE. Not needed with --dry-run.",
)
@click.option(
    "--drive",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that the boot loader's drive is mounted at (default: it is looked for).",
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
    drive: Path | None,
    record_file: Path | None,
    parts: str,
    baud: int | None,
    no_reset: bool,
    no_verify: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write the model and the program of a PROJECT (default: firmware-BOARD) into a board's flash.

    ESP32: what the flash holds already is not written again; what is written is read back by hash. Pico: the
    .uf2 file is copied to the drive that shows up when BOOTSEL is held while the board is plugged in.

    \b
    Examples: bitmar-tiny flash --board esp32-s3-n16r8 --dry-run
              bitmar-tiny flash --board esp32-s3-n16r8 --port /dev/ttyUSB0
              bitmar-tiny flash --board pico2
    """
    profile = load_board(board)
    project = project or Path(f"firmware-{profile.name}")
    if profile.uf2:
        if port or record_file or baud or parts != "all" or no_reset or no_verify:
            raise ConfigError(
                f"The program for {profile.name} is copied to a drive, all at once.",
                "Give no other options than --drive, --dry-run and --json.",
            )
        _copy(project, profile, drive, dry_run, as_json)
        return
    if drive:
        raise ConfigError(f"Board {profile.name} has no drive.", "Name its --port.")
    chosen = (MODEL, APP) if parts == "all" else (parts,)
    pieces = flash_pieces(project, profile, chosen)
    if not as_json:
        results.print(flash_table(pieces, profile.name, baud or profile.flash.baud))
    if dry_run:
        if as_json:
            print_json({"board": profile.name, "dry_run": True, "pieces": [p.as_dict() for p in pieces]})
        return
    if port is None:
        raise ConfigError(
            "No port was named.", "Add --port /dev/ttyUSB0, or --dry-run to see what would be written."
        )
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=notes, transient=True, disable=as_json) as bar:
        tasks = {p.name: bar.add_task(f"{p.name}: waiting", total=1.0) for p in pieces}

        def report(piece: Piece, state: str, share: float) -> None:
            bar.update(tasks[piece.name], description=f"{piece.name}: {state}", completed=share)

        done = flash_project(
            project,
            profile,
            port,
            parts=chosen,
            baud=baud,
            reset=not no_reset,
            verify=not no_verify,
            record=record_file,
            report=report,
        )
    if as_json:
        print_json(done)
        return
    for piece in done["pieces"]:
        read_back = ", read back" if piece["state"] == "written" and not no_verify else ""
        notes.print(f"{piece['name']}: {piece['state']}{read_back}.")


def _copy(project: Path, board: BoardProfile, drive: Path | None, dry_run: bool, as_json: bool) -> None:
    """To the drive of a boot loader."""
    if dry_run:
        image = board_image(project, board)
        done = {"board": board.name, "dry_run": True, "file": str(image), "bytes": image.stat().st_size}
    else:
        done = copy_project(project, board, drive)
    if as_json:
        print_json(done)
        return
    where = f"would go to the drive of a {board.uf2.drive}" if dry_run else f"copied to {done['drive']}"
    notes.print(f"{done['file']}, {done['bytes']:,} bytes: {where}.", markup=False)
