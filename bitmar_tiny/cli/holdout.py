# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny holdout"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..api.model import find_model
from ..errors import ConfigError
from ..report.show_once import show_once_tables
from .app import print_json, results
from .common import Real, json_option, on_option, progress_bars

SHOW_ONCE = "show-once"


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder of the prepared demo data, for a run that does not name its own.",
)
@click.option(
    "--task",
    type=click.Choice([SHOW_ONCE]),
    help="show-once: things that training never saw are shown once and named; one of them is asked in "
    "another view. RUN may also be a frozen model, or be left out, for the references alone.",
)
@click.option(
    "--things",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Pictures of things to show, as for `bitmar-tiny train` (default: those of the run); repeatable.",
)
@click.option(
    "--shown",
    multiple=True,
    type=click.IntRange(2),
    help="Things that are shown in a session (default: 5, 20 and 100); repeatable.",
)
@click.option(
    "--limit", type=click.IntRange(1), default=1000, show_default=True, help="Sessions of each row."
)
@click.option("--after", type=click.IntRange(0), default=0, help="Other episodes between showing and asking.")
@click.option(
    "--restart",
    is_flag=True,
    help="Turn the target off and on between showing and asking: what is asked is what its store kept. "
    "Needs golden (the default here), host or a board with a store.",
)
@click.option(
    "--dev", is_flag=True, help="Show the things that are kept for choosing settings, not the test's."
)
@click.option(
    "--twin",
    type=Real(0.01),
    metavar="MINUTES",
    help="Also train a convolutional prototypical network for so long on the same things, as a reference.",
)
@click.option(
    "--backbone",
    type=click.Path(path_type=Path),
    help="Also compare pictures by the vectors of this .onnx or .tflite backbone, as a reference.",
)
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    metavar="FILE.svg",
    help="Also draw one session of a keyed memory: what was shown, which slots were written, what was read.",
)
@on_option("Who answers (default: PyTorch for a run, golden for a frozen model)")
@json_option
def command(
    run: Path | None,
    data: Path | None,
    task: str | None,
    things: tuple[Path, ...],
    shown: tuple[int, ...],
    limit: int,
    after: int,
    restart: bool,
    dev: bool,
    twin: float | None,
    backbone: Path | None,
    figure: Path | None,
    on: str | None,
    as_json: bool,
) -> None:
    """Perplexity and alignment of a run on what it held out, beside the same weights with float activations,
    and how many pictures of that it names. Or the benchmark "show once" of its memory.

    RUN is the folder of a training run. The second column has the same ternary weights, tables and memory,
    but nothing that is computed is rounded: what int8 activations cost alone.

    \b
    Examples: bitmar-tiny holdout run
              bitmar-tiny holdout run --task show-once --shown 20 --limit 200 --dev
              bitmar-tiny holdout run --task show-once --on golden --restart --limit 50 --json
              bitmar-tiny holdout run --task show-once --shown 5 --limit 100 --figure session.svg
              bitmar-tiny holdout --task show-once --things node_modules/@iconify-json --twin 11
    """
    if task == SHOW_ONCE:
        from ..evaluate.show_once import SHOWN, measure_show_once

        with progress_bars() as bar:
            report = measure_show_once(
                find_model(run) if run else None,
                things,
                shown=shown or SHOWN,
                sessions=limit,
                on=on or "",
                after=after,
                restart=restart,
                dev=dev,
                twin=twin or 0,
                backbone=backbone,
                bar=bar,
            )
        if figure:
            _draw(run, things, figure, min(shown or SHOWN), dev)
        if as_json:
            print_json(report)
            return
        for part in show_once_tables(report):
            results.print(part)
        return
    if run is None:
        raise ConfigError("Which run?", "Name its folder: bitmar-tiny holdout RUN.")
    if things or shown or on or twin or backbone or restart or figure:
        raise ConfigError(
            "--things, --shown, --on, --twin, --backbone, --restart and --figure belong to a task.",
            "Add --task show-once.",
        )
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


def _draw(run: Path | None, things: tuple[Path, ...], figure: Path, shown: int, dev: bool) -> None:
    from ..evaluate.one_session import tell_session
    from ..report.session import write_session

    if run is None:
        raise ConfigError("--figure draws a session of a model.", "Name its run or its file.")
    write_session(tell_session(find_model(run), things, shown=shown, dev=dev), figure)


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
