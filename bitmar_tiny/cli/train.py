# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny train"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from ..api.model import ModelConfig
from ..api.training import is_main_process, training
from ..errors import ConfigError
from ..extras import need
from .app import notes, print_json, results
from .common import json_option, model_path, say_next


@click.command()
@click.option(
    "--preset", "preset_name", help="Model preset: demo (the default), recall, things, pocket or paper."
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
    "--pictures",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of pictures. What they show is in its metadata.jsonl or metadata.csv, else the names of its "
    "sub-folders, else the file names; repeatable.",
)
@click.option(
    "--captions",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Captions of the pictures or the features: a JSON list, COCO, CC3M, Localized Narratives, Flickr, "
    "metadata.csv (docs/how-to/train.md); repeatable.",
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
    help="Text, one sample a line: a file, or a folder of .txt or .train; .gz and .zst, too; repeatable.",
)
@click.option(
    "--sessions",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Sessions for the memory, one JSON list a line: what is told and shown, then what is asked "
    "(docs/how-to/train.md); repeatable.",
)
@click.option(
    "--things",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Pictures of things, to make sessions of in which each is shown and named, and one asked: a folder "
    "of Iconify emoji sets, of furniture (.sh3f) or of Omniglot's archives, a folder with a folder of "
    "pictures for each thing, or a list (docs/how-to/show-once.md); repeatable.",
)
@click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Text and pictures that 'bitmar-tiny corpus' put together.",
)
@click.option(
    "--style",
    "styles",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of an Iconify emoji set, more pictures for the demo data; repeatable (see "
    "DATA_LICENSES.md).",
)
@click.option(
    "--tokenizer",
    type=click.Choice(["gpt2", "own"]),
    help="own: trained on your text and captions, instead of GPT-2's cut to the size of the model.",
)
@click.option(
    "--init",
    type=model_path,
    metavar="RUN|MODEL",
    help="Begin with the weights and the tokenizer of another run or a frozen model.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Training steps (instead of epochs); more than a finished run has: it goes on.",
)
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
@click.option(
    "--restart",
    is_flag=True,
    help="Start over instead of resuming the run in OUT; with its data and settings, unless you name data or "
    "a model.",
)
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
    preset_name: str | None,
    config: Path | None,
    settings: Path | None,
    pictures: tuple[Path, ...],
    captions: tuple[Path, ...],
    features: tuple[Path, ...],
    text: tuple[Path, ...],
    sessions: tuple[Path, ...],
    things: tuple[Path, ...],
    corpus: Path | None,
    styles: tuple[Path, ...],
    tokenizer: str | None,
    init: Path | None,
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

    A run that was interrupted, even by kill -9, continues exactly where its last checkpoint left it; Ctrl-C
    keeps every step. `bitmar-tiny train -o RUN` goes on with what RUN was begun with. Under torchrun every
    process takes its share of each batch.

    \b
    Examples: bitmar-tiny train -o run
              bitmar-tiny train --pictures photos -o run
              bitmar-tiny train --pictures coco/train2017 --captions captions_train2017.json -o run
              bitmar-tiny train --pictures photos --init demo --steps 500 -o tuned
              bitmar-tiny train --preset paper --captions cc.json --features cc.npy --text babylm/ -o run
              torchrun --nproc-per-node 4 --no-python bitmar-tiny train --preset paper ... -o run
              bitmar-tiny train --preset paper --corpus corpus -o run
              bitmar-tiny train --preset paper --measure 3
              bitmar-tiny train --preset recall -o recall
              bitmar-tiny train --preset things --things node_modules/@iconify-json -o things
    """
    need("torch", "tensorboard", "matplotlib")
    if config and preset_name:
        raise ConfigError("--config and --preset both name the model.", "Leave out one of them.")
    changes = {"steps": steps, "seed": seed, "float_twin": float_twin or None}
    own = {"pictures": pictures, "captions": captions, "features": features, "text": text}
    own |= {"sessions": sessions, "things": things, "styles": styles}
    own["corpus"] = (corpus,) if corpus else ()
    main = is_main_process()
    with ExitStack() as stack:
        with Progress(console=notes, transient=True, disable=not main) as bar:
            task = bar.add_task("preparing data")
            run = stack.enter_context(
                training(
                    ModelConfig.load(config) if config else preset_name,
                    out,
                    own,
                    settings,
                    device,
                    tokenizer,
                    init,
                    restart,
                    lambda done, total: bar.update(task, completed=done, total=total),
                    lambda words: notes.print(words, markup=False, soft_wrap=True),
                    **{k: v for k, v in changes.items() if v is not None},
                )
            )
        if measure:
            cost = run.measure(measure)
            if main:
                show_cost(run.config.name, run.settings.precision, measure, cost, as_json)
            return
        run.train(True, wandb)
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
        f"it waited {cost.waiting_s * 1000:.3g} ms for them. No kernel computes in "
        f"{cost.outside_kernels:.0%} of the step \\[measured by PyTorch's profiler].",
        soft_wrap=True,
    )
