"""bitmar-tiny generate"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Iterator

import click
import numpy as np

from ..data.tokenizer import Tokenizer
from ..device.board import Board
from ..device.connect import open_board
from ..errors import ConfigError, ToolError
from ..frozen import FrozenModel
from ..golden.model import GoldenModel
from ..golden.sampler import MAX_TOP_K, Sampler
from .app import print_json
from .common import board_picture, json_option, leave_out, leave_out_port_options, load_picture, model_argument, named_model, port_options, show_log


@click.command()
@model_argument
@click.option("--image", type=click.Path(path_type=Path), help="Picture (PNG, JPEG, SVG) or .npy features.")
@click.option("--prompt", default="", help="Text to continue.")
@click.option("--tokens", default=32, show_default=True, type=click.IntRange(1, 1_000_000), help="At most this many.")
@click.option("--backend", type=click.Choice(["golden", "torch", "c"]), default="golden", show_default=True)
@click.option("--board", default="host", show_default=True, help="Board of the C backend.")
@click.option("--temperature", default=0.0, show_default=True, type=click.FloatRange(0, 100), help="0 is greedy.")
@click.option("--top-k", default=40, show_default=True, type=click.IntRange(1, MAX_TOP_K))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**53))
@click.option("--no-memory", is_flag=True, help="Leave the episodic memory unread.")
@port_options
@json_option
def command(model: Path, image: Path | None, prompt: str, tokens: int, backend: str, board: str, temperature: float,
            top_k: int, seed: int, no_memory: bool, port: str | None, baud: int, patience_s: float | None, record_file: Path | None, as_json: bool) -> None:
    """Write text for a picture or a prompt: golden, C and boards give the same tokens.

    \b
    Examples: bitmar-tiny generate model.bitmar --image cat.png
              bitmar-tiny generate model.bitmar --prompt "The " --backend c --temperature 0.8
              bitmar-tiny generate --port /dev/ttyUSB0 --image cat.png
    """
    if port:
        leave_out({"backend": "--backend", "board": "--board"}, "--port lets the firmware on the board write.")
        board = open_board(port, named_model(model, None, port), baud=baud, record=record_file, patience_s=patience_s, log=show_log)
        try:
            _on_board(board, image, prompt, tokens, temperature, top_k, seed, not no_memory, as_json)
        finally:
            board.close()
        return
    leave_out_port_options()
    frozen = FrozenModel.load(model)
    if not frozen.tokenizer:
        raise ConfigError(f"{model}: this model was frozen without a tokenizer.", "Freeze it with one to generate text.")
    tokenizer = Tokenizer.from_bytes(frozen.tokenizer)
    picture = load_picture(frozen.config, image) if image else None
    ids = tokenizer.encode(prompt)
    sampler = Sampler(temperature, top_k, seed)
    if backend == "golden":
        stream = golden_tokens(frozen, picture, ids, tokens, sampler, not no_memory)
    elif backend == "torch":
        stream = torch_tokens(frozen, picture, ids, tokens, sampler, not no_memory)
    else:
        options = ["--temperature", str(temperature), "--top-k", str(top_k), "--seed", str(seed)]
        stream = c_tokens(frozen, board, picture, prompt, tokens, options + ["--no-memory"] * no_memory)
    if as_json:
        new = list(stream)
        print_json({"backend": backend, "prompt": prompt, "tokens": new, "text": tokenizer.decode(new)})
        return
    _print_stream(tokenizer, prompt, stream)


def _on_board(board: Board, image: Path | None, prompt: str, limit: int, temperature: float, top_k: int, seed: int, memory_on: bool, as_json: bool) -> None:
    if "tokenizer" not in board.identity.flags:
        raise ConfigError(f"{board.name}: the model on the board was frozen without a tokenizer.", "Freeze it with one to generate text.")
    board.begin()
    board.memory_on(memory_on)
    if image:
        board.image(board_picture(board.identity.image_inputs, image))
    new, text, show = [], b"", click.get_binary_stream("stdout")
    if not as_json:
        click.echo(prompt, nl=False)
    for token, piece in board.generate(prompt, limit, temperature, top_k, seed):
        if not as_json:
            show.write(piece)
            show.flush()
        new.append(token)
        text += piece
    if as_json:
        print_json({"backend": board.name, "prompt": prompt, "tokens": new, "text": text.decode(errors="replace")})
    else:
        click.echo()


def _print_stream(tokenizer: Tokenizer, prompt: str, stream: Iterator[int]) -> None:
    """Print as tokens come; bytes of an unfinished character wait for the rest."""
    click.echo(prompt, nl=False)
    new, shown = [], ""
    for token in stream:
        new.append(token)
        text = tokenizer.decode(new)
        ready = text.rstrip("\N{REPLACEMENT CHARACTER}")
        click.echo(ready[len(shown):], nl=False)
        shown = ready
    click.echo()


def golden_tokens(frozen: FrozenModel, picture: np.ndarray | None, prompt: list[int], limit: int, sampler: Sampler,
                  memory_on: bool) -> Iterator[int]:
    """Tokens from the NumPy reference."""
    golden = GoldenModel(frozen.config, frozen.arrays, memory_on=memory_on)
    if picture is not None:
        golden.set_image(picture)
    eos = token = frozen.config.vocab_size - 1
    for i in range(len(prompt) + limit):
        acc = golden.step(token)
        if i < len(prompt):
            token = prompt[i]
            continue
        token = sampler.pick(acc, golden.head_scale * np.float32(frozen.arrays["head.w.scale"]))
        if token == eos:
            return
        yield token


def c_tokens(frozen: FrozenModel, board_name: str, picture: np.ndarray | None, prompt: str, limit: int,
             options: list[str]) -> Iterator[int]:
    """Tokens from the generated C program of a board (emulated if need be)."""
    from codegen.boards import load_board
    from codegen.build import build, runner
    from codegen.emit import emit

    board = load_board(board_name)
    runner(board)                                 # complain before the work
    if board.os != "linux":
        raise ConfigError(f"The program for {board.name} only replays traces.", "Choose a Linux board, host for example.")
    with tempfile.TemporaryDirectory() as folder:
        project = emit(frozen, board, Path(folder) / "project")
        program = build(project.path, board, project.family)
        command = [*program.command, "generate", "--ids", "--prompt", prompt, "--tokens", str(limit), *options]
        if picture is not None:
            path = Path(folder) / "image.f32"
            path.write_bytes(np.ascontiguousarray(picture, "<f4").tobytes())
            command += ["--image", str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise ToolError(f"The program for {board.name} failed: {done.stderr.strip()}.")
        n_prompt = len(Tokenizer.from_bytes(frozen.tokenizer).encode(prompt))
        yield from [int(word) for word in done.stdout.split()][n_prompt:]


def torch_tokens(frozen: FrozenModel, picture: np.ndarray | None, prompt: list[int], limit: int, sampler: Sampler,
                 memory_on: bool) -> Iterator[int]:
    """Tokens from the PyTorch model, recomputing the whole stream for every token."""
    from ..model.streaming import next_logits

    eos, stream = frozen.config.vocab_size - 1, [frozen.config.vocab_size - 1, *prompt]
    logits_of = next_logits(frozen, picture, memory_on)
    for _ in range(limit):
        token = sampler.pick(*logits_of(stream))
        if token == eos:
            return
        stream.append(token)
        yield token
