# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny generate"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from ..api.run import MAX_TOP_K, is_built, is_local, read_prompt, text_stream
from ..errors import ConfigError, DataError
from .app import notes, print_json
from .common import (
    Real,
    hidden,
    json_option,
    leave_out,
    line_options,
    model_argument,
    named_model,
    on_option,
    one_target,
    open_target,
)


@click.command()
@model_argument
@click.option("--image", type=click.Path(path_type=Path), help="Picture (PNG, JPEG, SVG) or .npy features.")
@click.option("--prompt", default="", help="Text to continue.")
@click.option(
    "--prompts",
    type=click.File("rb"),
    help="Answer every line of this file, or of standard input (-): a prompt, or JSON with prompt and image.",
)
@click.option(
    "--tokens", default=32, show_default=True, type=click.IntRange(1, 1_000_000), help="At most this many."
)
@click.option("--temperature", default=0.0, show_default=True, type=Real(0, 100), help="0 is greedy.")
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
@on_option("Where the model runs (default: golden)")
@line_options
@hidden("--port")
@hidden("--backend", type=click.Choice(["golden", "torch", "c"]))
@hidden("--board")
@json_option
def command(
    model: Path,
    image: Path | None,
    prompt: str,
    prompts: BinaryIO | None,
    tokens: int,
    temperature: float,
    top_k: int,
    seed: int,
    no_memory: bool,
    store: Path | None,
    remember: bool,
    on: str | None,
    line: dict[str, Any],
    port: str | None,
    backend: str | None,
    board: str | None,
    as_json: bool,
) -> None:
    """Write text for a picture or a prompt: golden, C and boards give the same tokens.

    With --prompts the model is loaded once, each line is an episode of its own, and each answer is a line;
    with --json a JSON document a line.

    \b
    Examples: bitmar-tiny generate --image cat.png
              bitmar-tiny generate model.bitmar --prompt "The " --on host --temperature 0.8
              bitmar-tiny generate --on /dev/ttyUSB0 --image cat.png
              echo '{"image": "cat.png"}' | bitmar-tiny generate --prompts - --json
              bitmar-tiny generate model.bitmar --store memory.store --remember --prompt "The key is in the
              box."
    """
    if backend == "c":
        backend, board = board or "host", None
    target = one_target(on=on, port=port, backend=backend) or board or "golden"
    _check_memory(target, model, no_memory, store, remember)
    frozen = named_model(model, None, target)
    if prompts is not None:
        leave_out({"prompt": "--prompt"}, "--prompts says what is asked.")
    with open_target(target, frozen, line, memory=store) as session:

        def ask(words: str, picture: Path | None) -> Iterator[tuple[int, bytes]]:
            return text_stream(
                session,
                words,
                image=picture,
                limit=tokens,
                temperature=temperature,
                top_k=top_k,
                seed=seed,
                use_memory=not no_memory,
                remember=remember,
                name=str(model) if frozen else "",
            )

        if prompts is not None:
            _answer_lines(prompts, image, ask, session.name if as_json else "")
            return
        new, text = _write(ask(prompt, image), prompt, not as_json)
    if as_json:
        shown = text.decode(errors="replace")
        print_json({"on": session.name, "prompt": prompt, "tokens": new, "text": shown})


def _answer_lines(
    lines: BinaryIO,
    image: Path | None,
    ask: Callable[[str, Path | None], Iterator[tuple[int, bytes]]],
    json_on: str,
) -> None:
    """Answer line after line, as they come. A line that cannot be answered is named, and the others are
    answered; then the exit status is 2. ``json_on``: name of the target, where JSON is wanted.
    """
    bad = 0
    for number, line in enumerate(lines, 1):
        try:
            prompt, own = read_prompt(line)
            new, text = _write(ask(prompt, own or image), prompt, show=False)
        except (ConfigError, DataError) as error:
            bad += 1
            found = {"line": number, "error": error.message, "hint": error.hint}
            plain = ""
            notes.print(f"Line {number}: {error}", markup=False)
        else:
            shown = text.decode(errors="replace")
            found = {"line": number, "on": json_on, "prompt": prompt, "tokens": new, "text": shown}
            plain = " ".join((prompt + shown).splitlines())
        click.echo(json.dumps(found) if json_on else plain)
    if bad:
        raise click.exceptions.Exit(2)


def _check_memory(target: str, model: Path, no_memory: bool, store: Path | None, remember: bool) -> None:
    """``ConfigError`` where an episode could not be remembered."""
    if remember and no_memory:
        raise ConfigError(
            "--remember writes the memory that --no-memory leaves alone.", "Leave out one of them."
        )
    if not remember or store is not None:
        return
    if is_local(target):
        raise ConfigError(
            "--remember needs a store to write to.",
            f"Make one: bitmar-tiny memory reset {shlex.quote(str(model))} -o memory.store, then --store "
            "memory.store.",
        )
    if is_built(target):
        raise ConfigError(
            "Firmware that is started here ends with this command, and its memory with it.",
            "Leave out --remember, or give a --store.",
        )


def _write(stream: Iterator[tuple[int, bytes]], prompt: str, show: bool) -> tuple[list[int], bytes]:
    """Tokens and their bytes of text; printed as they come, behind the prompt: what cannot begin says so
    alone.
    """
    new, text, out = [], b"", click.get_binary_stream("stdout")
    for token, piece in stream:
        if show:
            if not new:
                out.write(prompt.encode())
            out.write(piece)
            out.flush()
        new.append(token)
        text += piece
    if show:
        click.echo("" if new else prompt)
    return new, text
