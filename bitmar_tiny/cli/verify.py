# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny verify"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..api.firmware import (
    VERIFY_TOKENS,
    Agreement,
    Verdict,
    is_board,
    verification_boards,
    verify_export,
    verify_model,
)
from ..api.model import FORMATS, FrozenModel
from ..errors import ConfigError, ProcessorError, VerifyError
from .app import notes, print_json, results
from .common import (
    head_bits_option,
    hidden,
    json_option,
    leave_out,
    leave_out_memory,
    leave_out_port_options,
    line_options,
    load_model,
    memory_option,
    model_argument,
    on_option,
    one_target,
    open_target,
    preset_option,
)


@click.command()
@model_argument
@on_option("Where the model is verified (default: host and rpi-zero2); repeatable", multiple=True)
@click.option("--kernels", help="One kernel family (default: every family of the board).")
@click.option("--compiler", help="gcc or zig (default: the first of the board's that is installed).")
@click.option("--opt", default="-O2", show_default=True, help="Optimisation flag.")
@click.option(
    "--tokens",
    default=VERIFY_TOKENS,
    show_default=True,
    type=click.IntRange(8, 1_000_000),
    help="Steps to compare.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the token and image stream.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the generated projects in this folder.")
@head_bits_option
@memory_option
@preset_option("Verify a preset with random weights instead of MODEL.")
@line_options
@hidden("--board", "boards", multiple=True)
@hidden("--port")
@hidden("--target", "format_name", type=click.Choice(["c", *FORMATS]))
@hidden("--exported")
@json_option
def command(
    model: Path,
    on: tuple[str, ...],
    kernels: str | None,
    compiler: str | None,
    opt: str,
    tokens: int,
    seed: int,
    keep: Path | None,
    head_bits: str,
    memory: str,
    preset_name: str | None,
    line: dict[str, Any],
    boards: tuple[str, ...],
    port: str | None,
    format_name: str | None,
    exported: str | None,
    as_json: bool,
) -> None:
    """Prove a model bit-exact where it runs: compare every tensor of every step with the golden model.

    A board is named by its profile: C is generated, built, and run here, emulated if need be, for every
    kernel family. Or by its port: its memory is the model's own meanwhile, and afterwards what it was before.

    The stream holds images, episodes with memory writes and reads, eviction and clamped positions.
    Exit status 1 means a difference was found; it is named down to the element and the C line.

    \b
    Examples: bitmar-tiny verify model.bitmar
              bitmar-tiny verify --preset paper --on host --tokens 1100
              bitmar-tiny verify model.bitmar --on /dev/ttyUSB0
              bitmar-tiny verify model.bitmar --on onnx
    """
    frozen = load_model(model, preset_name)
    targets = _targets(on, boards, port, format_name, exported)
    files = [t for t in targets if t.partition(":")[0] in FORMATS]
    plain = [t for t in targets if t not in files and not is_board(t)]
    if files or plain:
        leave_out(
            {
                "kernels": "--kernels",
                "compiler": "--compiler",
                "opt": "--opt",
                "keep": "--keep",
                "head_bits": "--head-bits",
            },
            f"{(files + plain)[0]} verifies no generated C of this command.",
        )
    for target in plain:
        leave_out_memory(target)
    if not plain:
        leave_out_port_options()
    named = [t for t in targets if t not in files and t not in plain]
    verdicts, skipped, shipped = [], [], []
    with _bars(not as_json) as bar:
        how = {"tokens": tokens, "seed": seed}
        families = verification_boards(named, kernels, compiler)
        for target in plain:
            with open_target(target, frozen, line, memory_in=memory, taps=True) as session:
                verdicts.append(verify_model(frozen, session, **how, progress=bar()))
        for target in files:
            found, agreement = verify_export(frozen, target, **how, progress=bar())
            verdicts += [found] if found else []
            shipped.append(agreement)
        how |= {"compiler": compiler, "opt": opt, "head_bits": head_bits, "memory": memory, "keep": keep}
        for board, family in families:
            try:
                verdicts.append(verify_model(frozen, board, **how, kernels=family, progress=bar()))
            except ProcessorError as error:
                skipped.append(error)
    if skipped and not verdicts and not shipped:
        raise skipped[0]
    _report(verdicts, skipped, shipped, frozen, as_json)


@contextlib.contextmanager
def _bars(show: bool) -> Iterator[Callable[[], Callable[[str, int, int], None]]]:
    """A function that gives the progress callback of a target; its bar takes the place of the last one's."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True, disable=not show) as bars:

        def bar() -> Callable[[str, int, int], None]:
            for task in bars.task_ids:
                bars.remove_task(task)
            task = bars.add_task("", total=None)
            return lambda what, done, total: bars.update(task, description=what, completed=done, total=total)

        yield bar


def _targets(
    on: tuple[str, ...],
    boards: tuple[str, ...],
    port: str | None,
    format_name: str | None,
    exported: str | None,
) -> tuple[str, ...]:
    """What --on names, or the options of before it."""
    file = format_name if format_name != "c" else None
    if exported and not file:
        raise ConfigError(
            "--exported names ONNX or LiteRT files.", "Name them so: --on onnx:FOLDER, --on tflite:FILE."
        )
    if file and boards:
        raise ConfigError(f"--target {file} verifies no generated C.", "Leave out --board.")
    if port and boards:
        raise ConfigError("--port verifies the firmware that is on the board.", "Leave out --board.")
    one = one_target(port=port, target=f"{file}:{exported}" if file and exported else file)
    return (*on, *boards, *([one] if one else [])) or ("host", "rpi-zero2")


def _report(
    verdicts: list[Verdict],
    skipped: list[ProcessorError],
    shipped: list[Agreement],
    frozen: FrozenModel,
    as_json: bool,
) -> None:
    if as_json:
        print_json(
            {
                "model_sha256": frozen.digest,
                "verdicts": [v.as_dict() for v in verdicts],
                "not_run": [e.message for e in skipped],
            }
            | ({"shipped": shipped[0].as_dict()} if shipped else {})
        )
    else:
        _print(verdicts, shipped)
        for error in skipped:
            notes.print(f"Not run: {error.message}")
    for v in verdicts:
        if not v.exact:
            raise VerifyError(f"{v.target}: {v.difference.sentence()}.")
    for a in shipped:
        if not a.exact:
            raise VerifyError(
                f"{a.runtime} as shipped differs from golden; the first difference is "
                f"{a.first_difference or 'in the float logits'}.",
                "An optimisation of this version of the runtime changes results: use the version of "
                "constraints.txt.",
            )


def _print(verdicts: list[Verdict], shipped: list[Agreement]) -> None:
    table = Table("target", "steps", "tensors compared", "bit-exact", "s")
    for v in verdicts:
        table.add_row(
            v.target,
            str(v.steps),
            f"{v.taps:,}",
            "[green]yes[/]" if v.exact else "[bold red]NO[/]",
            f"{v.seconds:.1f}",
        )
    if verdicts:
        results.print(table)
    for a in shipped:
        prefill = f" {a.prefilled:,} tokens also went through prefill." if a.prefilled else ""
        results.print(
            f"As shipped ({a.runtime}): top-1 {a.top1:.1%} of {a.steps:,}, {a.integers_equal:,} of "
            f"{a.integers:,} integer tensors equal, largest logit difference "
            f"{a.largest_logit_difference:g}.{prefill}",
            soft_wrap=True,
        )
