# SPDX-License-Identifier: Apache-2.0
"""What Python programs use, all of it importable from ``bitmar_tiny`` itself; a module for each group of
commands, which are clients of it.

Functions are named with a noun where a room of the package has the verb: ``train`` is the room,
``train_model`` the function. Errors are subclasses of ``BitmarError``: ``message`` says what is wrong,
``hint`` how to mend it.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

#: Where the public names are: each module's ``__all__``. What else they hold, the commands alone use.
MODULES = (
    *("..errors", ".model", ".training", ".firmware", ".run", ".page", ".profile", ".board", ".memory"),
    ".things",
)


def modules() -> list[ModuleType]:
    """The modules with public names, the quickest to load first."""
    return [importlib.import_module(name, __name__) for name in MODULES]


def __getattr__(name: str) -> Any:
    """A public name, out of its module."""
    if not name.startswith("_"):
        for module in MODULES:
            found = importlib.import_module(module, __name__)
            if name in found.__all__:
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
