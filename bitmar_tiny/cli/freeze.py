"""bitmar-tiny freeze"""

from __future__ import annotations

from pathlib import Path

import click

from .app import notes, print_json
from .common import json_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("model.bitmar"), show_default=True)
@json_option
def command(run: Path, out: Path, as_json: bool) -> None:
    """Freeze the last checkpoint of a training RUN into one model file.

    \b
    Example: bitmar-tiny freeze run -o model.bitmar
    """
    from ..train.run import freeze_run

    frozen = freeze_run(run)
    digest = frozen.save(out)
    if as_json:
        print_json({"model": str(out), "sha256": digest, "bytes": out.stat().st_size})
        return
    notes.print(f"Wrote {out}, {out.stat().st_size:,} bytes, SHA-256 {digest}.")
