# SPDX-License-Identifier: Apache-2.0
"""Benchmark results as tables and as a picture. Every figure comes from one run on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ..files import atomic_file

#: What a user would pick instead, measured at the same shapes; the rest of the rows are ours.
PEER_COLOUR, OUR_COLOUR = "#8a8f98", "#1b7f5c"


def kernel_table(report: dict[str, Any]) -> Table:
    """Gweights/s by shape; in brackets percent of the multiply-add limit, for the head percent of the read
    bandwidth.
    """
    shapes = report["shapes"]
    table = Table(
        "kernel",
        *shapes,
        title="Ternary products, 10^9 weights/s, warm \\[measured]",
        caption="(percent of the measured multiply-add limit / of the measured read bandwidth of that much "
        "data)",
    )
    for row in report["kernels"]:
        if row.get("missing"):
            table.add_row(row["label"], *["-"] * (len(shapes) - 1), escape(row["missing"]))
            continue
        table.add_row(row["label"], *(_cell(row["gemv"].get(s)) for s in shapes))
    return table


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    percent = [f"{100 * entry[k]:.0f}%" for k in ("of_mac_limit", "of_bandwidth") if entry.get(k)]
    return f"{entry['gweights_per_s']:.1f}" + (f" ({' / '.join(percent)})" if percent else "")


def step_table(report: dict[str, Any]) -> Table:
    """Whole decode steps: tokens/s, microseconds, how they relate to the products alone, and the memory of
    the process that no file stands behind (the mapped weights are not in it).
    """
    table = Table(
        "step",
        "context",
        "tokens/s",
        "us",
        "products alone, us",
        "step / products",
        "attention",
        "RAM",
        title=f"Decode step of {report['model']}, head and greedy pick included \\[measured]",
    )
    for row in report["steps"]:
        products, share = row.get("gemvs_us"), row.get("attention_share")
        table.add_row(
            row["label"],
            str(row["context"]),
            f"{1e6 / row['us']:,.0f}",
            f"{row['us']:.1f}",
            f"{products:.1f}" if products else "",
            f"{row['us'] / products:.2f}" if products else "",
            f"{share:.0%}" if share is not None else "",
            f"{row['ram_bytes'] / 1e6:.2f} MB" if row.get("ram_bytes") else "",
        )
    return table


def part_table(report: dict[str, Any]) -> Table:
    """Where the time of our steps goes, in microseconds."""
    rows = [r for r in report["steps"] if r.get("parts_us")]
    names = list(rows[0]["parts_us"]) if rows else []
    table = Table(
        "step, microseconds by part",
        "context",
        *names,
        title="with a clock read at the end of each part \\[measured]",
    )
    for row in rows:
        table.add_row(row["label"], str(row["context"]), *(f"{row['parts_us'][n]:.1f}" for n in names))
    return table


def model_table(report: dict[str, Any]) -> Table:
    """The whole model side by side; in brackets how many times ours, the quickest of our programs."""
    against = {r["label"]: r for r in report["models_against_ours"]}
    contexts = sorted({n for r in report["models"] for n in r.get("us", {})}, key=int)
    table = Table(
        "the whole model",
        *(f"tokens/s, {n} in the window" for n in contexts),
        "peak RAM",
        "of it the model's",
        "file",
        "top-1 as golden",
        title=f"{report['model']}, a process each \\[measured]",
        caption="(how many times slower, more or larger than the quickest of our programs; ours: median;\n"
        "of a runtime: its call alone at its best, and not its own file)",
    )
    for row in report["models"]:
        if row.get("missing"):
            table.add_row(row["label"], escape(row["missing"]))
            continue
        than = against.get(row["label"])

        def times(value):
            return f" ({value:.1f}x)" if value else ""

        table.add_row(
            row["label"],
            *(f"{1e6 / row['us'][n]:,.0f}{times(than and than['time'][n])}" for n in contexts),
            f"{row['peak_kib'] / 1e3 * 1.024:.1f} MB{times(than and than['peak_ram'])}",
            f"{(row['peak_kib'] - row['runtime_kib']) / 1e3 * 1.024:.1f} MB",
            f"{row['file_bytes'] / 1e6:.2f} MB{times(than and than['file'])}",
            f"{row['top1']:.1%}",
        )
    return table


def cycle_table(cycles: list[dict[str, Any]]) -> Table:
    """Simulated and estimated cycles."""
    table = Table(
        "loop or product",
        "processor",
        "cycles",
        "weights",
        "weights/cycle",
        "",
        title="Processors that are not at hand",
    )
    for c in cycles:
        table.add_row(
            c["family"],
            c["cpu"],
            f"{c['cycles']:,.1f}",
            f"{c['weights']:,}",
            f"{c['weights_per_cycle']:.2f}",
            c["label"],
        )
    return table


def ratios(report: dict[str, Any], rate: str = "gweights_per_s") -> dict[str, dict[str, float]]:
    """By shape, how many times faster each of our families is than the best peer: than its most favourable
    figure, or (``one_call_gweights_per_s``) than what one product per call into the library gives.
    """
    best: dict[str, float] = {}
    for row in report["kernels"]:
        if row["peer"] and not row.get("missing"):
            for shape, entry in row["gemv"].items():
                best[shape] = max(best.get(shape, 0.0), entry[rate])
    return {
        row["label"]: {s: e["gweights_per_s"] / best[s] for s, e in row["gemv"].items() if s in best}
        for row in report["kernels"]
        if not row["peer"] and not row.get("missing")
    }


def plot(report: dict[str, Any], path: Path) -> None:
    """Bars of Gweights/s by shape, ours and the peers', as a PNG."""
    import io

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [r for r in report["kernels"] if not r.get("missing")]
    figure, axes = pyplot.subplots(
        1, len(report["shapes"]), figsize=(4 * len(report["shapes"]), 0.32 * len(rows) + 1.6), sharey=True
    )
    for axis, shape in zip(axes, report["shapes"], strict=True):
        values = [r["gemv"].get(shape, {}).get("gweights_per_s", 0.0) for r in rows]
        axis.barh(
            [r["label"] for r in rows], values, color=[PEER_COLOUR if r["peer"] else OUR_COLOUR for r in rows]
        )
        for i, value in enumerate(values):
            axis.text(value, i, f" {value:.1f}", va="center", fontsize=7)
        axis.set_title(f"{shape}, 10$^9$ weights/s")
        axis.margins(x=0.18)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    figure.suptitle(f"Ternary products on {report['machine']}, one thread, warm [measured]")
    figure.tight_layout()
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=130)
    pyplot.close(figure)
    with atomic_file(path) as f:
        f.write(data.getvalue())
