# SPDX-License-Identifier: Apache-2.0
"""Plain JavaScript modules joined into one script: each becomes what a function returns, before those that
import it.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..codegen.resources import resource_dir
from .tables import modules

APP = Path(__file__).parent / "app"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:const|class|function|async function) (\w+))", re.MULTILINE)
#: Lines that only people read: comments that have a line of their own, and indentation.
_COMMENT = re.compile(r"^\s*//.*\n|^\s*/\*\*(?:.|\n)*?\*/\n", re.MULTILINE)
_INDENT = re.compile(r"^ +", re.MULTILINE)


def source(name: str) -> str:
    """The text of the module ``name``."""
    if name == "module":  # that of every project for the web
        folder = resource_dir("firmware_templates") / "platforms" / "web" / "templates"
        return (folder / "module.mjs").read_text(encoding="utf-8")
    return modules().get(name) or (APP / f"{name}.js").read_text(encoding="utf-8")


def bundle(entry: str) -> str:
    """The module ``entry`` and all that it imports, as one script without imports."""
    found: dict[str, str] = {}

    def add(name: str) -> None:
        if name in found:
            return
        text = source(name)
        for _, needed in _IMPORT.findall(text):
            add(needed)
        found[name] = text

    add(entry)
    parts = [_closed(name, text) for name, text in found.items() if name != entry]
    return '"use strict";\n' + "".join([*parts, _plain(found[entry])])


def _plain(text: str) -> str:
    """A module without ``export``, whose imports are constants, without what only people read."""
    text = _EXPORT.sub(r"\1", _IMPORT.sub(r"const {\1} = in_\2;\n", text))
    return _INDENT.sub("", _COMMENT.sub("", text))


def _closed(name: str, text: str) -> str:
    """A module as a constant with what it exports."""
    exported = ", ".join(name for _, name in _EXPORT.findall(text))
    return f"const in_{name} = (() => {{\n{_plain(text)}return {{ {exported} }};\n}})();\n"
