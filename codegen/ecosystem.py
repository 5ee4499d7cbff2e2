# SPDX-License-Identifier: Apache-2.0
"""What an ecosystem expects to be handed (``codegen --as``): a library for any board of it, with an example.

    ecosystems/any.toml            the profile of "any board": one flash, one block of RAM
               example/            C of every example: caption.c, and what calls it
               NAME/ecosystem.py   the class, and ``ecosystem``, the one object of it
                    templates/     what is filled in; usage.md.j2 is the first part of the README

An ecosystem is a platform that no board has: it makes a board of its own, which ``emit`` takes as any other.
"""

from __future__ import annotations

import difflib
import importlib
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bitmar_tiny.errors import ConfigError, ToolError

from .boards import Board
from .components import Component, c_files
from .kernels import families
from .lower import Blob
from .platform import Platform, three_numbers
from .resources import resource_dir

#: Words of a line of the model's array.
WORDS_A_LINE = 8


class Ecosystem(Platform):
    """The base of every ecosystem: the runtime and the model in ``src``, an example beside it.

    ``title``: what people call it; ``own_folder``: of the example's C; ``builds``: what compiles it, with the
    command that does; ``files``: templates of the ecosystem's folder -> files of the package;
    ``passes_flags``: a library of it may ask for compiler flags of single sources, so that it may hold
    kernels that need some; ``entry``: the function that the example begins with; empty where its own
    templates have one.
    """

    components = ("model", "blob_array")
    title: ClassVar[str]
    builds: ClassVar[str]
    files: ClassVar[dict[str, str]]
    passes_flags: ClassVar[bool] = False
    entry: ClassVar[str] = "int main(void)\n{\n    return run();\n}"

    @property
    def manifest(self) -> dict[str, str]:
        return {"as": self.name}

    def board(self) -> Board:
        """Any board of the ecosystem, as a profile."""
        path = _root() / "any.toml"
        kernels = [f.name for f in families().values() if self.passes_flags or not f.flags]
        values = tomllib.loads(path.read_text()) | {
            "name": self.name,
            "title": self.title,
            "platform": self,
            "kernels": sorted(kernels, key=lambda name: name != "portable"),
        }
        return Board.parse(values, str(path))

    def check_build(self, board: Board) -> None:
        raise ToolError(
            f"What --as {self.name} wrote is not compiled here, but by those who use it.", self.builds
        )

    def sources(self, board: Board, runtime: list[Component]) -> list[Path]:
        return c_files(_root() / "example")

    def templates(self, board: Board) -> dict[str, str]:
        main = {"ecosystems/example/main.c.j2": f"{self.own_folder}/main.c"} if self.entry else {}
        own = {self.own(f"templates/{name}"): file for name, file in self.files.items()}
        return main | {"LICENSE": "LICENSE", "ecosystems/README.md.j2": "README.md"} | own

    def own(self, template: str) -> str:
        return f"ecosystems/{self.name}/{template}"

    def context(self, board: Board, copied: dict[str, list[str]]) -> dict[str, Any]:
        compiled = [f for f in copied[self.model_folder] if f.endswith((".c", ".S"))]
        return {
            "library_sources": sorted([*compiled, "bm_step.c", "bm_blob.c"]),
            "has_assembly": any(f.endswith(".S") for f in compiled),
            "entry": self.entry,
            "named": package_name,
            "package_version": three_numbers(),
        }

    def extra_files(self, blob: Blob, project: Path, store: bytes) -> dict[str, str]:
        return {f"{self.model_folder}/bm_blob.c": c_array(blob.to_bytes())}

    def next_step(self, project: Path) -> str:
        return self.builds


def package_name(model: str, separator: str = "_") -> str:
    """Of the package with a model of this name: letters and digits between separators."""
    return separator.join(re.findall("[A-Za-z0-9]+", f"bitmar {model}"))


def c_array(data: bytes) -> str:
    """The packed model as C: little-endian words, aligned as the kernels want it."""
    words = np.frombuffer(data + bytes(-len(data) % 4), "<u4")
    lines = (
        ",".join(f"0x{word:x}u" for word in words[i : i + WORDS_A_LINE])
        for i in range(0, len(words), WORDS_A_LINE)
    )
    return (
        "/* SPDX-License-Identifier: MIT-0 */\n"
        "/* model.blob as an array: the linker leaves it out where nothing names bm_blob. */\n"
        '#include "bm_blob.h"\n\n'
        f"const uint32_t bm_blob[{len(words)}] __attribute__((aligned(64))) = {{\n"
        + ",\n".join(lines)
        + "};\n"
    )


def ecosystem_names() -> list[str]:
    """Every ecosystem there is."""
    return sorted(p.parent.name for p in _root().glob("*/ecosystem.py"))


@cache
def load_ecosystem(name: str) -> Ecosystem:
    """An ecosystem by the name of its folder. ``ConfigError`` if there is none."""
    if name not in ecosystem_names():
        near = difflib.get_close_matches(name, ecosystem_names(), n=1)
        raise ConfigError(
            f"There is no ecosystem '{name}'.",
            f"Did you mean '{near[0]}'?" if near else f"Choose one of: {', '.join(ecosystem_names())}.",
        )
    return importlib.import_module(f"bitmar_tiny.firmware_templates.ecosystems.{name}.ecosystem").ecosystem


def _root() -> Path:
    return resource_dir("firmware_templates") / "ecosystems"
