# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny curves"""

from __future__ import annotations

from pathlib import Path

import click

from ..api.training import training_figures
from .app import results


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--png", is_flag=True, help="PNG instead of SVG.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Folder of the pictures (default: the run's)."
)
def command(run: Path, png: bool, out: Path | None) -> None:
    """Draw a training run, finished or not: losses, alignment with interventions, memory slots, and E_q by
    epoch (figure 3).

    \b
    Example: bitmar-tiny curves run -o figures
    """
    for path in training_figures(run, out, "png" if png else "svg"):
        results.print(str(path), soft_wrap=True)
