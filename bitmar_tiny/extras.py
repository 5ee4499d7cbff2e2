"""Packages beyond the base install: which extra brings each, and the one sentence for whoever misses it."""

from __future__ import annotations

from importlib import util

from .errors import ToolError

#: Module -> the extra of pyproject.toml that installs it.
EXTRAS = {
    "torch": "train",
    "matplotlib": "train",
    "tensorboard": "train",
    "resvg_py": "images",
    "onnx": "export",
    "onnxruntime": "export",
    "ai_edge_litert": "export",
    "flatbuffers": "export",
    "lm_eval": "eval",
    "esptool": "device",
    "ziglang": "cross",
}


def install(module: str) -> str:
    """The pip command that brings a module."""
    if module in EXTRAS:
        return f"pip install 'bitmar-tiny[{EXTRAS[module]}]'"
    return f"pip install {module.replace('_', '-')}"


def installed(module: str) -> bool:
    """Whether a module is there, without importing it."""
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def need(*modules: str) -> None:
    """``ToolError`` with the fix, where one of these modules of an extra is not installed."""
    missing = [m for m in modules if not installed(m)]
    if missing:
        raise lacking(*missing)


def lacking(*modules: str) -> ToolError:
    """What to say where these modules are missing."""
    verb = "is" if len(modules) == 1 else "are"
    return ToolError(
        f"This needs {' and '.join(m.replace('_', '-') for m in modules)}, which {verb} not installed.",
        f"Run: {' and '.join(dict.fromkeys(map(install, modules)))}",
    )
