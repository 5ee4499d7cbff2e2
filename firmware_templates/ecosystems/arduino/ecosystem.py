# SPDX-License-Identifier: Apache-2.0
"""A library for the Arduino IDE and arduino-cli, after Arduino's library specification 1.5, revision 2.2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bitmar_tiny.codegen.components import component
from bitmar_tiny.codegen.ecosystem import Ecosystem

if TYPE_CHECKING:
    from bitmar_tiny.codegen.boards import Board

#: Headers whose names the editor colours.
PUBLIC = ("bitmar.h", "bm_status.h", "bm_sampler.h", "bm_tokenizer.h", "bm_selftest.h")


class Arduino(Ecosystem):
    """No library of Arduino's can ask for compiler flags: bm_compiler.h keeps the contract there."""

    title = "Arduino"
    own_folder = "examples/Caption"
    builds = "Copy the folder into the libraries of your sketchbook; then File, Examples, Caption."
    entry = ""
    files = {"library.properties.j2": "library.properties", "keywords.txt.j2": "keywords.txt"}

    def templates(self, board: Board) -> dict[str, str]:
        return super().templates(board) | {
            "ecosystems/example/arduino.cpp.j2": f"{self.own_folder}/Caption.ino"
        }

    def context(self, board: Board, copied: dict[str, list[str]]) -> dict[str, Any]:
        headers = [f.read_text() for f in component("model").files if f.name in PUBLIC]
        return super().context(board, copied) | {
            "types": _found(r"^\} (bm_\w+);$", headers),
            "functions": _found(r"^\w[\w ]*?\*?\b(bm_\w+)\(", headers),
        }


def _found(pattern: str, headers: list[str]) -> list[str]:
    return sorted({name for text in headers for name in re.findall(pattern, text, re.M)})


ecosystem = Arduino()
