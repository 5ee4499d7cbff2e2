# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny ports"""

from __future__ import annotations

import click
from rich.table import Table

from ..api.board import SerialPort, serial_ports
from .app import notes, print_json, results
from .common import json_option


@click.command()
@click.argument("ports", nargs=-1, metavar="[PORT]...")
@json_option
def command(ports: tuple[str, ...], as_json: bool) -> None:
    """List the serial ports: what is on them, who uses them, and whether you may.

    No port is opened: that would reset many boards. Name a PORT to see it alone, or one that is not found by
    itself, a pseudo terminal for example.

    \b
    Examples: bitmar-tiny ports
              bitmar-tiny ports /dev/pts/3 --json
    """
    found = serial_ports(ports)
    if as_json:
        print_json([p.as_dict() for p in found])
        return
    if not found:
        notes.print(
            "No serial port. Plug a board in; if none appears, try a cable that carries data, then 'sudo "
            "dmesg | tail'."
        )
        return
    table = Table("port", "what", "used by", "you may use it", "always the same name")
    for p in found:
        table.add_row(p.device, _what(p), _users(p), p.refused or "yes", "\n".join(p.links))
    results.print(table)


def _what(p: SerialPort) -> str:
    return "\n".join(line for line in (p.description, p.hint, p.usb and f"USB {p.usb}") if line)


def _users(p: SerialPort) -> str:
    lines = [f"{h.program} (process {h.pid}, {h.how})" for h in p.holders]
    if not lines and p.hidden:
        lines = ["nobody that you may see"]
    return "\n".join(lines) or "nobody"
