# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny bench"""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.markup import escape

from ..bench.cycles import check_tools
from ..extras import need
from ..files import atomic_file
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
    help="Also cycles of Arm and RISC-V loops (llvm-mca), and of kernels of ESP32-S3 and Pico (simulators).",
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

    One thread of this machine, pinned; medians of many samples. Without MODEL the preset `paper` is measured.
    It has no --on: nothing else runs on a board, and 'bitmar-tiny profile --on BOARD' measures that. The
    step in WebAssembly is among ours where wasmtime is installed.

    \b
    Example: bitmar-tiny bench -o results
             bitmar-tiny bench model.bitmar --no-peers --baseline
             bitmar-tiny bench model.bitmar --family avx2 --no-peers --json
    """
    from ..bench import report as reporting
    from ..bench.run import check, measure

    check(families, cpu, out)
    if out:
        need("matplotlib")
    if static_cycles:
        check_tools()
    frozen = load_model(model, None) if model else load_model(Path(), preset_name or "paper")
    report = measure(
        frozen,
        families,
        peers,
        peers if baseline is None else baseline,
        cpu,
        lambda label, state: notes.print(f"  {label}: {escape(state)}"),
    )
    if static_cycles:
        from ..bench.cycles import count_m0, estimate_pie, simulate

        report["static"] = [c.as_dict() for c in (*simulate(), *count_m0(), *estimate_pie())]
    report["times_the_best_peer"] = reporting.ratios(report)
    report["times_the_best_peer_per_call"] = reporting.ratios(report, "one_call_gweights_per_s")
    if out:
        with atomic_file(out / "bench.json") as f:
            f.write((json.dumps(report, indent=1) + "\n").encode())
        written = [out / "bench.json"]
        if report["shapes"]:  # of a module in WebAssembly only steps are measured
            reporting.plot(report, out / "bench.png")
            written.append(out / "bench.png")
        notes.print(f"Wrote {' and '.join(map(str, written))}.", markup=False)
    if as_json:
        print_json(report)
        return
    if report["shapes"]:
        results.print(reporting.kernel_table(report))
    results.print(reporting.step_table(report))
    if report["shapes"]:
        results.print(reporting.part_table(report))
    if report["models"]:
        results.print(reporting.model_table(report))
    if static_cycles:
        results.print(reporting.cycle_table(report["static"]))
