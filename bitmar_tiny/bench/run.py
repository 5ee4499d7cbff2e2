# SPDX-License-Identifier: Apache-2.0
"""A whole benchmark: our kernels and steps, then what one would use instead, at the same shapes."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError, ToolError
from ..extras import install, installed
from ..files import TemporaryFolder
from ..frozen import FrozenModel
from .modules import measure_modules, modules_here
from .ours import Run, families_here, measure_ours

#: Told of everything that is measured, or of why it is not.
Say = Callable[[str, str], None]


def check(families: tuple[str, ...], cpu: int, out: Path | None) -> None:
    """Complain about a family, a processor or a folder that cannot be before the long work."""
    known = [family for _, family in (*families_here(), *modules_here())]
    for family in families:
        if family not in known:
            raise ConfigError(
                f"No board that runs on this machine has a kernel family '{family}'.",
                f"There are: {', '.join(known)}.",
            )
    try:
        if out:
            out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{out}: cannot be made ({error.strerror}).", "Choose another folder with -o."
        ) from None
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {cpu}
    if cpu not in allowed:
        raise ConfigError(
            f"Processor {cpu} is not there.", f"Choose one of: {', '.join(map(str, sorted(allowed)))}."
        )


def machine() -> str:
    """The processor's own name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def measure(
    frozen: FrozenModel, families: Sequence[str], peers: bool, baseline: bool, cpu: int, say: Say
) -> dict[str, Any]:
    """The report: ours, then the peers at the same shapes and contexts, then whole models as ``baseline``."""
    report: dict[str, Any] = {
        "schema": "bitmar-tiny/bench",
        "schema_version": 1,
        "label": "measured",
        "model": frozen.config.name,
        "machine": machine(),
        "cpu": cpu,
        "kernels": [],
        "steps": [],
        "models": [],
    }
    with TemporaryFolder() as folder:
        runs = []
        for run in measure_ours(frozen, Path(folder), cpu, tuple(families)):
            runs.append(run)
            say(run.label, run.missing or "measured")
            if run.result is None:
                report["kernels"].append(
                    {"label": run.label, "peer": False, "missing": run.missing, "gemv": {}}
                )
            else:
                add_ours(report, run.label, run.result)
        for row in measure_modules(frozen, Path(folder), cpu, tuple(families)):
            report["steps"].append(row)
            say(row["label"], "measured")
        if baseline and any(run.result for run in runs):
            add_models(report, frozen, runs, Path(folder), cpu, say)
    report["shapes"] = list(dict.fromkeys(s for row in report["kernels"] for s in row["gemv"]))
    if not report["steps"]:
        raise ToolError(
            "No kernel family was measured.",
            "See 'bitmar-tiny boards' for the families and 'bitmar-tiny doctor'.",
        )
    if peers:
        add_peers(report, frozen, cpu, say)
    return report


def add_models(
    report: dict[str, Any], frozen: FrozenModel, runs: list[Run], folder: Path, cpu: int, say: Say
) -> None:
    """The whole model: our programs, then every contender in a process of its own."""
    from . import baseline

    streams, rows = baseline.Streams(frozen, folder), report["models"]
    for row in baseline.our_rows(runs, frozen, streams, folder):
        rows.append(row)
    contexts = sorted({s["context"] for s in report["steps"]})
    for i, contender in enumerate(baseline.CONTENDERS):
        rows.append(
            baseline.measure_contender(contender, frozen, streams, folder / f"contender{i}", contexts, cpu)
        )
        say(contender.name, rows[-1].get("missing", "measured"))
    report["streams"] = {"count": len(streams.tokens), "length": len(streams.tokens[0])}
    report["models_against_ours"] = baseline.ratios(rows)


def add_ours(report: dict[str, Any], label: str, result: dict[str, Any]) -> None:
    """One build's JSON as a row of kernels and a row of steps for each context."""
    gemv = {}
    for e in result["gemv"]:
        rate = e["n"] * e["k"] / e["warm_ns"]
        gemv[f"{e['n']}x{e['k']}"] = {
            "gweights_per_s": rate,
            "cold_gweights_per_s": e["n"] * e["k"] / e["cold_ns"],
            "us": e["warm_ns"] / 1e3,
            "bytes_per_s": e["bytes"] / e["warm_ns"] * 1e9,
            "of_mac_limit": 1e9 * rate / result["peak_macs_per_s"] if result["peak_macs_per_s"] else None,
            "of_bandwidth": e["bytes"] / e["warm_ns"] * 1e9 / e["cache_bytes_per_s"],
        }
    report["kernels"].append(
        {
            "label": label,
            "peer": False,
            "gemv": gemv,
            "clock_hz": result["clock_hz"],
            "peak_macs_per_s": result["peak_macs_per_s"],
        }
    )
    for s in result["step"]:
        parts = s.get("parts_ns", {})
        total = sum(parts.values())
        report["steps"].append(
            {
                "label": label,
                "peer": False,
                "context": s["context"],
                "us": s["step_ns"] / 1e3,
                "prefill_us": s["prefill_ns"] / 1e3,
                "gemvs_us": s["gemvs_ns"] / 1e3,
                "attention_share": parts["attention"] / total if total else None,
                "parts_us": {k: v / 1e3 for k, v in parts.items()},
                "arena_bytes": result["arena_bytes"],
                "ram_bytes": 1024 * result["anonymous_kib"] or None,
            }
        )


def add_peers(report: dict[str, Any], frozen: FrozenModel, cpu: int, say: Say) -> None:
    """PyTorch, ONNX Runtime, LiteRT at the same shapes; PyTorch's whole step at the same contexts."""
    from .peers import PEERS, PeerMissing
    from .timing import measure as timed
    from .timing import pin

    pin(cpu)
    rng = np.random.default_rng(0)
    for peer in PEERS:
        row: dict[str, Any] = {"label": peer.name, "peer": True, "bits": peer.bits, "gemv": {}}
        report["kernels"].append(row)
        for shape in report["shapes"]:
            n, k = map(int, shape.split("x"))
            trits = rng.integers(-1, 2, (n, k)).astype(np.int8)
            try:
                (call, products), (single, _) = peer.product(trits), peer.product(trits, stacked=False)
            except PeerMissing as reason:
                row |= {"missing": str(reason), "gemv": {}}
                break
            us, alone = timed(call).median_s * 1e6 / products, timed(single).median_s * 1e6
            row["gemv"][shape] = {
                "gweights_per_s": n * k / min(us, alone) / 1e3,
                "us": min(us, alone),
                "one_call_gweights_per_s": n * k / alone / 1e3,
            }
        say(peer.name, row.get("missing", "measured"))
    if not installed("torch"):
        say("PyTorch eager", f"torch is not installed ({install('torch')})")
        return
    from .torch_step import eager_step

    for context in sorted({s["context"] for s in report["steps"]}):
        timing = timed(eager_step(frozen.config, context))
        report["steps"].append(
            {"label": "PyTorch eager, float32", "peer": True, "context": context, "us": timing.median_s * 1e6}
        )
