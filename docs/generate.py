# SPDX-License-Identifier: Apache-2.0
"""Write the pages of docs/reference that follow from the code: commands, settings, Python and C interface.

Example: python docs/generate.py        (in the folder of the repository; a test says when it is due)
"""

from __future__ import annotations

import html
import inspect
import json
import re
import textwrap
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from pydantic.fields import FieldInfo

import bitmar_tiny as bt
from bitmar_tiny.arch import config as arch
from bitmar_tiny.cli import app
from bitmar_tiny.codegen import boards, kernels
from bitmar_tiny.train.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
NOTE = "<!-- Written by docs/generate.py from {source}. Change that, not this page. -->\n\n"
HEADERS = {
    "The model": "model/bitmar.h",
    "What a board gives the link": "link/bm_port.h",
    "Where the memory lies": "model/bm_tier.h",
    "The memory's store": "memory_store/bm_store.h",
    "The kernels": "model/bm_kernels.h",
}
SETTINGS: dict[str, tuple[type[arch.StrictModel], str]] = {
    "Model": (arch.ModelConfig, "The shapes of a model: `train --config FILE`, a JSON object."),
    "Training": (TrainConfig, "How a run learns: `train --settings FILE`, a JSON object."),
    "Board profile": (boards.Board, "One TOML file: [Add a board](../how-to/add-a-board.md) shows one."),
    "Board profile: `[[regions]]`": (boards.Region, ""),
    "Board profile: `[compilers.NAME]`": (boards.Compiler, ""),
    "Board profile: `[speed]`": (boards.Speed, ""),
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


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_cell(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def code(text: str, language: str = "") -> str:
    return f"```{language}\n{textwrap.dedent(text).strip()}\n```\n\n"


def prose(doc: str) -> str:
    """A docstring as Markdown: names in code, examples in blocks of their own."""
    text = ""
    for part in inspect.cleandoc(doc).split("\n\n"):
        text += code(part, "python") if part.startswith((">>>", "    ")) else names_in_code(part) + "\n\n"
    return text.replace("```\n\n```python\n", "\n")


def names_in_code(text: str) -> str:
    return re.sub(r"(?::\w+:)?``?(~?[^`]+?)``?(?!`)", r"`\1`", text)


# --- commands


def cli() -> str:
    text = "# Commands\n\n" + NOTE.format(source="the commands themselves")
    text += "`bitmar-tiny COMMAND --help` prints the same. `--debug` shows the traceback of an error.\n\n"
    text += table(
        ["exit code", "meaning"],
        [
            ["0", "success"],
            ["1", "a difference was found (`verify`, `compare`)"],
            ["2", "bad input or a missing tool; the error says how to fix it"],
            [str(app.INTERNAL_FAULT), "a fault of bitmar-tiny itself"],
            ["130, 141", "you interrupted it; the program that read its output stopped"],
        ],
    )
    group = typing.cast(click.Group, app.app)
    parent = click.Context(group, info_name="bitmar-tiny", obj=app.Given())
    for heading, names in app.GROUPS.items():
        text += f"## {heading.capitalize()}\n\n"
        for name in names:
            text += "".join(_command(group.get_command(parent, name), name, parent, "###"))
    return text


def _command(command: click.Command | None, name: str, parent: click.Context, level: str) -> Iterator[str]:
    assert command is not None
    context = click.Context(command, info_name=name, parent=parent)
    yield f"{level} {name}\n\n"
    for part in inspect.cleandoc(command.help or "").split("\n\n"):
        yield _examples(part) if part.startswith("\b") else " ".join(part.split()) + "\n\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield code(f"{context.command_path} {usage}")
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    rows = [_option(o, context) for o in options if o.name != "debug"]
    if rows:
        yield table(["option", "default", "meaning"], rows)
    if isinstance(command, click.Group):
        for part, sub in command.commands.items():
            yield from _command(sub, part, context, level + "#")


def _examples(part: str) -> str:
    """A paragraph of a help text that is shown as it stands, without its first word."""
    first, word, rest = part.removeprefix("\b\n").partition("Example")
    mark, _, lines = rest.partition(": ")
    return code(first + " " * len(f"{word}{mark}: ") + lines, "sh")


def _limits(kind: click.ParamType) -> str:
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is None:
        return ""
    return f" At least {low:g}." if high is None else f" {low:g} to {high:,}."


def _option(option: click.Option, context: click.Context) -> list[str]:
    value = "" if option.is_flag else f" {option.make_metavar(context)}".replace("INTEGER RANGE", "N")
    value = value.replace("FLOAT RANGE", "X").replace("INTEGER", "N")
    names = ", ".join(f"`{name}{value}`" for name in (*option.opts, *option.secondary_opts))
    shown = option.show_default and not callable(option.default) and option.default is not None
    default: Any = option.default if shown else None
    if option.secondary_opts:  # --norm/--no-norm
        default = (option.opts if option.default else option.secondary_opts)[0]
    said = (option.help or "") + _limits(option.type)
    if option.multiple and "repeatable" not in said:
        said += " Repeatable."
    return [names, "" if default is None or default is False else f"`{default}`", said]


# --- settings


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


# --- Python


def python() -> str:
    text = "# Python\n\n" + NOTE.format(source="the docstrings")
    text += prose(inspect.getdoc(bt) or "")
    names = [n for n in bt.__all__ if not n.startswith("_")]
    kinds = {n: getattr(bt, n) for n in names}
    text += "## Functions\n\n"
    for name in (n for n in names if not inspect.isclass(kinds[n])):
        text += f"### {name}\n\n" + _signature(name, kinds[name]) + prose(inspect.getdoc(kinds[name]) or "")
    text += "## Classes\n\n"
    classes = {n: k for n, k in kinds.items() if inspect.isclass(k)}
    for name in (n for n, k in classes.items() if not issubclass(k, BaseException)):
        text += f"### {name}\n\n" + prose(classes[name].__doc__ or "") + _members(name, classes[name])
    text += "## Errors\n\n"
    errors = {n: k for n, k in classes.items() if issubclass(k, bt.BitmarError)}
    rows = [[f"`{n}`", str(k.exit_code), names_in_code(inspect.getdoc(k) or "")] for n, k in errors.items()]
    return text + table(["class", "exit code", "when"], rows)


def _signature(name: str, function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    written = []
    for p in signature.parameters.values():
        stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        kind = "" if p.annotation is p.empty else f": {p.annotation}"
        if p.kind is p.KEYWORD_ONLY and "*" not in written:
            written.append("*")
        if p.name not in ("self", "cls"):
            default = "..." if callable(p.default) else repr(p.default)
            written.append(f"{stars}{p.name}{kind}" + ("" if p.default is p.empty else f" = {default}"))
    one = f"{name}({', '.join(written)}) -> {signature.return_annotation}"
    split = "".join(f"    {part},\n" for part in written)
    return code(one if len(one) < 100 else f"{name}(\n{split}) -> {signature.return_annotation}", "python")


def _members(public: str, kind: type) -> str:
    """Methods and properties of a class that say what they do."""
    text = ""
    for name, member in vars(kind).items():
        function = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
        doc = getattr(function, "__doc__", None)
        if not name.startswith("_") and inspect.isfunction(function) and doc:
            full = f"{public}.{name}"
            text += f"`{full}`\n\n" if isinstance(member, property) else _signature(full, function)
            text += prose(doc)
    return text


# --- C


def c() -> str:
    text = "# C\n\n" + NOTE.format(source="the headers")
    text += "A generated project holds these headers. None includes a header of an operating system.\n\n"
    for heading, place in HEADERS.items():
        text += f"## {heading}: `{Path(place).name}`\n\n"
        text += _header((ROOT / "firmware_templates" / "runtime" / place).read_text())
    return text


#: Lines of a header that nobody looks for.
GUARDS = r"^#(?:if|endif|ifndef|ifdef|include|define \w+_H$).*\n|^extern \"C\" \{\n|^\}\n"


def _header(source: str) -> str:
    """Comments as text, declarations as code."""
    body = re.sub(GUARDS, "", source, flags=re.M)
    body = body.replace("/* SPDX-License-Identifier: MIT-0 */\n", "")
    text = ""
    for part in filter(None, (p.strip() for p in re.split(r"\n\s*\n(?=\S)", body))):
        said = re.match(r"/\*(.*?)\*/\n?", part, re.S)
        rest = part[said.end() :] if said else part
        if said:
            lines = [re.sub(r"^ ?\* ?", "", line) for line in said[1].strip().splitlines()]
            text += _comment("\n".join(lines))
        if rest.strip():
            text += code(rest, "c")
    return text


def _comment(said: str) -> str:
    """Lines that are set in are an example."""
    parts = re.split(r"((?:^ {2,}.*\n?)+)", said, flags=re.M)
    shown = (
        code(p, "c") if p.startswith("  ") else f"{html.escape(p.strip(), quote=False)}\n\n" for p in parts
    )
    return "".join(part for part in shown if part.strip())


PAGES: dict[str, Callable[[], str]] = {"cli.md": cli, "settings.md": settings, "python.md": python, "c.md": c}


def pages() -> dict[Path, str]:
    """The text of every generated page."""
    return {REFERENCE / name: write().rstrip() + "\n" for name, write in PAGES.items()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
