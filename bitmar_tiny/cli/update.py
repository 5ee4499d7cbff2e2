# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny update"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..api.update import UpdateStatus, load_update, pack_update, send_update, update_status
from ..errors import ConfigError
from .app import Group, notes, print_json, results
from .common import (
    json_option,
    load_model,
    model_argument,
    open_target,
    port_options,
    progress_bars,
    say_next,
)

path = click.Path(path_type=Path)


@click.group(cls=Group)
def command() -> None:
    """Bring new weights to firmware that is in the field, safely.

    \b
    Example: bitmar-tiny update pack model.bitmar --project firmware -o new.update
             bitmar-tiny update send new.update --port /dev/ttyUSB0
    """


@command.command()
@model_argument
@click.option(
    "--project", type=path, required=True, help="What the firmware was generated as, with --updates."
)
@click.option("--key", type=path, help="PEM file of the private key, for firmware with --public-key.")
@click.option("-o", "--out", type=path, default=Path("model.update"), show_default=True)
@json_option
def pack(model: Path, project: Path, key: Path | None, out: Path, as_json: bool) -> None:
    """Write a frozen MODEL into a package for the firmware of a project.

    The model must have the configuration of the one that the project was generated for: only its weights are
    new.

    \b
    Example: bitmar-tiny update pack model.bitmar --project firmware -o new.update
    """
    package = pack_update(load_model(model, None), project, out, key)
    if as_json:
        print_json(
            {
                "written": str(out),
                "bytes": len(package.data),
                "model_sha256": package.model_sha256,
                "signed": package.signed,
            }
        )
        return
    signed = ", signed" if package.signed else ""
    notes.print(
        f"Wrote {out}: model {package.model_sha256[:12]}, {len(package.data):,} bytes{signed}.", markup=False
    )
    say_next("bitmar-tiny", "update", "send", out, "--port", "PORT")


@command.command()
@click.argument("package", type=path)
@click.option(
    "--no-restart", is_flag=True, help="Leave the board running: the model is tried at its next start."
)
@port_options
@json_option
def send(package: Path, no_restart: bool, port: str | None, line: dict[str, Any], as_json: bool) -> None:
    """Send a PACKAGE to a board, from where a lost connection stopped.

    The board checks it, restarts, has the new model prove itself, and goes back to the model before if it
    fails.

    \b
    Example: bitmar-tiny update send new.update --port /dev/ttyUSB0
    """
    loaded = load_update(package)
    with open_target(_port(port), None, line) as board, progress_bars() as bars:
        now = send_update(board, loaded, restart=not no_restart, progress=bars("bytes"))
        name = board.name
    if as_json:
        print_json({"port": name, "sent": loaded.model_sha256, **now.as_dict()})
    elif now.model_sha256 == loaded.model_sha256 and now.running != "factory":
        notes.print(f"{name}: model {now.model_sha256[:12]} runs, in slot {now.running}.", markup=False)
    else:
        notes.print(f"{name}: model {loaded.model_sha256[:12]} is tried at the next start.", markup=False)


@command.command()
@port_options
@json_option
def status(port: str | None, line: dict[str, Any], as_json: bool) -> None:
    """Show what lies in a board's slots, and which model runs.

    \b
    Example: bitmar-tiny update status --port /dev/ttyUSB0
    """
    with open_target(_port(port), None, line) as board:
        now = update_status(board)
    if as_json:
        print_json(now.as_dict())
    else:
        _print(now)


def _print(now: UpdateStatus) -> None:
    runs = "the firmware's own" if now.running == "factory" else f"in slot {now.running}"
    results.print(f"model {now.model_sha256[:12]} runs, {runs}", markup=False)
    for slot in now.slots:
        more = {
            "empty": "",
            "receiving": f", {slot.received:,} bytes so far",
            "on trial": f", {slot.tries} starts so far",
        }.get(slot.state, "")
        model = "" if slot.state == "empty" else f" (model {slot.model_sha256[:12]})"
        results.print(f"slot {slot.name}: {slot.state}{more}{model}", markup=False)


def _port(port: str | None) -> str:
    if not port:
        raise ConfigError(
            "No port was named.", "Name a board with --port; 'bitmar-tiny ports' shows what is there."
        )
    return port
