"""The command group: lazy commands, one place where errors become one sentence and an exit code."""

from __future__ import annotations

import difflib
import importlib
import json
import signal
import sys
from typing import Any

import click
from rich.console import Console

from ..errors import BitmarError

#: Command name -> module below bitmar_tiny.cli, imported only when asked for.
COMMANDS = {
    "train": "train",
    "curves": "curves",
    "holdout": "holdout",
    "freeze": "freeze",
    "codegen": "codegen",
    "export": "export",
    "build": "build",
    "verify": "verify",
    "generate": "generate",
    "eval": "evaluate",
    "paper": "paper",
    "features": "features",
    "boards": "boards",
    "info": "info",
    "profile": "profile",
    "compare": "compare",
    "flash": "flash",
    "link": "link",
    "ports": "ports",
    "memory": "memory",
    "bench": "bench",
    "doctor": "doctor",
    "demo": "demo",
    "evaluate": "evaluate",  # what "eval" was called first
}

#: Words for people go to stderr, results to stdout.
notes = Console(stderr=True, highlight=False)
results = Console(highlight=False)


class LazyGroup(click.Group):
    """Imports a command's module on demand, so that `--help` and C-side commands never load torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(f".{COMMANDS[name]}", __package__).command

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise click.UsageError(
                f"There is no command '{args[0]}'." + (f" Did you mean '{near[0]}'?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="bitmar-tiny")
def app(debug: bool) -> None:
    """Put a small image-and-text model that remembers on a cheap board, and prove every bit of it.

    \b
    bitmar-tiny train --preset demo -o run
    bitmar-tiny freeze run -o model.bitmar
    bitmar-tiny codegen --board rpi-zero2 model.bitmar -o firmware
    bitmar-tiny verify model.bitmar
    """


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2))


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 verification found a difference, 2 a problem of input or tools."""
    debug = "--debug" in sys.argv[1:2]
    for number in (signal.SIGTERM, signal.SIGHUP):
        if (
            signal.getsignal(number) == signal.SIG_DFL
        ):  # so that whatever a command started or made is cleared away
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        app(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        notes.print("Interrupted.")
        sys.exit(130)
    except BitmarError as error:
        if debug:
            raise
        notes.print(
            f"[bold red]Error:[/] {_plain(error.message)}"
            + (f"\n[bold]Fix:[/] {_plain(error.hint)}" if error.hint else ""),
            soft_wrap=True,
        )
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:  # a file or folder that no command looked after
        if debug or not error.filename:
            raise
        notes.print(
            f"[bold red]Error:[/] {_plain(str(error.filename))}: {_plain(error.strerror or 'cannot be used')}.",
            soft_wrap=True,
        )
        sys.exit(2)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
