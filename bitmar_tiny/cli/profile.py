"""bitmar-tiny profile"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from rich.table import Table

from codegen.boards import load_board
from codegen.emit import emit

from ..bench.profile import profile_here
from ..errors import ConfigError
from .app import notes, print_json, results
from .common import head_bits_option, json_option, load_model, memory_option, model_argument, preset_option


@click.command()
@model_argument
@click.option("--board", default="host", show_default=True, metavar="NAME", help="A Linux board whose programs run on this machine.")
@click.option("--kernels", help="Kernel family (default: the board's first).")
@head_bits_option
@memory_option
@preset_option("Profile a preset with random weights instead of MODEL.")
@json_option
def command(model: Path, board: str, kernels: str | None, head_bits: str, memory: str, preset_name: str | None, as_json: bool) -> None:
    """Measure where the time and the memory of the generated program go, beside what the plan predicted.

    \b
    Examples: bitmar-tiny profile model.bitmar
              bitmar-tiny profile --preset paper --board host-avx512 --memory sd
    """
    target = load_board(board)
    if target.os != "linux":
        raise ConfigError(f"Programs for {target.name} do not run here.", "Choose a Linux board, host for example.")
    with tempfile.TemporaryDirectory() as folder:
        project = emit(load_model(model, preset_name), target, Path(folder) / "project", kernels, head_bits, memory)
        found = profile_here(project)
    if as_json:
        print_json(found.as_dict())
        return
    if found.label != "measured":
        notes.print("Run under an emulator: its times say nothing about the board.")
    table = Table("", "predicted (estimated)", found.label, title=f"{project.blob.digest[:12]} on {target.name}, {project.family} kernels")
    for row in found.rows():
        table.add_row(*row)
    results.print(table)
