# SPDX-License-Identifier: Apache-2.0
"""The commands, from the commands themselves."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any

import click
from blocks import NOTE, code, table

from bitmar_tiny.cli import app


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
    # with its own settings: click keeps the first help option that it makes, for every later help
    parent = click.Context(group, info_name="bitmar-tiny", obj=app.Given(), **group.context_settings)
    for heading, names in app.GROUPS.items():
        text += f"## {heading.capitalize()}\n\n"
        for name in names:
            text += "".join(_command(group.get_command(parent, name), name, parent, "###"))
    return re.sub(r"docs/([\w/-]+\.md)", r"[docs/\1](../\1)", text)


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
