# SPDX-License-Identifier: Apache-2.0
"""Tables of evaluation results, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Column, Table

from .words import narrow

#: Most items that a sentence names.
NAMED = 20
#: What stands below a table of differences.
INTERVALS = "Intervals: 95%, paired bootstrap over the items."


def percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def choice_table(results: dict[str, dict[str, Any]], title: str) -> Table:
    """Multiple choice: accuracy with its standard error, chance and majority beside it, and what to make of
    it.
    """
    words = ("items", "accuracy", "per byte", "chance", "majority", "above\nboth")
    table = Table(Column("task", no_wrap=True), *words, title=title)
    for name, r in results.items():
        above = r["accuracy"] - 2 * r["error"] > max(r["chance"], r["majority"])
        table.add_row(
            name,
            f"{r['items']:,}",
            f"{percent(r['accuracy'])} ± {percent(r['error'])}",
            percent(r["accuracy_norm"]),
            percent(r["chance"]),
            percent(r["majority"]),
            "yes" if above else "no",
        )
    return table


def wug_sentence(name: str, r: dict[str, Any]) -> str:
    return (
        f"{name}: Spearman's correlation with what people prefer {r['correlation']:.3f} over {r['items']:,} "
        "pairs (chance 0) "
        "\\[measured]"
    )


def perplexity_sentence(r: dict[str, Any]) -> str:
    return (
        f"perplexity {r['perplexity']:,.1f} over {r['tokens']:,} tokens, {r['bits_per_byte']:.3f} bits per "
        "byte; knowing only how "
        f"often each token is in this text: {r['unigram']:,.1f} \\[measured]"
    )


def retrieval_table(r: dict[str, Any]) -> Table:
    """Recall and median rank, both directions, by likelihood and cosine."""
    table = Table(
        "by",
        "direction",
        "recall at 1",
        "recall at 5",
        "median rank",
        title=f"Retrieval among {r['pictures']} held-out pictures \\[measured]",
    )
    for by in ("likelihood", "cosine"):
        for direction, s in r.get(by, {}).items():
            table.add_row(
                by,
                direction.replace("_", " "),
                percent(s["recall_at_1"]),
                percent(s["recall_at_5"]),
                f"{s['median_rank']:g}",
            )
    c = r["chance"]
    table.add_row("chance", "", percent(c["recall_at_1"]), percent(c["recall_at_5"]), f"{c['median_rank']:g}")
    return table


def figure_of(r: dict[str, Any]) -> float:
    """The one figure of a task that conditions are compared by: correlation, bits per byte or accuracy."""
    if "bits_per_byte" in r:
        return r["bits_per_byte"]
    return r["accuracy"] if r.get("correlation") is None else r["correlation"]


def difference_words(by: dict[str, Any], other: str) -> str:
    """What the memory adds against ``other``, with its interval of 95% if there is one: percentage points of
    accuracies.
    """
    share = "accuracy" in by["on"] and by["on"].get("correlation") is None
    times, form = (100, "+.1f") if share else (1, "+.3f")
    found = by["difference"][other] or {"value": figure_of(by["on"]) - figure_of(by[other])}
    words = format(times * found["value"], form) + " pp" * share
    if "low" in found:
        words += f"\n{format(times * found['low'], form)} to {format(times * found['high'], form)}"
    return words


def picks_sentence(who: str, first: str, items: int, places: list[int]) -> str:
    """For how many items another target picks what the first one does, and which are the others."""
    if not places:
        return f"{who} picks the same option as {first} for all {items:,} items \\[measured]"
    named = ", ".join(map(str, places[:NAMED])) + ", ..." * (len(places) > NAMED)
    return (
        f"{who} picks another option than {first} for {len(places):,} of {items:,} items, counted from 0: "
        f"{named} \\[measured]"
    )


def ablation_table(tasks: dict[str, dict[str, Any]], title: str) -> Table:
    """One row a task: the figure with the memory on, off and shuffled, and the differences with intervals;
    percentage points for accuracies.
    """
    words = ("items", "on", "off", "shuffled", "on - off", "on - shuffled", "chance")
    table = Table(Column("task", no_wrap=True), *words, title=title, padding=0, caption=INTERVALS)
    for name, by in tasks.items():
        share = "accuracy" in by["on"] and by["on"].get("correlation") is None
        found = [figure_of(by[c]) for c in ("on", "off", "shuffled")]
        table.add_row(
            "bits/byte" if "bits_per_byte" in by["on"] else name,
            f"{by['on'].get('items', by['on'].get('samples')):,}",
            *(percent(x) if share else f"{x:.4g}" for x in found),
            *(difference_words(by, other) for other in ("off", "shuffled")),
            percent(by["on"]["chance"]) if share else "",
        )
    return table


def cost_table(cost: dict[str, Any]) -> Table:
    """The paper's table 3 from our own measurements."""
    label, on, off = cost["label"], cost["on"], cost["off"]
    table = Table(
        "",
        "memory on",
        "memory off",
        "label",
        title=f"{cost['board']}, {cost['kernels']} kernels, {on['window']} tokens in the window",
    )
    table.add_row(
        "throughput (tokens/s)", f"{on['tokens_per_second']:,.0f}", f"{off['tokens_per_second']:,.0f}", label
    )
    table.add_row("latency (ms/token)", f"{on['ms_per_token']:.4f}", f"{off['ms_per_token']:.4f}", label)
    energy = (
        ["", "", "not estimated: name the power with --watts"]
        if cost["watts"] is None
        else [
            *(f"{1e3 * x['joules_per_token']:.4f}" for x in (on, off)),
            f"estimated: {cost['watts']:g} W while it computes",
        ]
    )
    table.add_row("energy (mJ/token)", *energy)
    table.add_row(
        "RAM of the process (kB)", *(f"{x['anonymous_kib'] * 1.024:,.0f}" for x in (on, off)), label
    )
    table.add_row(
        "of it the memory (kB)",
        f"{cost['memory_bytes'] / 1e3:,.0f}",
        "reserved, unread",
        "estimated by the plan",
    )
    return table


def entity_table(experiments: list[dict[str, Any]]) -> Table:
    """Whether the memory carries a fact to a later episode. ``evaluate/entity.py`` says what is trained."""
    table = Table(
        "trained on",
        "memory on",
        "off",
        "shuffled",
        "chance",
        "majority",
        "questions",
        "cosine of the queries",
        title="Entity memory \\[measured, golden model]",
    )
    for e in experiments:
        table.add_row(
            e["experiment"],
            *(percent(e[c]) for c in ("on", "off", "shuffled", "chance", "majority")),
            f"{e['questions']}",
            f"{e['query_cosine']:.3f}",
        )
    return table


#: Rows of ``sessions_table``: how many episodes ago an answer was told, from, to, in words.
AGES = (
    (0, 0, "never told"),
    (1, 1, "told in the last episode"),
    (2, 4, "2 to 4 episodes ago"),
    (5, 11, "5 to 11 episodes ago"),
    (12, 1 << 30, "longer ago"),
)


def sessions_table(r: dict[str, Any], title: str) -> Table:
    """Answers that a model gave out of its memory: by condition, and by how many episodes were told since."""
    table = Table("the memory", "exact answers", "of", title=title)
    for condition in ("on", "off", "shuffled"):
        table.add_row(condition, percent(r[condition]), f"{r['items']}")
    for first, last, name in AGES:
        counts = [count for age, count in r["by_age"].items() if first <= int(age) + 1 <= last]
        if counts:
            right, asked = map(sum, zip(*counts, strict=True))
            table.add_row(f"on, {name}", percent(right / asked), f"{asked}")
    return table


def caption_table(scores: dict[str, Any], title: str) -> Table:
    """Exact-name and word-overlap accuracy by condition."""
    table = Table("condition", "exact name", "word overlap (IoU)", title=title)
    for condition, score in scores.items():
        if isinstance(score, dict) and "exact" in score:
            table.add_row(condition.replace("_", " "), f"{score['exact']:.1%}", f"{score['iou']:.3f}")
    return table


def style_table(rows: list[dict[str, Any]]) -> Table:
    """Captions by style and by what training knew of the name (``evaluate/styles.py``)."""
    table = Table(
        "style",
        "trained on others of it",
        "of the name, training knew",
        "pictures",
        "exact name",
        "word overlap (IoU)",
        title="by style \\[measured]",
    )
    for r in rows:
        table.add_row(
            r["style"],
            "yes" if r["seen"] else "no",
            r["known"],
            f"{r['pictures']:,}",
            f"{r['exact']:.1%}",
            f"{r['iou']:.3f}",
        )
    return table


def agreement_sentence(a: dict[str, Any]) -> str:
    return (
        f"PyTorch against golden over {a['tokens']:,} tokens: top-1 agreement {a['top1_agreement']:.1%}, "
        f"largest logit difference {a['max_logit_difference']:g}, perplexity {a['perplexity_torch']:.4f} and "
        f"{a['perplexity_golden']:.4f} \\[measured]"
    )


def render(report: dict[str, Any]) -> Iterator[Table | str]:
    """Tables of at most 80 columns, and sentences, for everything that a report of ``eval`` holds."""
    return (narrow(part) if isinstance(part, Table) else part for part in _parts(report))


def _parts(report: dict[str, Any]) -> Iterator[Table | str]:
    tasks = report.get("tasks", {})
    choices = {name: r for name, r in tasks.items() if r["kind"] == "choice"}
    if choices:
        yield choice_table(choices, f"{report['model']} on {report['on'][0]} \\[measured]")
    for name, r in choices.items():
        if r["cut"]:
            yield f"{name}: {r['cut']:,} contexts were too long and lost their beginning."
    for name, r in tasks.items():
        if r["kind"] == "wug":
            yield wug_sentence(name, r)
        elif r["kind"] == "perplexity":
            yield perplexity_sentence(r)
    for name, others in report.get("different_picks", {}).items():
        for way, places in others.items():
            yield picks_sentence(f"{name}: {way}", report["on"][0], tasks[name]["items"], places)
    if "ablation" in report:
        if report["ablation"]["tasks"]:
            yield ablation_table(report["ablation"]["tasks"], f"The memory of {report['model']} \\[measured]")
        yield cost_table(report["ablation"]["cost"])
    if "captions" in report:
        scores = report["captions"] | (
            {"plain float captioner": report["baseline"]} if "baseline" in report else {}
        )
        yield caption_table(scores, f"{len(scores['predictions'])} held-out pictures \\[measured]")
    if "styles" in report:
        yield style_table(report["styles"])
    if "agreement" in report:
        yield agreement_sentence(report["agreement"])
    if "retrieval" in report:
        yield retrieval_table(report["retrieval"])
    if "sessions" in report:
        yield sessions_table(
            report["sessions"],
            f"Told in earlier episodes, asked of {report['model']} \\[measured, golden model]",
        )
    if "entity_memory" in report:
        yield entity_table(report["entity_memory"])
