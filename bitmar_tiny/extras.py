# SPDX-License-Identifier: Apache-2.0
"""Packages beyond the base install: which extra brings each, and the one sentence for whoever misses it."""

from __future__ import annotations

from importlib import util

from .errors import ToolError

#: Module -> the extra of pyproject.toml that installs it.
EXTRAS = {
    "torch": "train",
    "matplotlib": "train",
    "tensorboard": "train",
    "tokenizers": "train",
    "zstandard": "train",
    "resvg_py": "images",
    "onnx": "export",
    "onnxruntime": "export",
    "ai_edge_litert": "export",
    "flatbuffers": "export",
    "lm_eval": "eval",
    "esptool": "device",
    "ziglang": "cross",
    "wasmtime": "web",
}


def install(*modules: str) -> str:
    """The pip command that brings modules."""
    extras = ",".join(dict.fromkeys(EXTRAS[m] for m in modules if m in EXTRAS))
    others = [m.replace("_", "-") for m in modules if m not in EXTRAS]
    return " ".join(["pip install", *([f"'bitmar-tiny[{extras}]'"] if extras else []), *others])


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
    *others, last = (m.replace("_", "-") for m in modules)
    what = f"{', '.join(others)} and {last}, which are" if others else f"{last}, which is"
    return ToolError(f"This needs {what} not installed.", install(*modules))
