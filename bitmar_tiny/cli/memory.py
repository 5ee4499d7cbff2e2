# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny memory"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..api.memory import (
    SALVAGE,
    Near,
    Summary,
    export_memory,
    import_memory,
    load_snapshot,
    memory_source,
    memory_summary,
    nearest_slots,
    new_store,
    open_store,
)
from ..api.model import FrozenModel, load
from ..errors import ConfigError, StoreError
from . import memory_list
from .app import Group, notes, print_json, results
from .common import json_option, leave_out_port_options, model_path, open_target, port_options

path = click.Path(path_type=Path)
model_option = click.option("--model", type=model_path, help="The frozen model that the memory belongs to.")
force_option = click.option("--force", is_flag=True, help="Replace a file that is there.")


@click.group(cls=Group)
def command() -> None:
    """Look at, copy, check and renew the episodic memory of a model: a store on a card or in a file.

    \b
    Example: bitmar-tiny memory reset recall -o memory.store
    """


command.add_command(memory_list.command, "list")


@command.command()
@click.argument("sources", type=path, nargs=-1, required=True)
@model_option
@click.option("--text", help="Show the slots that answer this text (needs --model).")
@click.option("--image", type=path, help="Show the slots that answer this picture (needs --model).")
@click.option(
    "--top", default=8, show_default=True, type=click.IntRange(1, 1000), help="How many slots to show."
)
@click.option(
    "--figure",
    type=path,
    help="Draw every slot into this PNG or SVG: usage and length of its row, or how a run's reads used it.",
)
@json_option
def inspect(
    sources: tuple[Path, ...],
    model: Path | None,
    text: str | None,
    image: Path | None,
    top: int,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Show how the slots of stores, snapshots (.safetensors), frozen models (.bitmar) or training runs
    (folders) are used, and which answer a text or a picture: of the last of them. The figure of one run is
    drawn from its log, early and late.

    \b
    Examples: bitmar-tiny memory inspect memory.store --model model.bitmar --text "a red apple"
              bitmar-tiny memory inspect early.bitmar late.bitmar memory.store --figure slots.png
              bitmar-tiny memory inspect run --figure training.png
    """
    if (text is not None or image is not None) and model is None:
        raise ConfigError(
            "A text or a picture needs the model that turns it into a query.", "Add --model model.bitmar."
        )
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise ConfigError(f"{figure}: pictures are written as .png or .svg.")
    frozen = _model(model)
    loaded = [memory_source(s, frozen) for s in sources]
    summaries = [memory_summary(s, frozen) for s in loaded]
    near: list[Near] = []
    if frozen and (text is not None or image is not None):
        near = nearest_slots(loaded[-1], frozen, text or "", image, top)
    if figure is not None:
        from ..report.memory import draw

        draw(loaded, figure)
    if as_json:
        print_json({"memories": [s.as_dict() for s in summaries], "nearest": [n.__dict__ for n in near]})
        return
    _print(summaries, near)
    if figure is not None:
        notes.print(f"Drew {figure}.")


def _model(path: Path | None) -> FrozenModel | None:
    return load(path) if path else None


def _print(summaries: list[Summary], near: list[Near]) -> None:
    last = Path(summaries[-1].name).name
    table = Table(
        "memory",
        "slots",
        "width",
        "commit",
        "empty",
        "effective",
        "fading",
        "rest",
        caption="effective: slots that share the usage; fading: being forgotten; rest: episodes since a slot "
        "was reached, median / most (estimated)",
    )
    for s in summaries:
        table.add_row(
            s.name,
            str(s.slots),
            str(s.width),
            "-" if s.sequence is None else str(s.sequence),
            str(s.empty),
            f"{s.effective_slots:.0f}",
            "-" if s.stale is None else str(s.stale),
            f"{s.rest_median:.0f} / {s.rest_max:.0f}",
        )
    results.print(table)
    if near:
        table = Table(
            "slot",
            "share of the read",
            "cosine",
            "usage (1 = uniform)",
            "rest (estimated)",
            title=f"Slots of {last} that answer",
        )
        for n in near:
            table.add_row(
                str(n.slot), f"{n.share:.1%}", f"{n.cosine:+.3f}", f"{n.usage:.2f}", f"{n.rest:.0f} episodes"
            )
        results.print(table)


@command.command()
@click.argument("store", type=path)
@model_option
@json_option
def verify(store: Path, model: Path | None, as_json: bool) -> None:
    """Read all of a STORE and name every damaged piece. Exit status 1 if rows are lost.

    \b
    Example: bitmar-tiny memory verify /media/card/memory.store
    """
    opened = open_store(store, _model(model))
    memory, lost = opened.check()
    if as_json:
        print_json(
            {
                "store": str(store),
                "slots": memory.slots,
                "width": memory.width,
                "commit": opened.sequence,
                "model_sha256": opened.digest,
                "lost": lost,
                "copies_damaged": opened.damaged,
            }
        )
    for piece in [] if as_json else opened.damaged:
        notes.print(f"{store}: {piece} is damaged; its other copy is whole, and the next episode mends it.")
    if lost:
        error = StoreError(f"{store}: damaged: {'; '.join(lost)}.", SALVAGE)
        error.exit_code = 1
        raise error
    if not as_json:
        notes.print(f"{store}: whole, {memory.slots} slots of {memory.width}, commit {opened.sequence}.")


@command.command()
@click.argument("store", type=path, required=False)
@click.option("-o", "--out", type=path, default=Path("memory.safetensors"), show_default=True)
@click.option(
    "--salvage", is_flag=True, help="Write zeros for the rows of damaged blocks, instead of refusing."
)
@model_option
@force_option
@port_options
@json_option
def export(
    store: Path | None,
    out: Path,
    salvage: bool,
    model: Path | None,
    force: bool,
    port: str | None,
    line: dict[str, Any],
    as_json: bool,
) -> None:
    """Copy the memory of a STORE, or of a board (--port), into a snapshot: codes, scales, usage
    (safetensors).

    \b
    Examples: bitmar-tiny memory export memory.store -o monday.safetensors
              bitmar-tiny memory export --port /dev/ttyUSB0 -o board.safetensors
    """
    _free(out, force)
    if (store is None) == (port is None):
        raise ConfigError("Whose memory shall be copied?", "Name a STORE, or a board with --port.")
    if port:
        with open_target(port, _model(model), line) as board:
            memory, source = export_memory(board, out), f" of {board.name}."
    else:
        leave_out_port_options()
        opened = open_store(store, _model(model))
        memory, source = export_memory(opened, out, salvage=salvage), f", commit {opened.sequence}."
    _wrote(str(out), memory.slots, source, as_json)


@command.command(name="import")
@click.argument("snapshot", type=path)
@click.option("-o", "--out", type=path, default=Path("memory.store"), show_default=True)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the same SNAPSHOT where a lost connection to the board stopped.",
)
@model_option
@force_option
@port_options
@json_option
def import_(
    snapshot: Path,
    out: Path,
    resume: bool,
    model: Path | None,
    force: bool,
    port: str | None,
    line: dict[str, Any],
    as_json: bool,
) -> None:
    """Make a store from a SNAPSHOT, or replace the memory of a board (--port) by it.

    \b
    Examples: bitmar-tiny memory import monday.safetensors -o /media/card/memory.store
              bitmar-tiny memory import monday.safetensors --port /dev/ttyUSB0
    """
    source = load_snapshot(snapshot)
    if port:
        with open_target(port, _model(model), line) as board:
            memory = import_memory(source, board, resume=resume)
            _wrote(board.name, memory.slots, ".", as_json)
        return
    leave_out_port_options()
    _free(out, force)
    memory = import_memory(source, out, model=_model(model))
    _wrote(str(out), memory.slots, ".", as_json)


@command.command()
@click.argument("model", type=model_path)
@click.option("-o", "--out", type=path, default=Path("memory.store"), show_default=True)
@click.option(
    "--empty",
    is_flag=True,
    help="Nothing taught: all rows zero, or of keys and values the learned slots alone.",
)
@force_option
@json_option
def reset(model: Path, out: Path, empty: bool, force: bool, as_json: bool) -> None:
    """Make a new store for a frozen MODEL, with the memory that it was trained to.

    \b
    Example: bitmar-tiny memory reset recall -o memory.store
    """
    _free(out, force)
    made = new_store(out, load(model), empty)
    _wrote(str(out), made.layout.slots, f", {made.layout.size:,} bytes.", as_json)


def _wrote(where: str, slots: int, more: str, as_json: bool) -> None:
    if as_json:
        print_json({"written": where, "slots": slots})
    else:
        notes.print(f"Wrote {where}: {slots} slots{more}", markup=False)


def _free(out: Path, force: bool) -> None:
    if out.exists() and not force:
        raise ConfigError(
            f"{out}: is there already.", "Choose another name with -o, or replace it with --force."
        )
