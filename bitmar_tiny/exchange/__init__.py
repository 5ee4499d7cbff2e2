"""The model in the formats of the ecosystem: ONNX and LiteRT, written from one definition of the step, read back, cross-checked."""

from __future__ import annotations

from importlib import util

from ..errors import ToolError


def need(*packages: str) -> None:
    """``ToolError`` with the fix, where a package that a format needs is not installed."""
    missing = [p for p in packages if util.find_spec(p.replace("-", "_")) is None]
    if missing:
        raise ToolError(
            f"This format needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            f"pip install {' '.join(missing)}",
        )
