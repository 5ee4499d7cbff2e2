# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny: train, lower, prove and profile a small image-and-text model that remembers.

    import bitmar_tiny as bt

    model = bt.load("demo")
    print(bt.caption(model, "cat.png"))
    project = bt.write_project(model, "rpi-zero2", "firmware")
    print(bt.verify_model(model, on="host").exact)

What is not in ``__all__`` may change from one version to the next.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import *  # noqa: F403

__version__ = "0.2.0"
__all__ = [
    "__version__",
    "BitmarError",
    "BoardProfile",
    "ConfigError",
    "DataError",
    "DeviceError",
    "FitError",
    "FrozenError",
    "FrozenModel",
    "Memory",
    "MemoryStore",
    "ModelConfig",
    "Program",
    "Project",
    "Recording",
    "Session",
    "StoreError",
    "ToolError",
    "Verdict",
    "VerifyError",
    "board_names",
    "build_project",
    "caption",
    "connect",
    "freeze_run",
    "generate",
    "load",
    "load_board",
    "memory_store",
    "preset",
    "profile_model",
    "random_model",
    "session",
    "train_model",
    "verify_model",
    "write_project",
]


def __getattr__(name: str) -> Any:
    """The public names, loaded when one is asked for: ``import bitmar_tiny`` alone loads nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(".api", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
