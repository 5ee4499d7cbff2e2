# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny holdout"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from .app import print_json, results
from .common import json_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder of the prepared demo data, for a run that does not name its own.",
)
@json_option
def command(run: Path, data: Path | None, as_json: bool) -> None:
    """Perplexity and alignment of a run on what it held out, beside the same weights with float activations,
    and how many pictures of that it names.

    RUN is the folder of a training run. The second column has the same ternary weights, tables and memory,
    but nothing that is computed is rounded: what int8 activations cost alone.

    \b
    Example: bitmar-tiny holdout run
    """
    from ..evaluate.activations import measure_holdout

    report = measure_holdout(run, data)
    if as_json:
        print_json(report)
        return
    results.print(holdout_table(report))
    if names := report["names"]:
        results.print(
            f"Names of {names['pictures']:,} held-out pictures: {names['exact']:.1%} exact, "
            f"{names['iou']:.3f} word overlap (measured)."
        )


def holdout_table(report: dict[str, Any]) -> Table:
    """Perplexity by kind of stream, and the alignment."""
    table = Table(
        "held out",
        "tokens",
        "quantised",
        "float activations",
        "quantised / float",
        title="perplexity \\[measured]",
    )
    for kind in ("captions", "text"):
        if kind in report["quantised"]:
            q, f = report["quantised"][kind], report["float_activations"][kind]
            table.add_row(
                kind,
                f"{q['tokens']:,}",
                f"{q['perplexity']:.3f}",
                f"{f['perplexity']:.3f}",
                f"{report['ratio'][kind]:.4f}",
            )
    if "alignment" in report["quantised"]:
        table.add_row(
            "alignment (cosine)",
            "",
            f"{report['quantised']['alignment']:.3f}",
            f"{report['float_activations']['alignment']:.3f}",
            "",
        )
    return table
