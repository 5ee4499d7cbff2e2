# SPDX-License-Identifier: Apache-2.0
"""The C interface, from the headers."""

from __future__ import annotations

import html
import re
from pathlib import Path

from blocks import NOTE, code

RUNTIME = Path(__file__).resolve().parents[2] / "firmware_templates" / "runtime"
HEADERS = {
    "The model": "model/bitmar.h",
    "The model in the program": "blob_array/bm_blob.h",
    "What a board gives the link": "link/bm_port.h",
    "Ways to stream the head": "model/bm_stream.h",
    "Where the memory lies": "model/bm_tier.h",
    "The memory's store": "memory_store/bm_store.h",
    "Things that are shown once": "show_once/bm_show.h",
    "What is said of them": "show_once/bm_words.h",
    "The kernels": "model/bm_kernels.h",
}


def c() -> str:
    text = "# C\n\n" + NOTE.format(source="the headers")
    text += "A generated project holds those of these headers that it needs. "
    text += "None includes a header of an operating system.\n\n"
    for heading, place in HEADERS.items():
        text += f"## {heading}: `{Path(place).name}`\n\n"
        text += _header((RUNTIME / place).read_text())
    return text


#: Lines of a header that nobody looks for.
GUARDS = r"^#(?:if|endif|ifndef|ifdef|include|define \w+_H$).*\n|^extern \"C\" \{\n|^\}\n"


def _header(source: str) -> str:
    """Comments as text, declarations as code."""
    body = re.sub(GUARDS, "", source, flags=re.M)
    body = body.replace("/* SPDX-License-Identifier: MIT-0 */\n", "")
    text = ""
    for part in filter(None, (p.strip() for p in re.split(r"\n\s*\n(?=\S)", body))):
        said = re.match(r"/\*(.*?)\*/\n?", part, re.S)
        rest = part[said.end() :] if said else part
        if said:
            lines = [re.sub(r"^ ?\* ?", "", line) for line in said[1].strip().splitlines()]
            text += _comment("\n".join(lines))
        if rest.strip():
            text += code(rest, "c")
    return text


def _comment(said: str) -> str:
    """Lines that are set in are an example."""
    parts = re.split(r"((?:^ {2,}.*\n?)+)", said, flags=re.M)
    shown = (
        code(p, "c") if p.startswith("  ") else f"{html.escape(p.strip(), quote=False)}\n\n" for p in parts
    )
    return "".join(part for part in shown if part.strip())
