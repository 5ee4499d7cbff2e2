# SPDX-License-Identifier: Apache-2.0
"""Linux: a program with commands, which runs here, under an emulator, or on a board."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bitmar_tiny.codegen.platform import Platform
from bitmar_tiny.memory.format import UNIT

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board
    from bitmar_tiny.codegen.lower import Blob

#: The generated source of the store that a memory begins with.
FIRST = "linux_first.c"
#: The source that calls OpenSSL.
SIGNATURE = "linux_signature.c"


class Linux(Platform):
    """A program with commands."""

    components = ("model", "blob", "serve", "picture")
    optional = ("memory_store", "show_once", "update", "update_signature")
    hot = ("linux_peak",)
    compile_flags = ("-pthread",)
    runs_here = takes_backbone = True
    port_kind = "host"

    def templates(self, board: Board) -> dict[str, str]:
        return super().templates(board) | {self.own("templates/CMakeLists.txt.j2"): "CMakeLists.txt"}

    def context(self, board: Board, copied: dict[str, list[str]]) -> dict[str, Any]:
        own = {f.name for f in self.sources(board, self.runtime())}
        c = [name for name in copied[self.model_folder] if name.endswith(".c")]
        return super().context(board, copied) | {
            "library_sources": [*(name for name in c if name not in own), "bm_step.c"],
            "program_sources": [name for name in c if name in own] + [FIRST] * ("linux_show.c" in c),
        }

    def libraries(self, sources: Collection[str]) -> list[str]:
        return ["-lcrypto"] * (SIGNATURE in sources)

    def extra_files(self, blob: Blob, project: Path, store: bytes) -> dict[str, str]:
        """The store that a memory begins with, for the program that makes it."""
        shown = (project / self.model_folder / "linux_show.c").is_file()
        return {f"{self.model_folder}/{FIRST}": first_store(store)} if shown else {}


def first_store(store: bytes) -> str:
    """C of the store's pieces: units that hold something, those side by side as one."""
    words = np.frombuffer(store, "<u4").reshape(-1, UNIT // 4)
    holds = np.concatenate([[False], words.any(1), [False]])
    ends = np.flatnonzero(holds[1:] != holds[:-1]).reshape(-1, 2)
    arrays, table = [], []
    for i, (first, end) in enumerate(ends):
        numbers = ", ".join(f"0x{word:x}u" for word in words[first:end].ravel())
        arrays.append(f"static const uint32_t piece{i}[] = {{\n{textwrap.fill(numbers, 120)}}};\n")
        table.append(f"    {{{first * UNIT}u, {(end - first) * UNIT}u, piece{i}}},\n")
    return (
        "/* SPDX-License-Identifier: MIT-0 */\n"
        '#include "linux_first.h"\n\n'
        f"{''.join(arrays)}\nconst linux_piece linux_first[] = {{\n{''.join(table)}}};\n"
        f"const uint32_t linux_first_pieces = {len(table)}u, linux_first_bytes = {len(store)}u;\n"
    )


platform = Linux()
