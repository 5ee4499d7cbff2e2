# SPDX-License-Identifier: Apache-2.0
"""The paper's tables (arXiv 2510.10560v1, section 5) as data, and ours beside them.

What stands in ``PAPER`` is what the paper prints, in percent. The reasons to doubt it are in ``DOUBTS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Column, Table

from ..evaluate.formats import FORMATS
from .evaluation import INTERVALS, difference_words, figure_of, percent

#: Table 1: accuracy in percent.
TASKS_1 = ("arc-easy", "boolq", "hellaswag", "winogrande", "commonsenseqa", "mmlu")
TABLE_1 = {
    "Bonsai 0.5B": (58.25, 58.44, 48.01, 54.46, 18.43, 25.74),
    "OLMo-BitNet 1B": (25.38, 52.48, 25.88, 51.54, 19.49, 25.47),
    "Falcon3-1.58bit 7B": (65.03, 72.14, 59.46, 60.14, 67.08, 42.79),
    "Llama3-8B-1.58": (70.71, 68.38, 68.56, 60.93, 28.50, 35.04),
    "BitNet b1.58 2B": (74.79, 80.18, 68.44, 71.90, 71.58, 53.17),
    "BitMar-14M (paper)": (28.32, 42.83, 30.04, 54.57, 24.57, 27.90),
}
CHANCE_1 = (25.0, 50.0, 25.0, 50.0, 20.0, 25.0)
DOUBTS_1 = (
    "The public evaluation code cuts prompts after 1,000 characters, so that most few-shot questions never "
    "reach the model.",
    "It averages the loss over prompt and answer, and picks option 0 whenever something fails or ties.",
    "The public model's text encoder sees the whole text, the answer included: its likelihoods are none.",
    "Every score but BoolQ's is within six points of chance; BoolQ is seven below it.",
)
#: Table 2: category, task, metric, the paper's figure, our task (None: not evaluated here), chance.
TABLE_2 = (
    ("Finetune NLP", "BoolQ", "accuracy", "66.5%", None, "50%, majority 62.2%"),
    ("", "MNLI", "accuracy", "42.3%", None, "33.3%"),
    ("", "MRPC", "accuracy", "69.1%", None, "50%"),
    ("", "MultiRC", "accuracy", "57.6%", None, "50%"),
    ("", "QQP", "accuracy", "70.2%", None, "50%"),
    ("", "RTE", "accuracy", "54.0%", None, "50%"),
    ("", "WSC", "accuracy", "63.5%", None, "50%"),
    ("Multimodal", "DevBench", "visual vocabulary", "21.2%", None, ""),
    ("", "VQA", "accuracy", "21.4%", "vqa", ""),
    ("", "Winoground", "accuracy", "23.8%", "winoground", "50%"),
    ("World knowledge", "EWoK", "accuracy", "24.9%", "ewok", "50%"),
    ("Linguistic", "BLiMP", "accuracy", "48.7%", "blimp", "50%"),
    ("Reasoning", "Compositional", "accuracy", "51.5%", None, ""),
    ("", "Entity tracking", "accuracy", "31.2%", "entity-tracking", ""),
    ("Psycholinguistic", "Reading", "score", "0.44", None, "0"),
    ("Morphology", "Wug adjectives", "correlation", "-0.16", "wug-adjective", "0"),
    ("", "Wug past tense", "correlation", "-0.22", "wug-past", "0"),
)
DOUBTS_2 = (
    "The public export drops every weight of BitMar on reload and leaves a random GPT-2: these figures may "
    "be that network's.",
    "Winoground and EWoK choose between two, and stand at half of chance: whatever was counted, it was not "
    "that.",
    "The text gives -0.36 and -0.16 for Wug adjectives and past tense where the table has -0.16 and -0.22.",
    "The upper seven are fine-tuned classifiers; of these this program trains BoolQ alone (eval --finetune).",
)
#: Table 3: memory on, memory off. The throughput without memory is unreadable in our copy: it is taken from
#: the latency.
TABLE_3 = {
    "throughput (tokens/s)": ("57.3", "7.7"),
    "latency (ms/token)": ("17.3", "129.8"),
    "energy (J)": ("1.90", "9.17"),
    "RAM (MB)": ("956", "1,076"),
}
DOUBTS_3 = (
    "A memory that is read costs work; a model that leaves the read out cannot be 7.5 times slower. The two "
    "ran different code.",
    "The public code has no energy measurement.",
)
#: Table 4: accuracy with the memory minus accuracy without it, percentage points, as far as our copy of the
#: paper can be read.
TABLE_4 = {
    "entity-tracking": "+2.9, +4.1",
    "COMPS": "+3.4",
    "blimp": "+0.6",
    "vqa": "+3.4",
    "ewok": "1.6 (sign unreadable), +1.0",
    "winoground": "-1.6",
    "DevBench": "no effect",
}
DOUBTS_4 = (
    "No standard errors are given; on sets of this size differences under one to two points are noise.",
    "The public code forwards without a mode, and so wrote evaluation data into the memory while it was "
    "scored.",
)


def table_1(reports: Sequence[dict[str, Any]]) -> tuple[Table, Sequence[str]]:
    """Rows: the paper's models, chance, and one for every report of ``eval --json``; percent."""
    table = Table("model", *(FORMATS[t].paper for t in TASKS_1), title="Table 1: accuracy (%)")
    for name, row in TABLE_1.items():
        table.add_row(name, *(f"{x:.2f}" for x in row))
    table.add_row("chance", *(f"{x:.2f}" for x in CHANCE_1), style="dim")
    for report in reports:
        found = [report.get("tasks", {}).get(t) for t in TASKS_1]
        table.add_row(
            f"{report['model']} \\[measured]",
            *(f"{100 * r['accuracy']:.2f} ± {100 * r['error']:.2f}" if r else "" for r in found),
        )
        table.add_row(
            "  majority answer", *(f"{100 * r['majority']:.2f}" if r else "" for r in found), style="dim"
        )
    return table, DOUBTS_1


def table_2(reports: Sequence[dict[str, Any]]) -> tuple[Table, Sequence[str]]:
    """One column for every report; empty where a task was not run."""
    table = Table(
        "category",
        "task",
        "metric",
        "paper",
        "chance",
        *(f"{r['model']} \\[measured]" for r in reports),
        title="Table 2: BabyLM tasks",
    )
    for category, task, metric, paper, ours, chance in TABLE_2:
        found = [report.get("tasks", {}).get(ours) for report in reports]
        table.add_row(
            category,
            task,
            metric,
            paper,
            chance,
            *(
                ""
                if r is None
                else f"{figure_of(r):.3f}"
                if metric == "correlation"
                else percent(r["accuracy"])
                for r in found
            ),
        )
    return table, DOUBTS_2


def table_3(reports: Sequence[dict[str, Any]]) -> tuple[Table, Sequence[str]]:
    """Two columns, on and off, for every report of ``eval --ablate memory --json``."""
    costs = [r["ablation"]["cost"] for r in reports]
    heads = [
        f"{r['model']}, {state} \\[{c['label']}]"
        for r, c in zip(reports, costs, strict=True)
        for state in ("on", "off")
    ]
    table = Table("", "paper, on", "paper, off", *heads, title="Table 3: with and without reading the memory")

    def cells(show) -> list[str]:
        return [show(c, c[state]) for c in costs for state in ("on", "off")]

    rows = (
        cells(lambda c, x: f"{x['tokens_per_second']:,.0f}"),
        cells(lambda c, x: f"{x['ms_per_token']:.4f}"),
        cells(
            lambda c, x: (
                ""
                if c["watts"] is None
                else f"{x['joules_per_token']:.2g} a token, estimated at {c['watts']:g} W"
            )
        ),
        cells(lambda c, x: f"{x['anonymous_kib'] * 1024 / 1e6:.2f}"),
    )
    for (name, paper), ours in zip(TABLE_3.items(), rows, strict=True):
        table.add_row(name, *paper, *ours)
    return table, DOUBTS_3


def table_4(reports: Sequence[dict[str, Any]]) -> tuple[Table, Sequence[str]]:
    """Differences of ``eval --ablate memory --json``: on minus off, and on minus shuffled."""
    ours = [r["ablation"]["tasks"] for r in reports]
    heads = [f"{r['model']}, {what} \\[measured]" for r in reports for what in ("on - off", "on - shuffled")]
    table = Table(
        "task", "paper, on - off (pp)", *heads, title="Table 4: what the memory adds", caption=INTERVALS
    )
    for task in dict.fromkeys([*TABLE_4, *(t for found in ours for t in found)]):
        cells = []
        for found in ours:
            by = found.get(task)
            for other in ("off", "shuffled"):
                known = by is not None and "accuracy" in by["on"]
                cells.append(difference_words(by, other) if known else "")
        table.add_row(task, TABLE_4.get(task, ""), *cells)
    return table, DOUBTS_4


#: What the paper prints of the tasks of ``bitmar-tiny paper scores``.
PUBLISHED = {"blimp": "48.7%", "boolq": "42.8%\ntuned 66.5%", "commonsenseqa": "24.6%"}


def scores_table(report: dict[str, Any]) -> Table:
    """Rows of ``evaluate.paper_scores``: the paper's figure, ours, and what needs no training."""
    words = ("items", "paper", "ours", "chance", "majority", "unigram", "untrained")
    table = Table(Column("task", no_wrap=True), *words, title=f"{report['model']} \\[measured]", padding=0)
    for row in report["rows"]:
        share = "error" in row

        def shown(who: str, row: dict[str, Any] = row, share: bool = share) -> str:
            value = row.get(who)
            return "" if value is None else percent(value) if share else f"{value:.3f}"

        table.add_row(
            row["task"],
            f"{row['items']:,}",
            PUBLISHED.get(row["task"], ""),
            f"{shown('ours')}\n±{percent(row['error'])}" if share else shown("ours"),
            *(shown(who) for who in words[3:]),
        )
    return table


TABLES = {"1": table_1, "2": table_2, "3": table_3, "4": table_4}
