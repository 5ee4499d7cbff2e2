"""Log-likelihoods from the generated C program: its ``score`` mode gives exact integer logits where they are asked for."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build, runner
from bitmar_tiny.codegen.emit import emit

from ..errors import ConfigError, ToolError
from ..frozen import FrozenModel
from .scoring import Likelihood, Progress, Query, by_context, likelihood


class CScorer:
    """The program of a Linux board, built once, run natively or under the board's emulator. Use it as a context manager.

    ``ToolError`` where the compiler or the emulator is missing, or the program fails.
    """

    def __init__(self, frozen: FrozenModel, board_name: str = "host", memory_on: bool = True) -> None:
        board = load_board(board_name)
        runner(board)  # complain before the work
        if not board.platform.has_commands:
            raise ConfigError(
                f"The program for {board.name} does not score text.",
                "Choose a Linux board, host for example.",
            )
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        project = emit(frozen, board, self.folder / "project")
        self.name = f"c ({board.name}, {project.family})"
        self.command = [
            *build(project.path, board, project.family).command,
            "score",
            *(["--no-memory"] * (not memory_on)),
        ]
        self.vocab = frozen.config.vocab_size

    def __enter__(self) -> CScorer:
        return self

    def __exit__(self, *error) -> None:
        self._folder.cleanup()

    def score(self, queries: Sequence[Query], progress: Progress | None = None) -> list[Likelihood]:
        script, complaints = self.folder / "script", self.folder / "complaints"
        with open(script, "wb") as f:
            write_script(queries, f)
        results: list[Likelihood] = []
        with open(script, "rb") as asked, open(complaints, "wb") as stderr:
            with subprocess.Popen(
                self.command, stdin=asked, stdout=subprocess.PIPE, stderr=stderr
            ) as program:
                for q in queries:
                    logits = self._read(program.stdout, len(q.continuation))
                    if logits is None:
                        break
                    results.append(likelihood(logits, q.continuation))
                    if progress and len(results) % 64 == 0:
                        progress(len(results), len(queries))
        if program.returncode or len(results) != len(queries):
            said = complaints.read_text(errors="replace").strip().splitlines()
            raise ToolError(
                f"{self.name}: the program ended with status {program.returncode}{': ' + said[0] if said else ''}."
            )
        if progress:
            progress(len(queries), len(queries))
        return results

    def _read(self, stream: BinaryIO, n: int) -> np.ndarray | None:
        """n logit rows of the program as float32 [n, V], None where it stopped."""
        row = 4 + 4 * self.vocab
        data = stream.read(n * row)
        if len(data) != n * row:
            return None
        words = np.frombuffer(data, "<i4").reshape(n, -1)
        scales = np.ascontiguousarray(words[:, :1]).view("<f4")
        return words[:, 1:].astype(np.float32) * scales


def write_script(queries: Sequence[Query], out: BinaryIO) -> None:
    """Commands of the score mode (``linux_score.c``): a context that neighbours share is read once and returned to."""

    def step(token: int) -> bytes:
        return b"T" + struct.pack("<I", token)

    for first, indices in by_context(queries):
        out.write(b"B")
        if first.image is not None:
            out.write(b"I" + np.ascontiguousarray(first.image, "<f4").tobytes())
        out.writelines(step(token) for token in first.context)
        if len(indices) > 1:
            out.write(b"K")
        for n, i in enumerate(indices):
            out.write(b"R" if n else b"")
            out.write(b"L")
            out.writelines(step(token) + b"L" for token in queries[i].continuation[:-1])
