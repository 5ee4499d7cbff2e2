# SPDX-License-Identifier: Apache-2.0
"""Pictures of a training run, from its log: losses, perplexity, alignment with the controller's
interventions, memory, E_q (figure 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: What a line of the log is drawn as; None: nothing.
Value = Callable[[dict[str, Any]], float | None]
COLOURS = {
    "freeze_text": "tab:blue",
    "freeze_vision": "tab:green",
    "freeze_memory": "tab:purple",
    "boost_alignment": "tab:orange",
}


def plot_training(log: Sequence[dict[str, Any]], folder: Path, suffix: str = "svg") -> list[Path]:
    """Write ``training.SUFFIX`` and, for a ternary model, ``zero_fraction.SUFFIX``; returns their paths.
    Needs one log line.
    """
    steps = [r for r in log if r["kind"] == "step"]
    if not steps:
        return []
    paths = [_overview(log, steps, folder / f"training.{suffix}")]
    if steps[-1].get("codes"):
        paths.append(_zero_fraction(steps, folder / f"zero_fraction.{suffix}"))
    return paths


def _overview(log: Sequence[dict[str, Any]], steps: list[dict[str, Any]], path: Path) -> Path:
    """Everything against the tokens that were read, in millions."""
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    figure, axes = pyplot.subplots(2, 3, figsize=(15, 7), layout="constrained", sharex=True)
    (loss, perplexity, alignment), (memory, zeros, codes) = axes
    read = _millions(steps)

    def line(axis: Any, records: Sequence[dict[str, Any]], value: Value, label: str) -> None:
        _line(axis, records, value, label, lambda r: read(r["step"]))

    for name in ("lm", "contrastive", "memory"):
        line(loss, steps, lambda r, name=name: r["loss"].get(name), name)
    loss.set_yscale("log")
    loss.set_title("losses")
    held = [r for r in log if r["kind"] == "holdout"]
    line(perplexity, steps, lambda r: r["perplexity"], "of the batches")
    for kind in ("text", "captions"):
        line(perplexity, held, lambda r, kind=kind: r.get(kind, {}).get("perplexity"), f"held-out {kind}")
    perplexity.set_yscale("log")
    perplexity.set_title("perplexity")
    line(alignment, steps, lambda r: r["alignment"], "of the batches")
    line(alignment, steps, lambda r: r["alignment_average"], "average the controller sees")
    line(alignment, held, lambda r: r.get("alignment"), "held out")
    alignment.set_title("cross-modal cosine, and interventions")
    line(memory, steps, lambda r: r["memory"].get("written_slots"), "written")
    line(memory, steps, lambda r: r["memory"].get("read_slots"), "read")
    memory.set_title("effective memory slots")
    line(zeros, steps, lambda r: r["codes"].get("zero_fraction"), "zero fraction $E_q$")
    line(zeros, steps, lambda r: r["codes"].get("gaussian_baseline"), "Gaussian weights")
    zeros.set_title("fraction of ternary codes that are 0")
    line(codes, steps, lambda r: r["codes"].get("changed"), "since the last line")
    line(codes, steps, lambda r: r["codes"].get("changed_per_1000_steps"), "in 1,000 steps")
    codes.set_title("fraction of ternary codes changed")
    for begin, end, action in interventions(log):
        for axis in axes.flat:
            axis.axvspan(
                read(begin),
                read(end),
                color=COLOURS.get(action, "grey"),
                alpha=0.2,
                label=action if axis is alignment else None,
            )
    for axis in axes.flat:
        axis.legend(*_once(axis), fontsize=7)
    for axis in axes[1]:
        axis.set_xlabel("tokens, millions")
    return _save(figure, path)


def _millions(steps: Sequence[dict[str, Any]]) -> Callable[[int], float]:
    """Step -> millions of tokens that were read until it: between the lines of the log on a straight line,
    from none at the start.
    """
    at, tokens = [0, *(r["step"] for r in steps)], [0, *(r["tokens"] / 1e6 for r in steps)]
    return lambda step: float(np.interp(step, at, tokens))


def _zero_fraction(steps: list[dict[str, Any]], path: Path) -> Path:
    """Figure 3: E_q over the epochs, beside what Gaussian weights give at the same threshold without any
    learning.
    """
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    figure, axis = pyplot.subplots(figsize=(6, 4), layout="constrained")
    epochs = all(r["epoch"] is not None for r in steps)
    _line(
        axis,
        steps,
        lambda r: 100 * r["codes"]["zero_fraction"],
        "zero fraction $E_q$, weight-weighted",
        lambda r: r["epoch" if epochs else "step"],
    )
    axis.axhline(
        100 * steps[-1]["codes"]["gaussian_baseline"], color="grey", linestyle=":", label="Gaussian weights"
    )
    axis.set_xlabel("epoch" if epochs else "step")
    axis.set_ylabel("% of ternary weights")
    axis.legend(fontsize=8)
    return _save(figure, path)


def interventions(log: Sequence[dict[str, Any]]) -> list[tuple[int, int, str]]:
    """(first step, last step, action) of each; one still running ends at the last line."""
    spans, begun = [], None
    for r in log:
        if r["kind"] == "intervention" and r["event"] == "begin":
            begun = r
        elif r["kind"] == "intervention" and begun:
            spans.append((begun["step"], r["step"], r["action"]))
            begun = None
    return spans + ([(begun["step"], max(r["step"] for r in log), begun["action"])] if begun else [])


def _line(
    axis: Any,
    records: Sequence[dict[str, Any]],
    value: Value,
    label: str,
    x: Callable[[dict[str, Any]], float],
) -> None:
    points = [(x(r), v) for r in records if (v := value(r)) is not None]
    if points:
        axis.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None)


def _once(axis: Any) -> tuple[list[Any], list[str]]:
    """Legend entries, each label once."""
    entries = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    return list(entries.values()), list(entries)


def _save(figure: Any, path: Path) -> Path:
    from matplotlib import pyplot

    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
