# SPDX-License-Identifier: Apache-2.0
"""Who may know whom (design, "The house"): the rooms of the package, the ways between them, and nothing
upward.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: The rooms, from the ground up. A room imports only rooms that stand before it.
ROOMS = (
    "errors",
    "files",
    "arch",
    "extras",
    "golden",
    "data",
    "frozen",
    "memory",
    "codegen",
    "firmware_templates",
    "model",
    "profile",
    "device",
    "exchange",
    "run",
    "page",
    "verify",
    "train",
    "evaluate",
    "simulate",
    "bench",
    "report",
    "research",
    "api",
    "cli",
)
#: The commands are clients of the public API. These rooms only those know that are for developers.
DEVELOPER_ROOMS = ("bench", "evaluate", "simulate")
DEVELOPER_COMMANDS = ("bench", "demo", "evaluate", "holdout", "paper")
#: Rooms with a stricter rule: all that they may import of ours ...
ONLY = {  # firmware_templates holds the classes of the platforms, which codegen loads by name
    "golden": {"arch"},
    "codegen": {
        "errors",
        "files",
        "extras",
        "arch",
        "golden",
        "memory",
        "data",
        "frozen",
        "firmware_templates",
    },
    "model": {"errors", "arch", "golden", "frozen", "memory"},
    "cli": {"api", "errors", "extras", "files", "report", *DEVELOPER_ROOMS},
}
#: ... and what they must do without, of others'.
WITHOUT = {
    "torch": {
        "errors",
        "files",
        "arch",
        "golden",
        "memory",
        "frozen",
        "codegen",
        "device",
        "profile",
        "page",
        "api",
        "cli",
    },
    "click": set(ROOMS) - {"cli"},
}


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """(module name, file) of the whole package, as it is when installed."""
    for folder, name in (
        (root / "bitmar_tiny", "bitmar_tiny"),
        (root / "codegen", "bitmar_tiny.codegen"),
        (root / "firmware_templates", "bitmar_tiny.firmware_templates"),
    ):
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            yield ".".join([name, *(p for p in parts if p != "__init__")]), file


def imports(module: str, file: Path) -> Iterator[str]:
    """Full names of what a module imports, at its top and inside its functions."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            yield from (
                f"{base}.{alias.name}" if base in ("", "bitmar_tiny") else base for alias in node.names
            )


def faults(root: Path) -> list[str]:
    """Every import that breaks a rule, in words."""
    found = []
    for module, file in modules(root):
        room = module.split(".")[1] if "." in module else ""
        if room in ("", "__main__"):
            continue
        if room not in ROOMS:
            found.append(f"{module}: '{room}' has no place among the rooms")
            continue
        for name in imports(module, file):
            outer, _, rest = name.partition(".")
            other = rest.split(".")[0]
            if outer != "bitmar_tiny":
                if room in WITHOUT.get(outer, ()):
                    found.append(f"{module} imports {outer}")
            elif other in ROOMS and other != room:
                if ROOMS.index(other) > ROOMS.index(room):
                    found.append(f"{module} imports upward: {name}")
                elif other not in ONLY.get(room, ROOMS) or (
                    room == "cli"
                    and other in DEVELOPER_ROOMS
                    and module.split(".")[-1] not in DEVELOPER_COMMANDS
                ):
                    found.append(f"{module} may not know {name}")
    return found


def test_every_import_follows_the_rules():
    assert faults(ROOT) == []
    assert len(list(modules(ROOT))) > 150


@pytest.mark.parametrize(
    "file, text, fault",
    [
        ("bitmar_tiny/golden/x.py", "import torch", "bitmar_tiny.golden.x imports torch"),
        ("bitmar_tiny/golden/x.py", "from ..codegen.pack import pack", "upward"),
        ("bitmar_tiny/golden/x.py", "from ..errors import ConfigError", "may not know"),
        ("codegen/x.py", "def f():\n    import torch.nn", "bitmar_tiny.codegen.x imports torch"),
        ("codegen/x.py", "from bitmar_tiny.report import plots", "upward"),
        ("codegen/sub/x.py", "from ...device import board", "upward"),
        ("bitmar_tiny/model/x.py", "from bitmar_tiny import codegen", "may not know"),
        ("bitmar_tiny/train/x.py", "from ..cli.app import notes", "upward"),
        ("bitmar_tiny/cli/x.py", "from ..codegen.boards import load_board", "may not know"),
        ("bitmar_tiny/cli/x.py", "def f():\n    from ..train.run import train_run", "may not know"),
        ("bitmar_tiny/cli/flash.py", "from ..evaluate import suite", "may not know"),
        ("bitmar_tiny/report/x.py", "import click", "imports click"),
        ("bitmar_tiny/attic/x.py", "", "has no place"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, file, text, fault):
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert len(faults(tmp_path)) == 1 and fault in faults(tmp_path)[0]


def test_what_keeps_the_rules_is_let_through(tmp_path):
    (tmp_path / "bitmar_tiny/golden").mkdir(parents=True)
    (tmp_path / "bitmar_tiny/golden/x.py").write_text(
        "import numpy\nfrom ..arch import config\nfrom . import numerics"
    )
    assert faults(tmp_path) == []
