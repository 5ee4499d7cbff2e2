"""Text from a frozen model: by the golden model, by PyTorch, or by the generated C program. All three give the same tokens."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.tokenizer import Tokenizer
from ..errors import ConfigError, ToolError
from ..frozen import FrozenModel
from ..golden.model import GoldenModel
from ..golden.sampler import Sampler
from ..memory.store import Memory, MemoryStore


@dataclass(frozen=True)
class Request:
    """What is to be written.

    picture: float32 [image_inputs, 768] or None; limit: most tokens behind the prompt; temperature 0 is greedy; memory_on: whether
    the memory is read; store: a store that holds the memory, None for the memory that the model was trained to; remember: write
    the episode, prompt and answer, into that store when it is over.
    """

    prompt: str = ""
    picture: np.ndarray | None = None
    limit: int = 32
    temperature: float = 0.0
    top_k: int = 40
    seed: int = 0
    memory_on: bool = True
    store: Path | None = None
    remember: bool = False

    def sampler(self) -> Sampler:
        return Sampler(self.temperature, self.top_k, self.seed)


def by_golden(frozen: FrozenModel, request: Request) -> Iterator[int]:
    """Tokens from the NumPy reference. ``StoreError`` for a store that cannot be used."""
    store = None if request.store is None else MemoryStore.open(request.store, frozen.digest)
    golden = GoldenModel(frozen.config, frozen.arrays, memory_on=request.memory_on)
    if store:
        memory = store.read()
        golden.m_codes, golden.m_scales, golden.m_usage = memory.codes, memory.scales, memory.usage
    if request.picture is not None:
        golden.set_image(request.picture)
    sampler, prompt = request.sampler(), Tokenizer.from_bytes(frozen.tokenizer).encode(request.prompt)
    eos = token = frozen.config.vocab_size - 1
    for i in range(len(prompt) + request.limit):
        acc = golden.step(token)
        if i < len(prompt):
            token = prompt[i]
            continue
        token = sampler.pick(acc, golden.head_scale * np.float32(frozen.arrays["head.w.scale"]))
        if token == eos:
            break
        yield token
    if store and request.remember:
        golden.end_episode()
        store.commit(Memory(golden.m_codes, golden.m_scales, golden.m_usage))


def by_torch(frozen: FrozenModel, request: Request) -> Iterator[int]:
    """Tokens from the PyTorch model, recomputing the whole stream for every token. ``ConfigError`` for a store."""
    from ..model.streaming import next_logits

    if request.store is not None:
        raise ConfigError("The PyTorch model reads no store.", "Choose --backend golden or c.")
    sampler = request.sampler()
    eos = frozen.config.vocab_size - 1
    stream = [eos, *Tokenizer.from_bytes(frozen.tokenizer).encode(request.prompt)]
    logits_of = next_logits(frozen, request.picture, request.memory_on)
    for _ in range(request.limit):
        token = sampler.pick(*logits_of(stream))
        if token == eos:
            return
        stream.append(token)
        yield token


def by_c(frozen: FrozenModel, request: Request, board_name: str) -> Iterator[int]:
    """Tokens from the generated C program of a Linux board (emulated if need be). ``ToolError`` where it fails."""
    from bitmar_tiny.codegen.boards import load_board
    from bitmar_tiny.codegen.build import build, runner
    from bitmar_tiny.codegen.emit import emit

    board = load_board(board_name)
    runner(board)  # complain before the work
    if not board.platform.has_commands:
        raise ConfigError(
            f"The program for {board.name} only replays traces.", "Choose a Linux board, host for example."
        )
    if request.store is not None:
        MemoryStore.open(request.store, frozen.digest)
    with tempfile.TemporaryDirectory() as folder:
        project = emit(
            frozen, board, Path(folder) / "project", memory="auto" if request.store is None else "sd"
        )
        program = build(project.path, board, project.family)
        done = subprocess.run(
            [*program.command, "generate", *_arguments(request, Path(folder))], capture_output=True, text=True
        )
        if done.returncode:
            raise ToolError(f"The program for {board.name} failed: {done.stderr.strip()}.")
        n_prompt = len(Tokenizer.from_bytes(frozen.tokenizer).encode(request.prompt))
        yield from [int(word) for word in done.stdout.split()][n_prompt:]


def _arguments(request: Request, folder: Path) -> list[str]:
    """A request as the C program takes it; the picture goes into a file in ``folder``."""
    arguments = [
        "--ids",
        "--prompt",
        request.prompt,
        "--tokens",
        str(request.limit),
        "--temperature",
        str(request.temperature),
        "--top-k",
        str(request.top_k),
        "--seed",
        str(request.seed),
    ]
    if request.picture is not None:
        path = folder / "image.f32"
        path.write_bytes(np.ascontiguousarray(request.picture, "<f4").tobytes())
        arguments += ["--image", str(path)]
    if request.store is not None:
        arguments += ["--store", str(request.store)]
    return arguments + ["--no-memory"] * (not request.memory_on) + ["--remember"] * request.remember
