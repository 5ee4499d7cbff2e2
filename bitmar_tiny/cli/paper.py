# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny paper"""

from __future__ import annotations

from pathlib import Path

import click

from ..api.training import zero_fraction_figure
from ..errors import ConfigError
from ..evaluate.report import load_report
from ..extras import need
from ..report.words import narrow
from .app import Group, notes, print_json, results
from .common import json_option, keep_option, keeping, model_argument, progress_bars

path = click.Path(path_type=Path)


@click.group(cls=Group)
def command() -> None:
    """The paper's tables and figures from our own results, beside what was published.

    \b
    Example: bitmar-tiny paper table 1 results.json
    """


@command.command()
@click.argument("number", type=click.Choice(["1", "2", "3", "4"]))
@click.argument("reports", type=path, nargs=-1, metavar="[RESULTS]...")
@json_option
def table(number: str, reports: tuple[Path, ...], as_json: bool) -> None:
    """Table NUMBER of the paper with a column or row for every RESULTS file of 'eval --json' (3 and 4: of
    'eval --ablate memory --json').

    \b
    Examples: bitmar-tiny eval model.bitmar boolq commonsenseqa --json > results.json
              bitmar-tiny paper table 1 results.json
    """
    from ..report.paper import TABLES

    shown, doubts = TABLES[number]([load_report(p, number in "34") for p in reports])
    if as_json:
        columns = [[str(cell) for cell in column.cells] for column in shown.columns]
        rows = [list(row) for row in zip(*columns, strict=True)]
        print_json({"columns": [str(c.header) for c in shown.columns], "rows": rows, "doubts": doubts})
        return
    results.print(shown)
    results.print("Why the paper's figures are to be read with care:")
    for doubt in doubts:
        results.print(f"  - {doubt}")


@command.command()
@model_argument
@click.option(
    "--corpus",
    type=path,
    default=Path("corpus"),
    show_default=True,
    metavar="FOLDER",
    help="What 'bitmar-tiny corpus' put together: held-out text, pictures, word frequencies.",
)
@click.option("--blimp", type=path, metavar="PATH", help="BLiMP's folder of .jsonl, or its .zip.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Only N items of each task, evenly spread."
)
@click.option(
    "--ablate",
    type=click.Choice(["memory"]),
    help="Also BLiMP, bits per byte and captions with the memory off and shuffled, with the intervals of the "
    "differences.",
)
@keep_option
@json_option
def scores(
    model: Path,
    corpus: Path,
    blimp: Path | None,
    limit: int | None,
    ablate: str | None,
    keep: Path | None,
    as_json: bool,
) -> None:
    """Every score of MODEL, a frozen model or the folder of a training run, that the paper has, too: BLiMP,
    BoolQ, PIQA, CommonsenseQA, bits per byte of held-out text, captions of held-out pictures.

    Beside each stand the paper's figure, guessing, the most frequent answer, word frequencies (unigram), and
    the same network untrained. Two sentences with one score count as half right.

    \b
    Examples: bitmar-tiny paper scores run --corpus corpus --blimp BLiMP.zip
              bitmar-tiny paper scores model.bitmar --limit 1000 --json
              bitmar-tiny paper scores run --blimp BLiMP.zip --ablate memory --keep scores
    """
    need("torch")
    from ..evaluate.paper_scores import score_paper
    from ..evaluate.suite import frozen_subject, open_subject
    from ..report.evaluation import ablation_table
    from ..report.paper import scores_table

    subject = frozen_subject(model) if ablate else open_subject(model)
    with keeping(keep), progress_bars() as bar:
        report = score_paper(subject, corpus, blimp, limit, bar, bool(ablate), keep)
    if as_json:
        print_json(report)
        return
    results.print(narrow(scores_table(report)))
    if ablate:
        results.print(narrow(ablation_table(report["ablation"]["tasks"], "The memory \\[measured]")))


@command.command()
@click.argument("run", type=path)
@click.option(
    "--scores",
    "reports",
    type=path,
    multiple=True,
    metavar="FILE",
    help="What 'paper scores --json' or 'eval --json' printed of this model; repeatable.",
)
@click.option("-o", "--out", type=path, required=True, metavar="FOLDER", help="Where both files go.")
@json_option
def ship(run: Path, reports: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Freeze the training run RUN into FOLDER as PRESET.bitmar, and write its record beside it, PRESET.json:
    settings, data with licences and SHA-256, curve, scores. From bitmar_tiny/frozen/models of a checkout the
    model has a name: 'bitmar-tiny generate PRESET'.

    \b
    Example: bitmar-tiny paper scores run --blimp BLiMP.zip --ablate memory --json > scores.json
             bitmar-tiny paper ship run --scores scores.json -o bitmar_tiny/frozen/models
    """
    need("torch")
    from ..evaluate.model_record import ship as write

    file, record = write(run, reports, out)
    if as_json:
        print_json(record)
        return
    notes.print(f"Wrote {file}, {record['bytes']:,} bytes, and {file.stem}.json.", markup=False)


@command.command()
@click.argument("number", type=click.Choice(["2", "3"]))
@click.argument("sources", type=path, nargs=-1, required=True)
@click.option("-o", "--out", type=path, required=True, help="PNG or SVG to write.")
@json_option
def figure(number: str, sources: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Figure 2 (activation of the memory's slots: one run, early and late, from its log; or usage in frozen
    models, runs, stores) or 3 (zero fraction E_q over training: runs).

    \b
    Examples: bitmar-tiny paper figure 2 run -o slots.png
              bitmar-tiny paper figure 2 early.bitmar late.bitmar -o slots.png
              bitmar-tiny paper figure 3 run -o zeros.svg
    """
    if out.suffix not in (".png", ".svg"):
        raise ConfigError(f"{out}: pictures are written as .png or .svg.")
    curves = []
    if number == "2":
        from ..evaluate.sources import load_source
        from ..report.memory import draw

        draw([load_source(s) for s in sources], out)
    else:
        curves = zero_fraction_figure(sources, out)
    if as_json:
        runs = [{"run": r.name, "steps": list(r.steps), "zero_fraction": list(r.values)} for r in curves]
        print_json({"figure": str(out), "runs": runs})
        return
    for r in curves:
        results.print(
            f"{r.name}: E_q {r.values[0]:.1%} at step {r.steps[0]:,}, {r.values[-1]:.1%} at step "
            f"{r.steps[-1]:,} "
            f"\\[measured]; normally distributed weights have {r.baseline:.1%}, the paper ends at 42.8%"
        )
    notes.print(f"Wrote {out}.", markup=False)
