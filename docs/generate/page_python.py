# SPDX-License-Identifier: Apache-2.0
"""The public Python interface, from its docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from blocks import NOTE, code, names_in_code, prose, table

import bitmar_tiny as bt


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
