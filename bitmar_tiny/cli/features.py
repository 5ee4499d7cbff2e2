# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny features"""

from __future__ import annotations

import math
from pathlib import Path

import click

from ..api.model import load
from ..api.training import write_features, write_thing_features
from ..errors import ConfigError, DataError
from .app import notes, print_json
from .common import json_option, progress_bars


def channels(context: click.Context, option: click.Parameter, text: str) -> tuple[float, float, float]:
    """'0.5' or '0.485,0.456,0.406' as three numbers."""
    try:
        values = [float(v) for v in text.split(",")]
    except ValueError:
        values = []
    values = values * 3 if len(values) == 1 else values
    if len(values) != 3 or not all(map(math.isfinite, values)) or option.name == "std" and min(values) <= 0:
        raise ConfigError(
            f"--{option.name} {text}: not one number or three with "
            f"commas{', all above 0' if option.name == 'std' else ''}.",
            "For example: --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225.",
        )
    return values[0], values[1], values[2]


@click.command()
@click.argument("pictures", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--things",
    type=click.Path(path_type=Path),
    help="In place of PICTURES: things to show, as for `bitmar-tiny train`; the features are things, too.",
)
@click.option(
    "--backbone",
    required=True,
    type=click.Path(path_type=Path),
    help="A .tflite or .onnx file, or the folder of a transformers model, or timm weights with --timm.",
)
@click.option(
    "--blocks", multiple=True, metavar="NAME", help="Outputs to take: names or block numbers; repeatable."
)
@click.option(
    "--timm", "architecture", metavar="NAME", help="timm architecture of the weights in --backbone."
)
@click.option(
    "--size", type=click.IntRange(8, 4096), help="Side of the pictures, where a file leaves it open."
)
@click.option(
    "--mean",
    default="0.485,0.456,0.406",
    show_default=True,
    callback=channels,
    help="Mean of the pixels, scaled to [0, 1], that the backbone was trained with.",
)
@click.option(
    "--std",
    default="0.229,0.224,0.225",
    show_default=True,
    callback=channels,
    help="Their standard deviation.",
)
@click.option(
    "--norm/--no-norm",
    default=True,
    show_default=True,
    help="LayerNorm of every vector, without affine part.",
)
@click.option("--pool/--no-pool", default=False, help="2x2 average pooling of the patch grid (paper 3.2).")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Average the patch grid down to what this frozen model takes.",
)
@click.option("--project", is_flag=True, help="Map vectors that are not 768 wide through fixed random signs.")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for features.npy and captions.json.",
)
@json_option
def command(
    pictures: tuple[Path, ...],
    things: Path | None,
    backbone: Path,
    blocks: tuple[str, ...],
    architecture: str | None,
    size: int | None,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    norm: bool,
    pool: bool,
    model: Path | None,
    project: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Turn PICTURES into 768-D feature vectors with a frozen backbone.

    PICTURES are files, folders, or .txt lists of files, one a line. Captions are what metadata.jsonl or
    metadata.csv in a folder says, else the names of its sub-folders or of the files. Pictures that cannot be
    read are listed and left out (exit code 2). What was computed before, in OUT, is not computed again.

    A .tflite or .onnx backbone is written into the folder, too, with a declaration of how pictures are
    prepared: `codegen --features FOLDER` gives both to a board that can run it.

    \b
    Example: bitmar-tiny features cat.png dog.png --backbone vit_s_focus.onnx -o features
             bitmar-tiny features photos/ more.txt --backbone vit_s_focus.onnx -o features
             bitmar-tiny features --things node_modules/@iconify-json --backbone vit_s_focus.onnx -o features
             bitmar-tiny features *.jpg --backbone mobilenet.tflite --mean 0.5 --std 0.5 --project -o features
    """
    if model and pool:
        raise ConfigError(
            "Both --model and --pool say how far the grid is averaged.", "Leave out one of them."
        )
    if bool(pictures) == (things is not None):
        raise ConfigError(
            "What is to be turned into features?"
            if not pictures
            else "Both PICTURES and --things were given.",
            "Give pictures, or things with --things.",
        )
    how = {
        "blocks": blocks,
        "architecture": architecture,
        "size": size,
        "mean": mean,
        "std": std,
        "normalise": norm,
        "pool": pool,
        "vectors": load(model).config.image_inputs if model else None,
        "project": project,
    }
    bad: list[str] = []
    with progress_bars() as bar:
        if things:
            label = bar("preparing pictures")
            write_thing_features(things, out, backbone, drawing=label, progress=bar("extracting"), **how)
        else:
            bad = write_features(pictures, out, backbone, progress=bar("extracting"), **how)
    written = {"features": str(out / "features.npy")}
    written |= {"things": str(out / "things.json")} if things else {"captions": str(out / "captions.json")}
    if as_json:
        print_json(written | {"left_out": bad})
    else:
        notes.print(f"Wrote {' and '.join(written.values())}.", soft_wrap=True)
        for words in bad:
            notes.print(words, markup=False, soft_wrap=True)
    if bad:
        raise DataError(
            f"{len(bad):,} {'pictures have' if len(bad) > 1 else 'picture has'} no features.",
            "Mend them or leave them out; what is done is kept and not done again.",
        )
