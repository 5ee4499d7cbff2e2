# SPDX-License-Identifier: Apache-2.0
"""The command group: lazy commands, one place where errors become one sentence and an exit code."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from .. import __version__
from ..errors import BitmarError
from ..extras import EXTRAS, lacking
from .screen import Screen

#: Heading -> command -> what `--help` says of it, so that help imports no command. A line has room for 68
#: characters.
GROUPS = {
    "MODEL": {
        "corpus": "Put a training corpus together out of packages.",
        "train": "Train a model, quantisation-aware.",
        "curves": "Draw a training run: losses, alignment, memory, zero fraction.",
        "holdout": "Measure a run on what it held out from training.",
        "freeze": "Turn a training run, or weights from elsewhere, into a model file.",
        "export": "Write a model as ONNX or LiteRT.",
        "info": "Show the parameters and bytes of a model or a preset.",
        "features": "Turn pictures into feature vectors with a frozen backbone.",
    },
    "FIRMWARE": {
        "codegen": "Write a standalone C project for a model and a board.",
        "build": "Compile a generated project.",
        "flash": "Write model and program into a board's flash.",
        "update": "Bring new weights to firmware that is in the field.",
        "verify": "Prove bit by bit that C, a board or an export equals the model.",
    },
    "RUN": {
        "generate": "Write text for a picture or a prompt, here or on a board.",
        "play": "Open a model in a browser: show it things, look inside.",
        "profile": "Measure where the time of a token goes on a board.",
        "compare": "Say what changed between two profiles, and what is noise.",
        "eval": "Score a model or a training run on tasks.",
        "bench": "Time kernels and the whole step beside other libraries.",
    },
    "BOARD": {
        "boards": "List the board profiles, or show one.",
        "ports": "List the serial ports, who uses them, and whether you may.",
        "link": "Test the connection to a board.",
        "doctor": "Show what this machine has, what is missing and how to get it.",
    },
    "MEMORY": {
        "teach": "Show a model a thing once, by its name.",
        "ask": "Say what is on a picture, of all that was taught.",
        "forget": "Forget a thing that was taught.",
        "memory": "List, look at, copy, check and renew what a model remembers.",
    },
    "REPRODUCE": {
        "demo": "Train, freeze, generate C, prove it and caption unseen pictures.",
        "paper": "Print the paper's tables and figures from our own results.",
    },
}
#: Command -> module below bitmar_tiny.cli, imported only when asked for.
COMMANDS = {name: name for commands in GROUPS.values() for name in commands} | {
    "eval": "evaluate",
    "evaluate": "evaluate",  # what "eval" was called first; not listed
}
INTERNAL_FAULT = 70  # EX_SOFTWARE of sysexits.h: neither "a difference was found" nor the user's to mend
NOBODY_READS = 128 + signal.SIGPIPE  # what a shell says of a program that wrote into a closed pipe

#: Words for people go to stderr, results to stdout.
notes, results = Screen(stderr=True), Screen()


@dataclass
class Given:
    """What was asked of the whole program, before or after the command's name."""

    debug: bool = False
    json: bool = False


def _flag(name: str, **settings: Any) -> click.Option:
    """An option that is noted in ``Given`` wherever it stands."""

    def note(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            setattr(ctx.ensure_object(Given), name, True)

    return click.Option(
        [f"--{name}"], is_flag=True, is_eager=True, expose_value=False, callback=note, **settings
    )


def _debug() -> click.Option:
    return _flag("debug", help="Show the traceback of an error.")


def _anywhere(command: click.Command) -> click.Command:
    """The command, with --debug, and with --json also where it stands before the command's name."""
    if any(p.name == "debug" for p in command.params):
        return command
    command.params.append(_debug())
    if isinstance(command, click.Group):
        command.params.append(_flag("json", hidden=True))
        for part in command.commands.values():
            _anywhere(part)
        return command
    for p in command.params:
        if p.name == "as_json":
            p.callback = lambda ctx, param, value: value or ctx.ensure_object(Given).json
    return command


class Group(click.Group):
    """A command of commands whose help cuts no description off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(n, c.get_short_help_str(1000)) for n, c in self.commands.items()])


class ReaderGone(Exception):
    """Nobody reads our output any more."""


@contextlib.contextmanager
def _readers() -> Iterator[None]:
    """click ends a program that wrote into a closed pipe with status 1, which is "a difference was found"."""
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None


class LazyGroup(click.Group):
    """Imports a command's module on demand, so that `--help` and C-side commands never load torch."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _readers():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _readers():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for commands in GROUPS.values() for name in commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, self.list_commands(ctx)))
        for heading, commands in GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), text) for name, text in commands.items()])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return _anywhere(importlib.import_module(f".{COMMANDS[name]}", __package__).command)

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise click.UsageError(
                f"There is no command '{args[0]}'." + (f" Did you mean '{near[0]}'?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[_debug(), _flag("json", help="Print one JSON document.")],
)
@click.version_option(__version__, prog_name="bitmar-tiny")
def app() -> None:
    """Put a small image-and-text model that remembers on a cheap board, and prove every bit of it.

    \b
    bitmar-tiny train --preset demo -o run
    bitmar-tiny freeze run -o model.bitmar
    bitmar-tiny codegen --board rpi-zero2 model.bitmar -o firmware
    bitmar-tiny verify model.bitmar

    COMMAND --help shows its options and an example.
    """


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2))


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 a difference was found, 2 a problem of input or tools, 70 a fault of
    ours, 141 nobody reads the output.
    """
    # PyTorch's threads wait asleep: where another program has a core, spinning ones make training five times
    # slower (measured).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for number in (signal.SIGTERM, signal.SIGHUP):
        # so that whatever a command started or made is cleared away
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without a letter shows a question mark
    _name_output()
    sys.exit(_finish(_run()))


def _run() -> int:
    """The command's exit code, once what went wrong was said."""
    given = Given()
    try:
        return app(standalone_mode=False, prog_name="bitmar-tiny", obj=given) or 0  # of click's Exit
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        return 2
    except click.Abort:
        notes.print("Interrupted.")
        return 130
    except (ReaderGone, BrokenPipeError):
        return NOBODY_READS
    except Exception as error:
        return _explain(error, given.debug or "--debug" in sys.argv)


def _finish(code: int) -> int:
    """The exit code, once all that was printed has left. What could not leave is not tried again."""
    try:
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        code = code or NOBODY_READS
    except OSError as error:
        code = code or _explain(error, debug=False)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _name_output() -> None:
    """Errors of standard output say that they are its, however it is buffered."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper) or "write" in vars(stream):
        return

    def named(do: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            try:
                return do(*given)
            except OSError as error:
                error.filename = error.filename or "Standard output"
                raise

        return call

    for part in (stream, stream.buffer):
        vars(part).update(write=named(part.write), flush=named(part.flush))


def _explain(error: Exception, debug: bool) -> int:
    """Say in a sentence what went wrong, with its traceback if that was asked for; the exit code."""
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.split(".")[0] in EXTRAS:
        error = lacking(error.name.split(".")[0])
    if isinstance(error, BitmarError):
        return _say(error.message, error.hint, error.exit_code)
    if isinstance(error, OSError) and error.strerror:  # a file or folder that no command looked after
        where = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return _say(f"{where}.", "", 2)
    if isinstance(error, MemoryError):
        return _say("There is not enough memory.", "Close other programs, or ask for less at a time.", 2)
    what = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(". :")
    fix = "Report it with what the same command prints with --debug."
    return _say(f"This is a fault of bitmar-tiny itself ({what}).", fix, INTERNAL_FAULT)


def _say(message: str, fix: str, code: int) -> int:
    text = f"[bold red]Error:[/] {_plain(message)}" + (f"\n[bold]Fix:[/] {_plain(fix)}" if fix else "")
    with contextlib.suppress(OSError):  # nobody can be told where standard error takes nothing
        notes.print(text)
    return code


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
