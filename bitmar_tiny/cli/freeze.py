# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny freeze"""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from ..api.model import ModelConfig, import_model, preset, shrink_model, with_doubt
from ..api.training import freeze_run
from ..errors import ConfigError
from .app import notes, print_json, results
from .common import Real, json_option, preset_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option(
    "--from-onnx",
    "onnx_path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Instead of RUN: ternary weights of an ONNX file, or of every .onnx in a folder.",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="JSON configuration of a model that does not carry one (with --from-onnx).",
)
@preset_option("Configuration of a model that does not carry one, by name (with --from-onnx).")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("model.bitmar"), show_default=True)
@click.option(
    "--token-bits",
    type=click.Choice(["8", "4"]),
    default="8",
    show_default=True,
    help="Bits of a value of the token table; 4 halves the largest part of the flash and costs some "
    "accuracy.",
)
@click.option(
    "--window",
    type=click.IntRange(min=1),
    help="A shorter attention window than the model's: less RAM, the same weights.",
)
@click.option(
    "--vocab",
    type=click.IntRange(min=1),
    metavar="TOKENS",
    help="Prune the vocabulary to so many tokens: another model, which spells rarer words in more tokens.",
)
@click.option(
    "--doubt",
    type=Real(0, 4),
    metavar="FACTOR",
    help="How readily a model that is shown things says that it doesn't know: 1 as trained, less below. "
    "Choose it with `bitmar-tiny holdout --task show-once --dev`.",
)
@json_option
def command(
    run: Path | None,
    onnx_path: Path | None,
    config_path: Path | None,
    preset_name: str | None,
    out: Path,
    token_bits: str,
    window: int | None,
    vocab: int | None,
    doubt: float | None,
    as_json: bool,
) -> None:
    """Freeze the last checkpoint of a training RUN, or ternary weights that were trained elsewhere, into one
    model file.

    \b
    Examples: bitmar-tiny freeze run -o model.bitmar
              bitmar-tiny freeze run --window 252 --vocab 16384 -o small.bitmar
              bitmar-tiny freeze --from-onnx weights.onnx --preset paper -o model.bitmar
    """
    if (run is None) == (onnx_path is None):
        raise ConfigError(
            "One training run or --from-onnx is needed, not both.", "See 'bitmar-tiny freeze --help'."
        )
    if run is not None and (config_path or preset_name):
        raise ConfigError(
            "--config and --preset are for --from-onnx; a training run has its own configuration.",
            "Leave them out.",
        )
    mapped, unused = [], []
    if onnx_path is not None:
        if config_path and preset_name:
            raise ConfigError("Both --config and --preset were named.", "Leave out one of them.")
        own = ModelConfig.load(config_path) if config_path else None
        frozen, mapped, unused = import_model(onnx_path, preset(preset_name) if preset_name else own)
    else:
        frozen = freeze_run(run)
    frozen = shrink_model(frozen, window=window, vocabulary=vocab, token_bits=int(token_bits))
    frozen = frozen if doubt is None else with_doubt(frozen, doubt)
    digest = frozen.save(out)
    if as_json:
        print_json(
            {"model": str(out), "sha256": digest, "bytes": out.stat().st_size}
            | ({"mapped": mapped, "unused": unused} if mapped else {})
        )
        return
    if mapped:
        table = Table("tensor", "from", "as")
        for m in mapped:
            table.add_row(m["tensor"], m["source"], m["how"])
        results.print(table)
        notes.print(f"Not used: {', '.join(unused) or 'nothing'}.", soft_wrap=True)
    notes.print(f"Wrote {out}, {out.stat().st_size:,} bytes, SHA-256 {digest}.", markup=False)
