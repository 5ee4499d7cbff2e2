# SPDX-License-Identifier: Apache-2.0
"""Figures from a training run's log: the paper's figure 3, the zero fraction E_q over training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..files import parse_json

#: Where the E_q of the paper ends (section 5.1).
PAPER_END = 0.428


def gaussian_zero_fraction(threshold: float) -> float:
    """E_q of weights that are normally distributed, for a threshold in units of mean |W|: what no training at
    all gives.
    """
    return math.erf(threshold / math.sqrt(math.pi))


@dataclass(frozen=True)
class ZeroFraction:
    """E_q of one run: steps and weight-weighted zero fractions, the Gaussian baseline, and steps per epoch if
    the log tells.
    """

    name: str
    steps: list[int]
    values: list[float]
    baseline: float
    steps_per_epoch: float | None


def read_zero_fraction(run: Path) -> ZeroFraction:
    """E_q by step from a run's folder: its JSONL log (key ``zero_fraction``), else its TensorBoard log, else
    its last checkpoint alone.

    ``DataError`` if there is no run.
    """
    from ..arch.tables import tensor_table
    from ..train.run import load_run

    model, _, record = load_run(run)
    points, per_epoch = _from_jsonl(run)
    points = points or _from_tensorboard(run)
    if not points:
        trits = [model.matrix(s.name)[0] for s in tensor_table(model.cfg) if s.kind == "ternary"]
        points = {record["steps"]: sum(int((t == 0).sum()) for t in trits) / sum(t.numel() for t in trits)}
    steps = sorted(points)
    return ZeroFraction(
        str(run),
        steps,
        [points[s] for s in steps],
        gaussian_zero_fraction(model.cfg.ternary_threshold),
        per_epoch,
    )


def _from_jsonl(run: Path) -> tuple[dict[int, float], float | None]:
    """Every line {"step", "zero_fraction", maybe "epoch"} of the run's .jsonl files; other lines, and a last
    one cut short, do not matter.
    """
    points: dict[int, float] = {}
    per_epoch = None
    for path in sorted(run.rglob("*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = parse_json(line)
            except ValueError:
                continue
            value = row.get("zero_fraction") if isinstance(row, dict) else None
            if isinstance(value, dict):
                value = value.get("value")
            if isinstance(value, (int, float)) and isinstance(row.get("step"), int):
                points[row["step"]] = float(value)
                if row.get("epoch"):
                    per_epoch = row["step"] / row["epoch"]
    return points, per_epoch


def _from_tensorboard(run: Path) -> dict[int, float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not (run / "logs").is_dir():
        return {}
    events = EventAccumulator(str(run / "logs"), size_guidance={"scalars": 0}).Reload()
    tag = "codes/zero_fraction"
    return {e.step: e.value for e in events.Scalars(tag)} if tag in events.Tags()["scalars"] else {}


def zero_fraction_figure(runs: list[ZeroFraction], path: Path) -> None:
    """E_q over training, each run with its Gaussian baseline, and the paper's final 42.8%. PNG or SVG by the
    name.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    by_epoch = all(r.steps_per_epoch for r in runs)
    figure, axis = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    for r in runs:
        x = [s / r.steps_per_epoch if by_epoch else s for s in r.steps]
        (line,) = axis.plot(
            x, [100 * v for v in r.values], marker="o", markersize=3, label=f"{r.name} (measured)"
        )
        axis.axhline(
            100 * r.baseline,
            linestyle=":",
            color=line.get_color(),
            label=f"normally distributed weights: {r.baseline:.1%}",
        )
    axis.axhline(100 * PAPER_END, linestyle="--", color="grey", label="the paper's end: 42.8%")
    axis.set_xlabel("epoch" if by_epoch else "step")
    axis.set_ylabel("zero fraction E_q (%), by weights")
    axis.legend(fontsize=8)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}).") from None
    finally:
        pyplot.close(figure)
