# SPDX-License-Identifier: Apache-2.0
"""The preset `paper` on one GPU in ten minutes: measured, trained, frozen, scored, and a record of it all.

    bitmar-tiny corpus -o corpus                  # before, without the GPU
    python examples/gpu_run.py --corpus corpus --blimp BLiMP.zip -o gpu-run

The batch is the largest of those in BATCHES that the card has room for. OUT gets the run, paper.bitmar,
paper.json (as of a model that comes with the package) and gpu-run.json: throughput, the share of a step in
which no kernel computes, and how long each part took. The scores are computed on the CPU, of a part of the
items, to the bit as a board computes them.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from bitmar_tiny.api.training import freeze_run, training
from bitmar_tiny.arch.config import ModelConfig, preset
from bitmar_tiny.data.files import write_json
from bitmar_tiny.errors import BitmarError, ConfigError
from bitmar_tiny.evaluate.model_record import model_record
from bitmar_tiny.evaluate.paper_scores import score_paper
from bitmar_tiny.evaluate.suite import open_subject

#: Streams of a batch, from the largest on: an H100 has 80 GB.
BATCHES = (512, 256, 128, 64, 32)
#: Steps that are measured before training; part of the time left for looks at held-out data and checkpoints.
MEASURED, SPARE = 5, 0.1
SETTINGS = {
    "optimizer": "muon",
    "lr": 3e-3,
    "min_lr": 0.02,
    "warmup": 100,
    "accumulation": 1,
    "precision": "bf16",
    "caption_tokens": 0,
    "text_tokens": 0,
    "holdout_tokens": 0,
    "checkpoint_every": 100,
    "log_every": 10,
    "steps": 1,  # until the step is measured
}


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def measured(order: dict[str, Any], settings: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The settings with the largest batch that there is room for, and what a step of it costs."""
    for size in [settings["batch_size"]] if "batch_size" in settings else BATCHES:
        tried = settings | {"batch_size": size}
        try:
            with training(**order, **tried) as run:
                return tried, run.measure(MEASURED)
        except torch.cuda.OutOfMemoryError:
            say(f"There is no room for batches of {size}.")
        gc.collect()  # now that nothing of the attempt is referred to any more
        torch.cuda.empty_cache()
    raise ConfigError("The card has no room for the smallest batch.", f"Change BATCHES in {__file__}.")


def gpu_run(
    config: ModelConfig,
    corpus: Path,
    out: Path,
    seconds: float,
    device: str = "cuda",
    blimp: Path | None = None,
    limit: int | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Do it all, and return what ``gpu-run.json`` holds. seconds: of training; changes: training settings."""
    run, model = out / "run", out / f"{config.name}.bitmar"
    took, clock = {}, time.monotonic()

    def passed(what: str) -> None:
        nonlocal clock
        took[what], clock = time.monotonic() - clock, time.monotonic()
        say(f"{what}: {took[what]:.0f} s")

    order = {"config": config, "out": run, "device": device, "say": say, "restart": True}
    order["data"] = {"corpus": (corpus,)}
    settings, cost = measured(order, SETTINGS | changes)
    passed("measured")
    steps = max(2, int(seconds * (1 - SPARE) / cost.step_s))
    settings |= {"steps": steps, "restart_steps": steps, "holdout_every": max(1, steps // 10)}
    settings["warmup"] = min(settings["warmup"], steps // 10)
    with training(**order, **settings) as order_run:
        order_run.train()
    passed("trained")
    freeze_run(run).save(model)
    passed("frozen")
    scores = score_paper(
        open_subject(model), corpus, blimp, limit, lambda label: lambda done, total: None, True
    )
    passed("scored")
    write_json(model.with_suffix(".json"), model_record(run, model, {"scores": scores}))
    report = {
        "schema": "bitmar-tiny/gpu-run",
        "label": "measured",
        "device": cost.device,
        "torch": torch.__version__,
        "cost": cost.as_dict(),
        "steps": steps,
        "batch_size": settings["batch_size"],
        "precision": settings["precision"],
        "seconds": took,
        "model": model.name,
    }
    write_json(out / "gpu-run.json", report)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--blimp", type=Path, help="BLiMP's folder or .zip")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--seconds", type=float, default=360.0, help="of training")
    parser.add_argument("--limit", type=int, default=200, help="items of each set that are scored")
    parser.add_argument("-o", "--out", type=Path, default=Path("gpu-run"))
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("There is no GPU that PyTorch can use.", "Pass --device cpu to try the recipe.")
    report = gpu_run(
        preset(given.preset), given.corpus, given.out, given.seconds, given.device, given.blimp, given.limit
    )
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    try:
        main()
    except BitmarError as error:
        sys.exit(f"Error: {error}")
