"""bitmar-tiny generate"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from ..data.tokenizer import Tokenizer
from ..device.connect import open_board
from ..errors import ConfigError
from ..golden.sampler import MAX_TOP_K
from ..run.device import Board
from ..run.generate import Request, by_c, by_golden, by_torch
from .app import print_json
from .common import (
    board_picture,
    json_option,
    leave_out,
    leave_out_port_options,
    load_model,
    load_picture,
    model_argument,
    named_model,
    port_options,
    show_log,
)


@click.command()
@model_argument
@click.option("--image", type=click.Path(path_type=Path), help="Picture (PNG, JPEG, SVG) or .npy features.")
@click.option("--prompt", default="", help="Text to continue.")
@click.option(
    "--tokens", default=32, show_default=True, type=click.IntRange(1, 1_000_000), help="At most this many."
)
@click.option("--backend", type=click.Choice(["golden", "torch", "c"]), default="golden", show_default=True)
@click.option("--board", default="host", show_default=True, help="Board of the C backend.")
@click.option(
    "--temperature", default=0.0, show_default=True, type=click.FloatRange(0, 100), help="0 is greedy."
)
@click.option("--top-k", default=40, show_default=True, type=click.IntRange(1, MAX_TOP_K))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**53))
@click.option("--no-memory", is_flag=True, help="Leave the episodic memory unread.")
@click.option(
    "--store",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read the memory from this store (see 'bitmar-tiny memory reset').",
)
@click.option(
    "--remember",
    is_flag=True,
    help="Write the episode, prompt and answer, into the store or the board's memory when it is over.",
)
@port_options
@json_option
def command(
    model: Path,
    image: Path | None,
    prompt: str,
    tokens: int,
    backend: str,
    board: str,
    temperature: float,
    top_k: int,
    seed: int,
    no_memory: bool,
    store: Path | None,
    remember: bool,
    port: str | None,
    baud: int,
    patience_s: float | None,
    record_file: Path | None,
    as_json: bool,
) -> None:
    """Write text for a picture or a prompt: golden, C and boards give the same tokens.

    \b
    Examples: bitmar-tiny generate --image cat.png
              bitmar-tiny generate model.bitmar --prompt "The " --backend c --temperature 0.8
              bitmar-tiny generate --port /dev/ttyUSB0 --image cat.png
              bitmar-tiny generate model.bitmar --store memory.store --remember --prompt "The key is in the box."
    """
    if remember and no_memory:
        raise ConfigError(
            "--remember writes the memory that --no-memory leaves alone.", "Leave out one of them."
        )
    if remember and port and port.startswith(("host:", "qemu:")):
        raise ConfigError(
            "Firmware that is started here ends with this command, and its memory with it.",
            "Leave out --remember, or give --store instead of --port.",
        )
    if port:
        leave_out(
            {"backend": "--backend", "board": "--board", "store": "--store"},
            "--port lets the firmware on the board write.",
        )
        connection = open_board(
            port,
            named_model(model, None, port),
            baud=baud,
            record=record_file,
            patience_s=patience_s,
            log=show_log,
        )
        request = Request(prompt, None, tokens, temperature, top_k, seed, not no_memory, None, remember)
        try:
            _on_board(connection, request, image, as_json)
        finally:
            connection.close()
        return
    leave_out_port_options()
    frozen = load_model(model, None)
    if not frozen.tokenizer:
        raise ConfigError(
            f"{model}: this model was frozen without a tokenizer.", "Freeze it with one to generate text."
        )
    if remember and store is None:
        raise ConfigError(
            "--remember needs a store to write to.",
            f"Make one: bitmar-tiny memory reset {model} -o memory.store, then --store memory.store.",
        )
    tokenizer = Tokenizer.from_bytes(frozen.tokenizer)
    request = Request(
        prompt,
        load_picture(frozen.config, image) if image else None,
        tokens,
        temperature,
        top_k,
        seed,
        not no_memory,
        store,
        remember,
    )
    stream = (
        by_c(frozen, request, board)
        if backend == "c"
        else {"golden": by_golden, "torch": by_torch}[backend](frozen, request)
    )
    if as_json:
        new = list(stream)
        print_json({"backend": backend, "prompt": prompt, "tokens": new, "text": tokenizer.decode(new)})
        return
    _print_stream(tokenizer, prompt, stream)


def _on_board(board: Board, request: Request, image: Path | None, as_json: bool) -> None:
    if "tokenizer" not in board.identity.flags:
        raise ConfigError(
            f"{board.name}: the model on the board was frozen without a tokenizer.",
            "Freeze it with one to generate text.",
        )
    if request.remember and "read_only" in board.identity.flags:
        raise ConfigError(
            f"{board.name}: the memory of the firmware is read-only.",
            "Generate it with --memory sd, or a region that can be written.",
        )
    board.begin()
    board.memory_on(request.memory_on)
    if image:
        board.image(board_picture(board.identity.image_inputs, image))
    new, text, show = [], b"", click.get_binary_stream("stdout")
    if not as_json:
        click.echo(request.prompt, nl=False)
    for token, piece in board.generate(
        request.prompt, request.limit, request.temperature, request.top_k, request.seed
    ):
        if not as_json:
            show.write(piece)
            show.flush()
        new.append(token)
        text += piece
    if request.remember:
        board.end()
    if as_json:
        print_json(
            {
                "backend": board.name,
                "prompt": request.prompt,
                "tokens": new,
                "text": text.decode(errors="replace"),
            }
        )
    else:
        click.echo()


def _print_stream(tokenizer: Tokenizer, prompt: str, stream: Iterator[int]) -> None:
    """Print as tokens come; bytes of an unfinished character wait for the rest."""
    new, shown = [], ""
    for token in stream:
        if not new:
            click.echo(prompt, nl=False)  # not before: what cannot begin says so alone
        new.append(token)
        text = tokenizer.decode(new)
        ready = text.rstrip("\N{REPLACEMENT CHARACTER}")
        click.echo(ready[len(shown) :], nl=False)
        shown = ready
    click.echo("" if new else prompt)
