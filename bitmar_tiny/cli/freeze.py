"""bitmar-tiny freeze"""

from __future__ import annotations

from pathlib import Path

import click

from ..frozen import with_small_token_table
from .app import notes, print_json
from .common import json_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("model.bitmar"), show_default=True)
@click.option("--token-bits", type=click.Choice(["8", "4"]), default="8", show_default=True,
              help="Bits of a value of the token table; 4 halves the largest part of the flash and costs some accuracy.")
@json_option
def command(run: Path, out: Path, token_bits: str, as_json: bool) -> None:
    """Freeze the last checkpoint of a training RUN into one model file.

    \b
    Example: bitmar-tiny freeze run -o model.bitmar
    """
    from ..train.run import freeze_run

    frozen = freeze_run(run)
    if token_bits == "4":
        frozen = with_small_token_table(frozen)
    digest = frozen.save(out)
    if as_json:
        print_json({"model": str(out), "sha256": digest, "bytes": out.stat().st_size})
        return
    notes.print(f"Wrote {out}, {out.stat().st_size:,} bytes, SHA-256 {digest}.")
