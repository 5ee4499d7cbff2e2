# SPDX-License-Identifier: Apache-2.0
"""What 'teach', 'ask', 'forget' and 'memory list' share: whose memory it is, and where it lies."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..api.model import FrozenModel, load, things_model
from ..api.run import is_local, takes_store
from ..api.things import need_kept, read_input
from ..errors import ConfigError
from .common import json_option, leave_out_port_options, line_options, model_path, on_option, show_log

#: The store that is used where none is named.
STORE = Path("memory.store")


@dataclass(frozen=True)
class Place:
    """The model, and where it runs and keeps its memory: arguments of the functions of ``api.things``."""

    model: FrozenModel
    on: str
    store: Path | None
    line: dict[str, Any]

    @property
    def where(self) -> dict[str, Any]:
        return {"on": self.on, "memory": self.store, "log": show_log, **self.line}

    def as_dict(self) -> dict[str, str]:
        """For a JSON document."""
        return {"on": self.on} | ({"store": str(self.store)} if self.store else {})


def place_options(command):
    """--model, --store, --on, the options of a board's line and --json; the command gets the first as a
    ``Place``.
    """

    @functools.wraps(command)
    def placed(
        *, model: Path | None, store: Path | None, on: str, line: dict[str, Any], **others: Any
    ) -> None:
        command(place=_place(model, store, on, line), **others)

    for option in (
        json_option,
        line_options,
        on_option("Where the model runs", default="golden", show_default=True),
        click.option(
            "--store",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"The memory store that holds what was taught; 'teach' makes it. Default: {STORE}; a board "
            "on a port has its own.",
        ),
        click.option(
            "--model",
            type=model_path,
            help="A model that was trained on things (default: model.bitmar of this folder, else the one "
            "that comes with bitmar-tiny).",
        ),
    ):
        placed = option(placed)
    return placed


def image_options(help_text: str):
    """--image PICTURE, a file or - for standard input: its path or its bytes; and --backbone."""

    def read(context: click.Context, parameter: click.Parameter, value: str) -> Path | bytes:
        return read_input(click.get_binary_stream("stdin")) if value == "-" else Path(value)

    def decorate(command):
        for option in (
            click.option(
                "--backbone",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="For a model that was trained on a backbone's vectors: that backbone, .onnx or "
                ".tflite, through which the picture is seen.",
            ),
            click.option("--image", required=True, metavar="PICTURE", callback=read, help=help_text),
        ):
            command = option(command)
        return command

    return decorate


def _place(model: Path | None, store: Path | None, target: str, line: dict[str, Any]) -> Place:
    found = model or things_model()
    if found is None:
        raise ConfigError("Which model is it?", "Name one that was trained on things with --model.")
    if is_local(target):
        leave_out_port_options()
    if takes_store(target):
        store = store or STORE
    need_kept(target, store)
    return Place(load(found), target, store, line)
