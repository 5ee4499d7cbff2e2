# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny build"""

from __future__ import annotations

from pathlib import Path

import click

from ..api.firmware import build_project
from .app import notes, print_json
from .common import json_option


@click.command()
@click.argument("project", type=click.Path(path_type=Path))
@click.option("--compiler", help="gcc or zig (default: the first of the board's that is installed).")
@click.option("--opt", default="-O2", show_default=True, help="Optimisation flag.")
@json_option
def command(project: Path, compiler: str | None, opt: str, as_json: bool) -> None:
    """Compile a generated PROJECT for its board.

    \b
    Example: bitmar-tiny build firmware --compiler zig
    """
    program = build_project(project, compiler=compiler, opt=opt)
    if as_json:
        print_json(
            {
                "program": str(program.path),
                **({"image": str(program.image)} if program.image else {}),
                "compiler": program.compiler,
                "opt": opt,
                "bytes": program.path.stat().st_size,
            }
        )
        return
    size = program.path.stat().st_size
    notes.print(f"Built {program.path} with {program.compiler} {opt}, {size:,} bytes.", markup=False)
    if program.image:
        notes.print(f"For the board: {program.image}, {program.image.stat().st_size:,} bytes.", markup=False)
