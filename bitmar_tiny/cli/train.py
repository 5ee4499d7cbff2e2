# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny train"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from ..api.model import ModelConfig, preset
from ..api.training import is_main_process, training
from ..errors import ConfigError
from ..extras import need
from .app import notes, print_json, results
from .common import json_option, say_next


@click.command()
@click.option(
    "--preset",
    "preset_name",
    default="demo",
    show_default=True,
    help="Model preset: demo, recall, pocket or paper.",
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="Model configuration as JSON, instead of a preset."
)
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    help="Training settings as JSON (see docs/how-to/train.md).",
)
@click.option(
    "--captions",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Captions, a JSON list of strings; repeatable.",
)
@click.option(
    "--features",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Features of the pictures, .npy [N,768] or [N,P,768]; repeatable, in the order of the captions.",
)
@click.option(
    "--text",
    multiple=True,
    type=click.Path(path_type=Path),
    help="BabyLM *.train file or folder; repeatable.",
)
@click.option(
    "--sessions",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Sessions for the memory, one JSON list a line: what is told, then what is asked "
    "(docs/how-to/train.md); repeatable.",
)
@click.option(
    "--style",
    "styles",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of an Iconify emoji set, more pictures for the demo data; repeatable (see "
    "DATA_LICENSES.md).",
)
@click.option("--steps", type=click.IntRange(1), help="Training steps (instead of epochs).")
@click.option("--seed", type=click.IntRange(0), help="Seed of weights and data order.")
@click.option(
    "--float-twin", is_flag=True, help="Same architecture in float, for comparison; cannot be frozen."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--wandb", type=click.Choice(["offline", "online"]), help="Log to Weights & Biases as well.")
@click.option(
    "--measure",
    type=click.IntRange(1),
    metavar="STEPS",
    help="Only measure so many steps, and the input pipeline alone.",
)
@click.option("--restart", is_flag=True, help="Start over instead of resuming the run in OUT.")
@json_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("run"),
    show_default=True,
    help="Folder of the run.",
)
def command(
    preset_name: str,
    config: Path | None,
    settings: Path | None,
    captions: tuple[Path, ...],
    features: tuple[Path, ...],
    text: tuple[Path, ...],
    sessions: tuple[Path, ...],
    styles: tuple[Path, ...],
    steps: int | None,
    seed: int | None,
    float_twin: bool,
    device: str,
    wandb: str | None,
    measure: int | None,
    restart: bool,
    as_json: bool,
    out: Path,
) -> None:
    """Train a model, quantisation-aware. Without data of your own: OpenMoji pictures and simple text from
    pip; for the preset recall, sessions in which it is told where things are and asked later.

    A run that was interrupted, even by kill -9, continues exactly where its last checkpoint left it. Under
    torchrun every process takes its share of each batch.

    \b
    Examples: bitmar-tiny train -o run
              bitmar-tiny train --preset paper --captions cc.json --features cc.npy --text babylm/ -o run
              torchrun --nproc-per-node 4 --no-python bitmar-tiny train --preset paper ... -o run
              bitmar-tiny train --preset paper --measure 3
              bitmar-tiny train --preset recall -o recall
    """
    need("torch", "tensorboard", "matplotlib")
    cfg = ModelConfig.load(config) if config else preset(preset_name)
    if bool(captions) != bool(features):
        raise ConfigError("--captions and --features belong together.", "Give both or neither.")
    if styles and (captions or text or sessions):
        raise ConfigError(
            "--style adds pictures to the demo data, which data of your own takes the place of.",
            "Leave out one of them.",
        )
    changes = {"steps": steps, "seed": seed, "float_twin": float_twin or None}
    own = {"captions": captions, "features": features, "text": text, "sessions": sessions, "styles": styles}
    main = is_main_process()
    if main and not captions and not text and not sessions:
        notes.print(
            "Preparing made-up sessions ..."
            if cfg.name == "recall"
            else "Preparing the demo data (pictures and text that ship inside pip packages) ..."
        )
    with ExitStack() as stack:
        with Progress(console=notes, transient=True, disable=not main) as bar:
            task = bar.add_task("preparing data")
            run = stack.enter_context(
                training(
                    cfg,
                    out,
                    own,
                    settings,
                    device,
                    lambda done, total: bar.update(task, completed=done, total=total),
                    **{k: v for k, v in changes.items() if v is not None},
                )
            )
        if measure:
            cost = run.measure(measure)
            if main:
                show_cost(cfg.name, run.settings.precision, measure, cost, as_json)
            return
        run.train(restart, True, wandb)
        if main:
            say_next("bitmar-tiny", "freeze", out, "-o", "model.bitmar")


def show_cost(model: str, precision: str, steps: int, cost: Any, as_json: bool) -> None:
    """Print what a step costs."""
    if as_json:
        print_json(cost.as_dict())
        return
    results.print(
        f"One optimiser step of {model} on {cost.device}, {precision} \\[measured, median of "
        f"{steps}]: {cost.step_s:.3g} s, "
        f"{cost.tokens_per_second:,.0f} tokens/s, {cost.flops_per_step:.3g} FLOPs \\[estimated from the "
        "shapes], "
        f"at most {cost.bytes / 2**20:,.0f} MiB.",
        soft_wrap=True,
    )
    results.print(
        f"Its batches take {cost.input_s * 1000:.3g} ms to make: {cost.input_times_faster:.0f} times faster "
        "than the step; "
        f"it waited {cost.waiting_s * 1000:.3g} ms for them.",
        soft_wrap=True,
    )
