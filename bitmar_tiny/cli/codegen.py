# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny codegen"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..api.board import load_board
from ..api.firmware import ecosystem_names, write_package, write_project
from ..errors import ConfigError
from ..report.plan import assumptions, estimates_table, plan_table
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
@board_option()
@click.option(
    "--as",
    "ecosystem",
    type=click.Choice(ecosystem_names()),
    help="Instead of --board: a library for any board, as an ecosystem expects to be handed one.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the project (default: firmware-BOARD, firmware-ECOSYSTEM).",
)
@click.option("--kernels", help="Kernel family (default: the board's first; with --as: portable).")
@head_bits_option
@memory_option
@click.option(
    "--features",
    type=click.Path(path_type=Path),
    help="Folder of 'bitmar-tiny features': take its .tflite or .onnx backbone along (Linux boards).",
)
@click.option(
    "--updates",
    is_flag=True,
    help="The firmware takes new weights over the link: see 'bitmar-tiny update' (Linux boards, ESP32).",
)
@click.option(
    "--public-key",
    type=click.Path(path_type=Path),
    help="PEM file (P-256): with --updates, take only weights that its private key signed.",
)
@preset_option("Use random weights of a preset instead of MODEL.")
@json_option
def command(
    model: Path,
    board: str | None,
    ecosystem: str | None,
    out: Path | None,
    kernels: str | None,
    head_bits: str,
    memory: str,
    features: Path | None,
    updates: bool,
    public_key: Path | None,
    preset_name: str | None,
    as_json: bool,
) -> None:
    """Write a standalone C project for a frozen MODEL and a board, or a library for an ecosystem.

    The memory plan comes first: a model that does not fit is refused before anything is written.

    \b
    Example: bitmar-tiny codegen --board rpi-zero2 model.bitmar -o firmware
             bitmar-tiny codegen --board rpi-zero2 model.bitmar --features features -o firmware
             bitmar-tiny codegen --as arduino model.bitmar -o BitMar
    """
    if bool(board) == bool(ecosystem):
        raise ConfigError(
            "Both --board and --as say what the C is for." if board else "Nothing says what the C is for.",
            "Name a board with --board, or an ecosystem with --as.",
        )
    if ecosystem and features:
        raise ConfigError("A library of --as cannot run a backbone file.", "Leave out --features.")
    if ecosystem and (updates or public_key):
        raise ConfigError("A library of --as takes no updates.", "Leave out --updates and --public-key.")
    options: dict[str, Any] = {"kernels": kernels, "head_bits": head_bits, "memory": memory}
    out = out or Path(f"firmware-{board or ecosystem}")
    if ecosystem:
        project = write_package(load_model(model, preset_name), ecosystem, out, **options)
    else:
        profile = load_board(board)
        options |= {"features": features, "updates": updates, "public_key": public_key}
        project = write_project(load_model(model, preset_name), profile, out, **options)
    if as_json:
        print_json(
            {
                "project": str(project.path),
                **project.board.platform.manifest,
                "kernels": project.family,
                "head_bits": head_bits,
                "plan": project.plan.as_dict(),
                "estimates": [e.as_dict() for e in project.estimates],
                "memory": project.memory.as_dict(),
                "picture": project.picture.as_dict(),
            }
            | ({"thing": project.thing.as_dict()} if project.thing else {})
        )
        return
    results.print(plan_table(project.plan))
    if project.estimates:
        results.print(estimates_table(project.estimates))
    if assumed := assumptions(project.estimates):
        notes.print(assumed, markup=False)
    notes.print(project.memory.sentence, markup=False)
    notes.print(project.picture.sentence, markup=False)
    if project.thing:
        notes.print(project.thing.sentence, markup=False)
    notes.print(f"Wrote {project.path} ({project.family} kernels).", markup=False)
    notes.print(f"Next: {project.board.platform.next_step(project.path)}", markup=False)
