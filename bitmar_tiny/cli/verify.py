"""bitmar-tiny verify"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.build import build, find_compiler, runner
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.resources import resource_dir

from ..arch.tables import tap_table
from ..device.channel import LinkChannel
from ..device.connect import connect, open_board
from ..device.emulator import EmulatorLine
from ..errors import ConfigError, ProcessorError, VerifyError
from ..exchange.crosscheck import FORMATS, cross_check, export
from ..frozen import FrozenModel
from ..run.device import Board as DeviceBoard
from ..verify.board_target import BoardTarget
from ..verify.compare import Verdict, verify
from ..verify.script import standard
from ..verify.target import GoldenTarget, ProgramTarget
from .app import notes, print_json, results
from .common import (
    head_bits_option,
    json_option,
    leave_out,
    leave_out_memory,
    leave_out_port_options,
    load_model,
    memory_option,
    model_argument,
    port_options,
    preset_option,
    show_log,
)


@click.command()
@model_argument
@click.option(
    "--board",
    "boards",
    multiple=True,
    metavar="NAME",
    help="Board to verify; repeatable (default: host and rpi-zero2).",
)
@click.option("--kernels", help="One kernel family (default: every family of the board).")
@click.option("--compiler", help="gcc or zig (default: the first of the board's that is installed).")
@click.option("--opt", default="-O2", show_default=True, help="Optimisation flag.")
@click.option(
    "--tokens", default=300, show_default=True, type=click.IntRange(8, 1_000_000), help="Steps to compare."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the token and image stream.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the generated projects in this folder.")
@click.option(
    "--target",
    "format_name",
    type=click.Choice(["c", *FORMATS]),
    default="c",
    show_default=True,
    help="Generated C, or the model as ONNX (onnxruntime) or LiteRT (ai-edge-litert).",
)
@click.option(
    "--exported",
    type=click.Path(path_type=Path),
    help="What 'bitmar-tiny export' wrote (default: exported anew).",
)
@head_bits_option
@memory_option
@preset_option("Verify a preset with random weights instead of MODEL.")
@port_options
@json_option
def command(
    model: Path,
    boards: tuple[str, ...],
    kernels: str | None,
    compiler: str | None,
    opt: str,
    tokens: int,
    seed: int,
    keep: Path | None,
    format_name: str,
    exported: Path | None,
    head_bits: str,
    memory: str,
    preset_name: str | None,
    port: str | None,
    baud: int,
    patience_s: float | None,
    record_file: Path | None,
    as_json: bool,
) -> None:
    """Prove generated C bit-exact: build it, run it, compare every tensor of every step with the golden model.

    With --port the C runs on a board. Its memory is the model's own meanwhile, and afterwards what it was before.

    The stream holds images, episodes with memory writes and reads, eviction and clamped positions.
    Exit status 1 means a difference was found; it is named down to the element and the C line.

    \b
    Examples: bitmar-tiny verify model.bitmar
              bitmar-tiny verify --preset paper --board host --tokens 1100
              bitmar-tiny verify model.bitmar --port /dev/ttyUSB0
              bitmar-tiny verify model.bitmar --target onnx
    """
    frozen = load_model(model, preset_name)
    if port:
        leave_out(
            {
                "boards": "--board",
                "kernels": "--kernels",
                "compiler": "--compiler",
                "opt": "--opt",
                "keep": "--keep",
                "format_name": "--target",
                "exported": "--exported",
                "head_bits": "--head-bits",
            },
            "--port verifies the firmware that is on the board.",
        )
        leave_out_memory(port)
        _report(
            [_on_board(frozen, port, baud, patience_s, record_file, tokens, seed, memory, not as_json)],
            [],
            frozen,
            as_json,
        )
        return
    leave_out_port_options()
    if format_name != "c":
        if boards or kernels or compiler or keep:
            raise ConfigError(
                f"--target {format_name} verifies no generated C.",
                "Leave out --board, --kernels, --compiler and --keep.",
            )
        _exported(frozen, format_name, exported, tokens, seed, as_json)
        return
    if exported:
        raise ConfigError("--exported names ONNX or LiteRT files.", "Add --target onnx or --target tflite.")
    profiles = [load_board(b) for b in boards or ("host", "rpi-zero2")]
    if kernels and not any(kernels in b.kernels for b in profiles):
        raise ConfigError(
            f"No chosen board has a kernel family '{kernels}'.",
            f"Known: {', '.join(sorted({k for b in profiles for k in b.kernels}))}.",
        )
    for board in profiles:  # complain about missing tools before the long work
        find_compiler(board, compiler)
        runner(board)
    with tempfile.TemporaryDirectory() as folder:
        verdicts, skipped = [], []
        for board, family in [(b, f) for b in profiles for f in b.kernels if kernels in (None, f)]:
            try:
                verdicts.append(
                    _one(
                        frozen,
                        board,
                        family,
                        compiler,
                        opt,
                        tokens,
                        seed,
                        head_bits,
                        memory,
                        keep or Path(folder),
                        not as_json,
                    )
                )
            except ProcessorError as error:
                skipped.append(error)
    if not verdicts:
        raise skipped[0]
    _report(verdicts, skipped, frozen, as_json)


def _report(
    verdicts: list[Verdict], skipped: list[ProcessorError], frozen: FrozenModel, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "model_sha256": frozen.digest,
                "verdicts": [v.as_dict() for v in verdicts],
                "not_run": [e.message for e in skipped],
            }
        )
    else:
        _print(verdicts)
        for error in skipped:
            notes.print(f"Not run: {error.message}")
    bad = [v for v in verdicts if not v.exact]
    if bad:
        raise VerifyError(f"{bad[0].target}: {bad[0].difference.sentence()}.")


def _exported(
    model: FrozenModel, format_name: str, path: Path | None, tokens: int, seed: int, as_json: bool
) -> None:
    """Cross-check exported files, or fresh ones, with golden and tell."""
    script = standard(model.config, tokens, seed)
    with tempfile.TemporaryDirectory() as folder, _bar(not as_json) as bar:
        task = bar.add_task(f"verify {format_name}", total=len(script))
        if path is None:
            path = Path(folder) / f"model.{format_name}"
            export(model, format_name, path)
        verdict, shipped = cross_check(
            model, format_name, path, script, lambda event: bar.update(task, completed=event + 1)
        )
    if as_json:
        print_json(
            {
                "model_sha256": model.digest,
                "verdicts": [v.as_dict() for v in (verdict,) if v],
                "shipped": shipped.as_dict(),
            }
        )
    else:
        if verdict:
            _print([verdict])
        prefill = f" {shipped.prefilled:,} tokens also went through prefill." if shipped.prefilled else ""
        results.print(
            f"As shipped ({shipped.runtime}): top-1 {shipped.top1:.1%} of {shipped.steps:,}, {shipped.integers_equal:,} of "
            f"{shipped.integers:,} integer tensors equal, largest logit difference {shipped.largest_logit_difference:g}.{prefill}",
            soft_wrap=True,
        )
    if verdict and not verdict.exact:
        raise VerifyError(f"{verdict.target}: {verdict.difference.sentence()}.")
    if not shipped.exact:
        raise VerifyError(
            f"{shipped.runtime} as shipped differs from golden; the first difference is "
            f"{shipped.first_difference or 'in the float logits'}.",
            "An optimisation of this version of the runtime changes results: use the version of constraints.txt.",
        )


def _on_board(
    model: FrozenModel,
    port: str,
    baud: int,
    patience_s: float | None,
    record_file: Path | None,
    tokens: int,
    seed: int,
    memory: str,
    show: bool,
) -> Verdict:
    board = open_board(
        port,
        model,
        baud=baud,
        record=record_file,
        flags=("-DBM_TAPS",),
        memory=memory,
        patience_s=patience_s,
        log=show_log,
    )
    try:
        target = BoardTarget(board, model)
        script = target.possible(standard(model.config, tokens, seed))
        with _bar(show) as bar:
            task = bar.add_task(f"verify {target.name}", total=len(script))
            return verify(
                model,
                target,
                script,
                resource_dir("firmware_templates") / "runtime" / "model",
                lambda event: bar.update(task, completed=event + 1),
                GoldenTarget(model, target.memory),
            )
    finally:
        board.close()


def _bar(show: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=notes, transient=True, disable=not show)


def _one(
    model: FrozenModel,
    board: Board,
    family: str,
    compiler: str | None,
    opt: str,
    tokens: int,
    seed: int,
    head_bits: str,
    memory: str,
    folder: Path,
    show: bool,
) -> Verdict:
    script = standard(model.config, tokens, seed)
    name, _ = find_compiler(board, compiler)
    label = f"{board.name}/{family}/{name} {opt}" + (f" under {runner(board)[0]}" if runner(board) else "")
    label += f", {head_bits}-bit head" if head_bits != "2" else ""
    label += f", memory in {memory}" if memory != "auto" else ""
    with _bar(show) as bar:
        task = bar.add_task(f"build  {label}", total=len(script))
        project = emit(model, board, folder / f"{board.name}-{family}", family, head_bits, memory)
        program = build(project.path, board, family, compiler=compiler, opt=opt, taps=True)
        bar.update(task, description=f"verify {label}")
        if board.platform.replays_traces:
            target = ProgramTarget(program.command, label, tap_table(model.config), project.memory_store)
            return verify(
                model,
                target,
                script,
                project.sources,
                lambda event: bar.update(task, completed=event + 1),
                GoldenTarget(model, project.blob.memory),
            )
        line = EmulatorLine(board, program.path, label)
        try:
            target = BoardTarget(DeviceBoard(LinkChannel(connect(line))), model)
            return verify(
                model,
                target,
                script,
                project.sources,
                lambda event: bar.update(task, completed=event + 1),
                GoldenTarget(model, target.memory),
            )
        finally:
            line.close()


def _print(verdicts: list[Verdict]) -> None:
    table = Table("target", "steps", "tensors compared", "bit-exact", "s")
    for v in verdicts:
        table.add_row(
            v.target,
            str(v.steps),
            f"{v.taps:,}",
            "[green]yes[/]" if v.exact else "[bold red]NO[/]",
            f"{v.seconds:.1f}",
        )
    results.print(table)
