# SPDX-License-Identifier: Apache-2.0
"""The settings, from the classes that check them."""

from __future__ import annotations

import json
import typing
from typing import Any

from blocks import NOTE, table
from pydantic.fields import FieldInfo

from bitmar_tiny.arch import config as arch
from bitmar_tiny.codegen import boards, kernels
from bitmar_tiny.train.config import TrainConfig

SETTINGS: dict[str, tuple[type[arch.StrictModel], str]] = {
    "Model": (arch.ModelConfig, "The shapes of a model: `train --config FILE`, a JSON object."),
    "Training": (TrainConfig, "How a run learns: `train --settings FILE`, a JSON object."),
    "Board profile": (boards.Board, "One TOML file: [Add a board](../how-to/add-a-board.md) shows one."),
    "Board profile: `[[regions]]`": (boards.Region, ""),
    "Board profile: `[compilers.NAME]`": (boards.Compiler, ""),
    "Board profile: `[speed]`": (boards.Speed, ""),
    "Board profile: `[stream]`": (boards.Stream, ""),
    "Board profile: `[power]`": (boards.Power, ""),
    "Board profile: `[serial]`": (boards.Serial, ""),
    "Board profile: `[flash]`": (boards.Flash, ""),
    "Board profile: `[[flash.partitions]]`": (boards.Partition, ""),
    "Kernel family": (
        kernels.KernelFamily,
        "`family.toml` beside a kernel. [Add a kernel](../how-to/add-a-kernel.md) shows one.",
    ),
    "Kernel family: `layout`": (kernels.KernelLayout, ""),
    "Kernel family: `static`": (kernels.StaticReport, ""),
}


PLAIN_TYPES = {
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "str": "text",
    "Platform": "text",
}


def settings() -> str:
    text = "# Settings\n\n" + NOTE.format(source="the classes that check them")
    text += "An unknown key or a value out of range is an error that names the file and the key.\n\n"
    for heading, (kind, what) in SETTINGS.items():
        text += f"## {heading}\n\n" + (f"{what}\n\n" if what else "")
        rows = [_setting(*field) for field in kind.model_fields.items()]
        text += table(["key", "value", "default", "meaning"], rows)
        if kind in (arch.ModelConfig, TrainConfig):
            text += _presets(kind)
    return text


def _setting(name: str, field: FieldInfo) -> list[str]:
    limits = [
        f"{sign} {getattr(m, word):,}"
        for m in field.metadata
        for word, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
        if getattr(m, word, None) is not None
    ]
    default = "required" if field.is_required() else f"`{_plain(field.default)}`"
    return [f"`{name}`", ", ".join([_type(field.annotation), *limits]), default, field.description or ""]


def _plain(value: Any) -> str:
    if isinstance(value, bool | tuple | list | dict):
        return json.dumps(value)
    return {None: "not set", "": '""'}.get(value, str(value)) if isinstance(value, str | None) else str(value)


def _type(kind: Any) -> str:
    choices = [a for a in typing.get_args(kind) if a is not type(None)]
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(f"`{c}`" for c in choices)
    if type(None) in typing.get_args(kind):
        return _type(choices[0])
    if typing.get_origin(kind) in (list, tuple):
        return f"list of {_type(choices[0])}"
    if typing.get_origin(kind) is dict:
        return f"table of {_type(choices[1])}"
    return PLAIN_TYPES.get(kind.__name__, "table")


def _presets(kind: type[arch.StrictModel]) -> str:
    presets: dict[str, arch.StrictModel] = {
        name: arch.preset(name) if kind is arch.ModelConfig else TrainConfig.for_preset(name)
        for name in arch.PRESETS
    }
    differ = {k for k in kind.model_fields if len({str(getattr(p, k)) for p in presets.values()}) > 1}
    keys = [k for k in kind.model_fields if k in differ - {"name"}]
    rows = [[f"`{k}`", *(str(getattr(p, k)) for p in presets.values())] for k in keys]
    return "Presets differ in these keys:\n\n" + table(["key", *(f"`{n}`" for n in presets)], rows)
