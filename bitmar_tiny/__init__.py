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
    from .api.board import *
    from .api.firmware import *
    from .api.memory import *
    from .api.model import *
    from .api.page import *
    from .api.profile import *
    from .api.run import *
    from .api.things import *
    from .api.training import *
    from .errors import *

__version__ = "0.2.0"
__all__ = [
    "__version__",
    "Agreement",
    "Answering",
    "BitmarError",
    "BoardProfile",
    "BoardSpeed",
    "Comparison",
    "ConfigError",
    "DataError",
    "DeviceError",
    "FitError",
    "FrozenError",
    "FrozenModel",
    "LineTest",
    "Memory",
    "MemoryStore",
    "ModelConfig",
    "PictureEncoder",
    "ProcessorError",
    "Program",
    "Project",
    "Recording",
    "Seen",
    "SerialPort",
    "Session",
    "StoreError",
    "Taught",
    "Thing",
    "ToolError",
    "Verdict",
    "VerifyError",
    "ask_thing",
    "board_names",
    "board_speeds",
    "build_corpus",
    "build_project",
    "caption",
    "compare_profiles",
    "connect",
    "estimate_errors",
    "export_memory",
    "export_model",
    "flash_project",
    "forget_thing",
    "freeze_run",
    "generate",
    "import_memory",
    "import_model",
    "line_test",
    "load",
    "load_board",
    "memory_source",
    "memory_store",
    "memory_summary",
    "model_size",
    "nearest_slots",
    "neighbours",
    "open_backbone",
    "preset",
    "profile_model",
    "random_model",
    "serial_ports",
    "session",
    "shrink_model",
    "taught_things",
    "teach_thing",
    "text_stream",
    "train_model",
    "training_figures",
    "verify_export",
    "verify_model",
    "write_features",
    "write_package",
    "write_page",
    "write_project",
    "write_thing_features",
]


def __getattr__(name: str) -> Any:
    """The public names, loaded when one is asked for: ``import bitmar_tiny`` alone loads nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(".api", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
