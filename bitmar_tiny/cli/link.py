# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny link"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..api.board import LineTest, line_test, pulses
from ..errors import ConfigError
from .app import Group, notes, print_json, results
from .common import json_option, model_argument, named_model, open_target, port_options


@click.group(cls=Group)
def command() -> None:
    """The line to a board.

    \b
    Example: bitmar-tiny link test --port /dev/ttyUSB0
    """


@command.command()
@model_argument
@click.option(
    "--bytes",
    "size",
    default=200_000,
    show_default=True,
    type=click.IntRange(1, 1 << 26),
    help="To send in each direction.",
)
@click.option("--speeds", help="Other speeds to try, separated by commas.")
@click.option(
    "--control-lines", is_flag=True, help="Pulse DTR and RTS and see what they do. It may restart the board."
)
@port_options
@json_option
def test(
    model: Path,
    size: int,
    speeds: str | None,
    control_lines: bool,
    port: str | None,
    line: dict[str, Any],
    as_json: bool,
) -> None:
    """Measure round trips, throughput and errors of the line to a board.

    \b
    Examples: bitmar-tiny link test --port /dev/ttyUSB0
              bitmar-tiny link test --port /dev/ttyUSB0 --speeds 460800,921600,2000000 --control-lines
    """
    if not port:
        raise ConfigError(
            "No port was named.", "Name a board with --port; 'bitmar-tiny ports' shows what is there."
        )
    wanted = _speeds(speeds)
    with open_target(port, named_model(model, None, port), line) as board:
        with notes.status("") as status:
            tests, failed = line_test(board, size, wanted, status.update)
        control = pulses(board) if control_lines else {}
    if as_json:
        print_json(
            {
                "port": board.name,
                "tests": [t.as_dict() for t in tests],
                "failed": failed,
                "control_lines": control,
            }
        )
        return
    _print(board.name, tests)
    for speed, why in failed.items():
        notes.print(f"{speed} baud: {why}")
    for name, what in control.items():
        notes.print(f"A pulse on {name.upper()}: {what}.")


def _speeds(text: str | None) -> list[int]:
    try:
        return [int(s) for s in text.split(",")] if text else []
    except ValueError:
        raise ConfigError(
            f"--speeds {text}: not numbers separated by commas.", "Write them as 460800,921600."
        ) from None


def _print(port: str, tests: list[LineTest]) -> None:
    table = Table(
        "baud",
        "from the board",
        "to the board",
        "round trip, ms: least / median / p95",
        "wrong bytes",
        "damaged frames",
        "sent again",
        title=f"{port}: {tests[0].bytes:,} bytes each way (measured)",
    )
    for t in tests:
        table.add_row(
            str(t.baud or "-"),
            _rate(t, t.down),
            _rate(t, t.up),
            " / ".join(f"{ms:.2f}" for ms in t.round_ms),
            str(t.wrong_bytes),
            str(t.damaged),
            str(t.resent),
        )
    results.print(table)


def _rate(test: LineTest, rate: float) -> str:
    share = test.share(rate)
    return f"{rate / 1e3:,.0f} kB/s" + (f" ({share:.0%} of the line)" if share else "")
