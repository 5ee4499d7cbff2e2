# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny info"""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from ..api.model import PRESETS, load, model_size, preset, tensors
from .app import print_json, results
from .common import json_option, model_path, preset_option


@click.command()
@click.argument("model", type=model_path, required=False)
@preset_option("Show a preset instead of a file; without either, all presets.")
@json_option
def command(model: Path | None, preset_name: str | None, as_json: bool) -> None:
    """Parameters and bytes of a frozen MODEL or of the presets.

    \b
    Example: bitmar-tiny info --preset paper
    """
    frozen = load(model) if model else None
    configs = [frozen.config] if frozen else [preset(preset_name)] if preset_name else list(PRESETS.values())
    if as_json:
        print_json(
            [
                {"config": c.model_dump(), "parts": model_size(c), "tensors": tensors(c)}
                | ({"sha256": frozen.digest, "provenance": frozen.provenance} if frozen else {})
                for c in configs
            ]
        )
        return
    for cfg in configs:
        table = Table(
            "part",
            "parameters",
            "bytes (2-bit trits, int8 tables)",
            title=f"{cfg.name}: d={cfg.d_model}, "
            f"{cfg.n_encoder_layers}+{cfg.n_decoder_layers} layers, V={cfg.vocab_size}, "
            f"K={cfg.memory_slots}, "
            f"S+W={cfg.n_sinks}+{cfg.window}",
        )
        for part, n in model_size(cfg).items():
            table.add_row(
                part, f"{n['parameters']:,}", f"{n['bytes']:,}", style="bold" if part == "total" else ""
            )
        results.print(table)
    if frozen:
        results.print(f"SHA-256 {frozen.digest}")
        for key, value in frozen.provenance.items():
            results.print(f"{key}: {value}")
