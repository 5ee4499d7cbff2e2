# SPDX-License-Identifier: Apache-2.0
"""Parts of the runtime: one folder each in firmware_templates/runtime, of which a project gets what it needs.

``component.toml`` says what a component is for (``what``), which others it calls (``needs``) and which of its
sources run once per token (``hot``). Its files are all that lie beside that description.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from bitmar_tiny.arch.config import ModelConfig, StrictModel
from bitmar_tiny.errors import ConfigError

from .lower import Blob
from .resources import resource_dir

DESCRIPTION = "component.toml"
#: What compilers read.
SUFFIXES = (".c", ".h", ".S")


class Component(StrictModel):
    """A folder of the runtime. ``hot``: names without suffix."""

    name: str
    what: str
    needs: list[str] = []
    hot: list[str] = []

    @property
    def files(self) -> list[Path]:
        """What is copied into a project."""
        return c_files(resource_dir("firmware_templates") / "runtime" / self.name)


def c_files(folder: Path) -> list[Path]:
    """The C and assembly of a folder, by name; none of a folder that does not exist."""
    return sorted(f for f in folder.glob("*") if f.suffix in SUFFIXES)


def useful(cfg: ModelConfig, blob: Blob) -> frozenset[str]:
    """Optional components that a model has a use for: pictures, the store of its memory, and what shows it a
    thing once, which needs that store, a keyed memory and a tokenizer.
    """
    if blob.memory != "sd":
        return frozenset(["picture"])
    writes_text = any(s.name == "tokenizer" and s.data for s in blob.sections)
    return frozenset(["picture", "memory_store", *(["show_once"] if cfg.keyed and writes_text else [])])


@cache
def component(name: str) -> Component:
    """One component by the name of its folder. ``ConfigError`` if it or a sound description is missing."""
    path = resource_dir("firmware_templates") / "runtime" / name / DESCRIPTION
    try:
        return Component(name=name, **tomllib.loads(path.read_text()))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError(f"{path}: not a readable description of a component ({error}).") from None


def with_needs(names: Iterable[str]) -> list[Component]:
    """The named components and all that they call, each once, a component behind what it needs."""
    found: dict[str, Component] = {}

    def add(name: str) -> None:
        if name not in found:
            for other in component(name).needs:
                add(other)
            found[name] = component(name)

    for name in names:
        add(name)
    return list(found.values())
