# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny play"""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from ..api.model import load, things_model
from ..api.page import PageServer, make_page, write_page
from .app import notes, print_json
from .common import json_option, leave_out, model_path

PORT = 8374


@click.command()
@click.argument("model", type=model_path, default=things_model)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the page into this folder, for any static server, and serve nothing.",
)
@click.option(
    "--port",
    default=PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Of this computer, where the page is served; 0 for any that is free.",
)
@json_option
def command(model: Path, out: Path | None, port: int, as_json: bool) -> None:
    """Open MODEL in a browser: show it things, teach it their names, look inside.

    The default is the shipped model that things can be shown to; 'demo' writes captions. The model runs in
    the page, as WebAssembly, and the page speaks to a board over USB.

    \b
    Example: bitmar-tiny play
             bitmar-tiny play demo --out site
    """
    if out:
        leave_out({"port": "--port"}, "Nothing is served with --out.")
        _written(write_page(load(model), out), as_json)
        return
    frozen = load(model)
    server = PageServer(b"", port)  # a port that is taken is said before anything is built
    notes.print("Compiling the model to WebAssembly ...")
    server.page = make_page(frozen)
    if as_json:
        print_json({"url": server.url, "model": frozen.config.name, "bytes": len(server.page)})
    else:
        notes.print(f"{frozen.config.name} is at {server.url} until you press Ctrl-C.", markup=False)
    webbrowser.open(server.url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        notes.print("Stopped.")
    finally:
        server.server_close()


def _written(page: Path, as_json: bool) -> None:
    size = page.stat().st_size
    if as_json:
        print_json({"page": str(page), "bytes": size})
    else:
        notes.print(f"Wrote {page}, {size:,} bytes: open it in a browser.", markup=False)
