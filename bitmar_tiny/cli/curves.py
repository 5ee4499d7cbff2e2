# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny curves"""

from __future__ import annotations

from pathlib import Path

import click

from ..api.training import training_figures
from .app import print_json, results
from .common import json_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--png", is_flag=True, help="PNG instead of SVG.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Folder of the pictures (default: the run's)."
)
@json_option
def command(run: Path, png: bool, out: Path | None, as_json: bool) -> None:
    """Draw a training run, finished or not, against the tokens that it has read: losses, perplexity,
    alignment with interventions, memory slots, E_q; and E_q by epoch (figure 3).

    \b
    Example: bitmar-tiny curves run -o figures
    """
    paths = [str(path) for path in training_figures(run, out, "png" if png else "svg")]
    if as_json:
        print_json({"figures": paths})
        return
    for path in paths:
        results.print(path, soft_wrap=True)
