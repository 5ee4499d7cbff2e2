# SPDX-License-Identifier: Apache-2.0
"""Arguments and helpers that several commands share."""

from __future__ import annotations

import contextlib
import functools
import math
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..api.model import SHIPPED, FrozenModel, find_model, load, preset, random_model
from ..api.run import BAUD, Session, is_built, is_local, session
from ..errors import ConfigError
from ..files import only_one


class ModelPath(click.Path):
    """A file, or the name of a model that comes with the package."""

    def convert(self, value, param, ctx) -> Path:
        return find_model(super().convert(value, param, ctx))


class Real(click.FloatRange):
    """A number in a range. NaN is in none, and infinity is no number that a command can use."""

    def convert(self, value, param, ctx) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number that can be used.", param, ctx)
        return number


model_path = ModelPath(path_type=Path)
#: MODEL, by default model.bitmar of this folder, else the one that comes with the package.
model_argument = click.argument("model", type=model_path, default=find_model)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of a table."
)


keep_option = click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Keep every score in FOLDER as it comes: what is interrupted goes on where it was.",
)


def keeping(folder: Path | None) -> contextlib.AbstractContextManager[None]:
    """The folder of --keep is this process's alone."""
    return only_one(folder, "an evaluation") if folder else contextlib.nullcontext()


def load_model(path: Path, preset_name: str | None) -> FrozenModel:
    """The frozen model at ``path``, or random weights of a preset (for size studies and verification), not
    both.
    """
    named = was_given("model")
    if preset_name and named:
        raise ConfigError(
            f"Both a model ({path}) and --preset {preset_name} were named.", "Leave out one of them."
        )
    if preset_name:
        return random_model(preset(preset_name))
    if path == SHIPPED and not named:
        say_shipped()
    return load(path)


def model_or_preset(name: str) -> FrozenModel:
    """The frozen model of that name or path, or random weights of the preset where there is none."""
    path = find_model(name)
    return load(path) if path.exists() else random_model(preset(name))


def say_next(*words: str | Path) -> None:
    """The command that comes next, as a shell takes it."""
    from .app import notes

    notes.print(f"Next: {shlex.join(map(str, words))}", markup=False)


def say_shipped() -> None:
    """That nobody named a model."""
    from .app import notes

    notes.print("No MODEL named: the one that comes with bitmar-tiny is used.")


def board_option(**kwargs):
    """--board, by name or by the path of a TOML profile."""
    return click.option("--board", metavar="NAME", help="Board profile; see 'bitmar-tiny boards'.", **kwargs)


def preset_option(help_text: str):
    """--preset NAME instead of a model file."""
    return click.option("--preset", "preset_name", metavar="NAME", help=help_text)


head_bits_option = click.option(
    "--head-bits",
    type=click.Choice(["2", "1.6", "2-skip"]),
    default="2",
    show_default=True,
    help="Bits of a weight of the vocabulary head: 1.6 is smaller, 2 faster with SIMD; of 2-skip a pick "
    "reads only what can win, which is faster where memory is slow. The tokens are the same.",
)

memory_option = click.option(
    "--memory",
    default="auto",
    show_default=True,
    metavar="WHERE",
    help="Where the memory lies: auto (the plan decides), flash (read-only), sd (a store on a card or in a "
    "file), or a region of the board, psram for example.",
)


WHERE = (
    "golden, torch, host, a board of 'bitmar-tiny boards' (its firmware is built and started here, in an "
    "emulator if need be), "
    "/dev/ttyUSB0, socket://HOST:PORT, rfc2217://HOST:PORT, pty: (waits for a board), replay:FILE (a "
    "recorded exchange), "
    "onnx[:FOLDER] or tflite[:FILE]"
)


def on_option(help_text: str = "Where the model runs", **kwargs):
    """--on TARGET."""
    return click.option("--on", metavar="TARGET", help=f"{help_text}: {WHERE}.", **kwargs)


def hidden(*names: str, **kwargs):
    """An option of before --on, which still works as it was written."""
    return click.option(*names, hidden=True, **kwargs)


def line_options(command):
    """--baud, --timeout and --record of a command that may speak to a board; it gets them as ``line``."""

    @functools.wraps(command)
    def bundled(*, baud: int, timeout_s: float | None, record: Path | None, **others: Any) -> None:
        command(line={"baud": baud, "timeout_s": timeout_s, "record": record}, **others)

    for option in (
        click.option(
            "--record",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write the exchange with the board into this file.",
        ),
        click.option(
            "--timeout",
            "timeout_s",
            type=Real(1, 3600),
            help="Seconds that the board may be silent, while it computes a token for example (default: 4; "
            "60 for firmware that is started here).",
        ),
        click.option(
            "--baud",
            default=BAUD,
            show_default=True,
            type=click.IntRange(1200, 4_000_000),
            help="Speed of a serial port; a board that can follow is brought to it.",
        ),
    ):
        bundled = option(bundled)
    return bundled


def port_options(command):
    """--port and ``line_options`` of a command that speaks to a board alone."""
    return click.option(
        "--port",
        metavar="PORT",
        help="A board: /dev/ttyUSB0, socket://HOST:PORT, rfc2217://HOST:PORT, host:[BOARD[/KERNELS]] or "
        "qemu:BOARD (firmware is built and "
        "started), pty: (waits for one), replay:FILE (a recorded exchange).",
    )(line_options(command))


def one_target(**given: str | None) -> str | None:
    """What --on, or one of the options of before it, names; ``ConfigError`` if several do."""
    named = {option: value for option, value in given.items() if value}
    if len(named) > 1:
        options = " and ".join(f"--{option}" for option in named)
        raise ConfigError(f"{options} both say where the model runs.", "Leave out one of them.")
    return next(iter(named.values()), None)


def was_given(name: str) -> bool:
    """Whether a parameter was given on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source == click.core.ParameterSource.COMMANDLINE


def leave_out(names: dict[str, str], why: str) -> None:
    """``ConfigError`` if one of these options, parameter: as it is written, was given, since it would do
    nothing.
    """
    given = [option for name, option in names.items() if was_given(name)]
    if given:
        raise ConfigError(why, f"Leave out {' and '.join(given)}.")


def leave_out_port_options() -> None:
    """``ConfigError`` for options of a board's line, where there is none."""
    leave_out({"record": "--record", "baud": "--baud", "timeout_s": "--timeout"}, "No board was named.")


def leave_out_memory(target: str) -> None:
    """--memory is for firmware that the command builds, or built when the exchange was recorded."""
    if not is_built(target) and not target.startswith("replay:"):
        leave_out({"memory": "--memory"}, "The memory of a board lies where its firmware has it.")


def named_model(path: Path, preset_name: str | None, target: str) -> FrozenModel | None:
    """The model that a command names; None where nobody named one and the board has its own."""
    own = find_model() != SHIPPED  # in this folder
    needed = preset_name or was_given("model") or own or is_built(target) or is_local(target)
    return load_model(path, preset_name) if needed else None


def show_log(text: str) -> None:
    """A line that the board printed beside its answers."""
    from .app import notes

    if text.strip() and not text.startswith(("m-", "e-[")):  # the text mode is for benchmark runners
        notes.print(f"[dim]board: {text.replace('[', chr(92) + '[')}[/]")


def open_target(target: str, model: FrozenModel | None, line: dict[str, Any], **options: Any) -> Session:
    """A session on ``target``; ``line``: of ``line_options``; ``options``: further ones of ``session``."""
    if is_local(target):
        leave_out_port_options()
    return session(model, target, log=show_log, **line, **options)


@contextlib.contextmanager
def progress_bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """A function from a label to a progress callback, while the bars are shown."""
    from .app import notes

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not notes.is_terminal  # of a pipe bars would leave an empty line
    with Progress(*columns, console=notes, transient=True, disable=hidden) as bars:

        def bar(label: str) -> Callable[[int, int], None]:
            task = bars.add_task(label, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield bar
