# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny bench"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.markup import escape

from ..bench.cycles import mca_tool
from ..errors import ConfigError, DataError, ToolError
from ..extras import install, installed, need
from ..files import atomic_file
from ..frozen import FrozenModel
from .app import notes, print_json, results
from .common import json_option, load_model, model_path, preset_option


@click.command()
@click.argument("model", type=model_path, required=False)
@preset_option("Random weights of this preset instead of a model (default: paper).")
@click.option(
    "--family", "families", multiple=True, metavar="NAME", help="Only this kernel family (repeatable)."
)
@click.option(
    "--peers/--no-peers", default=True, show_default=True, help="Also measure what one would pick instead."
)
@click.option(
    "--baseline/--no-baseline",
    default=None,
    help="Also the whole model in int8 as one would have made it without us (default: as --peers).",
)
@click.option(
    "--static",
    "static_cycles",
    is_flag=True,
    help="Also cycles of the Arm loops (llvm-mca) and of the ESP32-S3's kernel (simulator).",
)
@click.option(
    "--cpu", type=click.IntRange(0), default=0, show_default=True, help="Processor to pin everything to."
)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for bench.json and bench.png.")
@json_option
def command(
    model: Path | None,
    preset_name: str | None,
    families: tuple[str, ...],
    peers: bool,
    baseline: bool | None,
    static_cycles: bool,
    cpu: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Time the kernels by shape and the whole step, side by side with what one would use instead, in one run.

    One thread, pinned; medians of many samples. Without MODEL the preset `paper` is measured.

    \b
    Example: bitmar-tiny bench -o results
             bitmar-tiny bench model.bitmar --no-peers --baseline
             bitmar-tiny bench model.bitmar --family avx2 --no-peers --json
    """
    from ..bench import report as reporting

    check(families, cpu, out)
    if out:
        need("matplotlib")
    if static_cycles and mca_tool() is None:
        raise ToolError("llvm-mca was not found, which --static needs.", "Install it: apt-get install llvm.")
    frozen = load_model(model, None) if model else load_model(Path(), preset_name or "paper")
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
    measure(report, frozen, families, peers, peers if baseline is None else baseline, cpu)
    if static_cycles:
        from ..bench.cycles import estimate_pie, simulate

        report["static"] = [c.as_dict() for c in (*simulate(), *estimate_pie())]
    report["times_the_best_peer"] = reporting.ratios(report)
    report["times_the_best_peer_per_call"] = reporting.ratios(report, "one_call_gweights_per_s")
    if out:
        with atomic_file(out / "bench.json") as f:
            f.write((json.dumps(report, indent=1) + "\n").encode())
        reporting.plot(report, out / "bench.png")
        notes.print(f"Wrote {out / 'bench.json'} and {out / 'bench.png'}.")
    if as_json:
        print_json(report)
        return
    results.print(reporting.kernel_table(report))
    results.print(reporting.step_table(report))
    results.print(reporting.part_table(report))
    if report["models"]:
        results.print(reporting.model_table(report))
    if static_cycles:
        results.print(reporting.cycle_table(report["static"]))


def check(families: tuple[str, ...], cpu: int, out: Path | None) -> None:
    """Complain about a family, a processor or a folder that cannot be before the long work."""
    from ..bench.ours import families_here

    known = [family for _, family in families_here()]
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
    report: dict[str, Any],
    frozen: FrozenModel,
    families: tuple[str, ...],
    peers: bool,
    baseline: bool,
    cpu: int,
) -> None:
    """Fill ``kernels``, ``steps`` and ``models``: ours, then the peers at the same shapes and contexts."""
    from ..bench.ours import measure_ours

    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for run in measure_ours(frozen, Path(folder), cpu, families):
            runs.append(run)
            notes.print(f"  {run.label}: {escape(run.missing or 'measured')}")
            if run.result is None:
                report["kernels"].append(
                    {"label": run.label, "peer": False, "missing": run.missing, "gemv": {}}
                )
            else:
                add_ours(report, run.label, run.result)
        if baseline and any(run.result for run in runs):
            add_models(report, frozen, runs, Path(folder), cpu)
    report["shapes"] = list(dict.fromkeys(s for row in report["kernels"] for s in row["gemv"]))
    if not report["shapes"]:
        raise ToolError(
            "No kernel family was measured.",
            "See 'bitmar-tiny boards' for the families and 'bitmar-tiny doctor'.",
        )
    if peers:
        add_peers(report, frozen, cpu)


def add_models(report: dict[str, Any], frozen: FrozenModel, runs: list[Any], folder: Path, cpu: int) -> None:
    """The whole model: our programs, then every contender in a process of its own."""
    from ..bench import baseline

    streams, rows = baseline.Streams(frozen, folder), report["models"]
    for row in baseline.our_rows(runs, frozen, streams, folder):
        rows.append(row)
    contexts = sorted({s["context"] for s in report["steps"]})
    for i, contender in enumerate(baseline.CONTENDERS):
        rows.append(
            baseline.measure_contender(contender, frozen, streams, folder / f"contender{i}", contexts, cpu)
        )
        notes.print(f"  {contender.name}: {escape(rows[-1].get('missing', 'measured'))}")
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


def add_peers(report: dict[str, Any], frozen: FrozenModel, cpu: int) -> None:
    """PyTorch, ONNX Runtime, LiteRT at the same shapes; PyTorch's whole step at the same contexts."""
    from ..bench.peers import PEERS, PeerMissing
    from ..bench.timing import measure as timed
    from ..bench.timing import pin

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
        notes.print(f"  {peer.name}: {escape(row.get('missing', 'measured'))}")
    if not installed("torch"):
        notes.print(f"  PyTorch eager: torch is not installed ({escape(install('torch'))})")
        return
    from ..bench.torch_step import eager_step

    for context in sorted({s["context"] for s in report["steps"]}):
        timing = timed(eager_step(frozen.config, context))
        report["steps"].append(
            {"label": "PyTorch eager, float32", "peer": True, "context": context, "us": timing.median_s * 1e6}
        )
