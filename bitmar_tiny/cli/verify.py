# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny verify"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bitmar_tiny.codegen.boards import Board, board_files, load_board
from bitmar_tiny.codegen.build import build, find_compiler, runner
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.resources import resource_dir

from ..errors import ConfigError, ProcessorError, VerifyError
from ..exchange.files import FORMATS, export
from ..frozen import FrozenModel
from ..run.firmware import ProgramSession
from ..verify.compare import Verdict, verify
from ..verify.crosscheck import Agreement, cross_check
from ..verify.script import Event, standard
from ..verify.trace import possible
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
    "--tokens", default=300, show_default=True, type=click.IntRange(8, 1_000_000), help="Steps to compare."
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
    baud: int,
    patience_s: float | None,
    record_file: Path | None,
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
    build = Build(kernels, compiler, opt, head_bits, memory, keep)
    script = standard(frozen.config, tokens, seed)
    files = [t for t in targets if is_export(t)]
    plain = [t for t in targets if t not in files and not is_profile(t)]
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
    profiles = _profiles([t for t in targets if is_profile(t)], kernels, compiler)
    verdicts, skipped, shipped = [], [], []
    for target in plain:
        verdicts.append(_on(frozen, target, script, (baud, patience_s, record_file), memory, not as_json))
    for target in files:
        found, agreement = _exported(frozen, target, script, not as_json)
        verdicts += [found] if found else []
        shipped.append(agreement)
    with tempfile.TemporaryDirectory() as folder:
        for board, family in [(b, f) for b in profiles for f in b.kernels if kernels in (None, f)]:
            try:
                verdicts.append(_one(frozen, board, family, build, script, keep or Path(folder), not as_json))
            except ProcessorError as error:
                skipped.append(error)
    if skipped and not verdicts and not shipped:
        raise skipped[0]
    _report(verdicts, skipped, shipped, frozen, as_json)


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


def is_export(target: str) -> bool:
    """Whether a target is an exported model."""
    return target.partition(":")[0] in FORMATS


def is_profile(target: str) -> bool:
    """Whether a target is the name or the file of a board profile."""
    local = target in ("golden", "torch") or ":" in target
    return not local and (
        target.endswith(".toml")
        or ("/" not in target and not Path(target).exists())
        or target in board_files()
    )


def _profiles(names: list[str], kernels: str | None, compiler: str | None) -> list[Board]:
    """The boards; complains about missing tools before the long work."""
    profiles = [load_board(name) for name in names]
    if profiles and kernels and not any(kernels in b.kernels for b in profiles):
        raise ConfigError(
            f"No chosen board has a kernel family '{kernels}'.",
            f"Known: {', '.join(sorted({k for b in profiles for k in b.kernels}))}.",
        )
    for board in profiles:
        find_compiler(board, compiler)
        runner(board)
    return profiles


@dataclass(frozen=True)
class Build:
    """How firmware is generated and built."""

    kernels: str | None
    compiler: str | None
    opt: str
    head_bits: str
    memory: str
    keep: Path | None


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


def _exported(
    model: FrozenModel, target: str, script: list[Event], show: bool
) -> tuple[Verdict | None, Agreement]:
    """Cross-check exported files, or fresh ones, with golden."""
    format_name, _, name = target.partition(":")
    with tempfile.TemporaryDirectory() as folder, _bar(show) as bar:
        task = bar.add_task(f"verify {target}", total=len(script))
        path = Path(name) if name else Path(folder) / f"model.{format_name}"
        if not name:
            export(model, format_name, path)
        return cross_check(
            model, format_name, path, script, lambda event: bar.update(task, completed=event + 1)
        )


def _on(
    model: FrozenModel,
    target: str,
    script: list[Event],
    line: tuple[int, float | None, Path | None],
    memory: str,
    show: bool,
) -> Verdict:
    """Whatever runs behind a session; firmware that is started here is built with taps."""
    with open_target(target, model, *line, flags=("-DBM_TAPS",), memory=memory, taps=True) as session:
        with _bar(show) as bar:
            task = bar.add_task(f"verify {session.describe()}", total=len(script))
            sources = resource_dir("firmware_templates") / "runtime" / "model"
            verdict = verify(
                model,
                session,
                possible(script, session),
                sources,
                lambda event: bar.update(task, completed=event + 1),
            )
            return replace(verdict, target=session.describe())


def _bar(show: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=notes, transient=True, disable=not show)


def _one(
    model: FrozenModel, board: Board, family: str, how: Build, script: list[Event], folder: Path, show: bool
) -> Verdict:
    """Generated C of one board and kernel family."""
    name, _ = find_compiler(board, how.compiler)
    label = f"{board.name}/{family}/{name} {how.opt}" + (
        f" under {runner(board)[0]}" if runner(board) else ""
    )
    label += f", {how.head_bits}-bit head" if how.head_bits != "2" else ""
    label += f", memory in {how.memory}" if how.memory != "auto" else ""
    with _bar(show) as bar:
        task = bar.add_task(f"build  {label}", total=len(script))
        project = emit(model, board, folder / f"{board.name}-{family}", family, how.head_bits, how.memory)
        program = build(project.path, board, family, compiler=how.compiler, opt=how.opt, taps=True)
        bar.update(task, description=f"verify {label}")
        with ProgramSession(program, board, label, project.memory_store) as session:
            return verify(
                model, session, script, project.sources, lambda event: bar.update(task, completed=event + 1)
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
