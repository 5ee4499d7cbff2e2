# SPDX-License-Identifier: Apache-2.0
"""What stands between a tap and the one before it: the suspects of a first difference, from the table of
taps.
"""

from __future__ import annotations

from pathlib import Path

from ..arch.c_tables import tap_macro
from ..arch.config import ModelConfig
from ..arch.records import Tap
from ..arch.tables import layer_words


def layer_in_words(cfg: ModelConfig, tap: Tap) -> str:
    """'encoder layer 3', or the part of the model that the tap belongs to."""
    return layer_words(cfg, tap.layer) if tap.layer else tap.name.split(".")[0]


def suspect(tap: Tap, index: tuple[int, ...]) -> str:
    """The suspect of a difference at ``tap[index]``, in words."""
    i = index[0] if index else 0
    if isinstance(tap.suspect, str):
        return (tap.suspect or f"the step that makes {tap.name}").format(i=i)
    for rows, text in tap.suspect:
        if i < rows:
            return text.format(i=i)
        i -= rows
    raise IndexError(f"{tap.name} has no element {index}")


def source_line(tap: Tap, sources: Path | None) -> str:
    """File and line of the C statement that reports this tap, or '' where the sources are not at hand."""
    macro = f"{tap_macro(tap)},"
    for source in sorted(sources.glob("bm_*.c")) if sources else ():
        for number, line in enumerate(source.read_text().splitlines(), 1):
            if macro in line and line.lstrip().startswith("BM_TAP"):
                return f"{source.name}:{number}"
    return ""
