# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny export"""

from __future__ import annotations

from pathlib import Path

import click

from ..api.model import FORMATS, export_model
from .app import notes, print_json
from .common import json_option, load_model, model_argument, preset_option, say_next


@click.command()
@model_argument
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    required=True,
    help="ONNX graphs in a folder, or one LiteRT file.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Folder (onnx) or file (tflite); default: NAME-onnx, NAME.tflite.",
)
@click.option(
    "--weight-bits",
    type=click.Choice(["2", "4", "8"]),
    default="2",
    show_default=True,
    help="Bits of a stored ternary weight; older runtimes know no type of 2 or 4.",
)
@preset_option("Export a preset with random weights instead of MODEL.")
@json_option
def command(
    model: Path, format_name: str, out: Path | None, weight_bits: str, preset_name: str | None, as_json: bool
) -> None:
    """Write a frozen MODEL as ONNX or LiteRT: a step graph with its state as inputs and outputs, and the same
    integers as golden.

    docs/how-to/export.md lists every input and output; 'bitmar-tiny verify --on onnx|tflite' proves the
    files.

    \b
    Examples: bitmar-tiny export model.bitmar --format onnx -o model-onnx
              bitmar-tiny export --preset paper --format tflite -o paper.tflite
    """
    frozen = load_model(model, preset_name)
    stem = preset_name or model.stem
    out = out or Path(f"{stem}-onnx" if format_name == "onnx" else f"{stem}.tflite")
    files = export_model(frozen, format_name, out, int(weight_bits))
    if as_json:
        print_json(
            {
                "model_sha256": frozen.digest,
                "format": format_name,
                "weight_bits": int(weight_bits),
                "files": {str(path): path.stat().st_size for path in files},
            }
        )
        return
    for path in files:
        notes.print(f"Wrote {path}, {path.stat().st_size:,} bytes.", markup=False)
    named = ("--preset", preset_name) if preset_name else (model,)
    say_next("bitmar-tiny", "verify", *named, "--on", f"{format_name}:{out}")
