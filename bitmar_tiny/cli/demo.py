# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny demo"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
from rich.progress import Progress

from ..api.firmware import Verdict, check_tools, write_project
from ..errors import ToolError, VerifyError
from ..extras import need
from ..files import atomic_file
from ..report.captions import Caption, contact_sheet
from ..report.evaluation import agreement_sentence, caption_table
from ..report.plan import human
from .app import notes, print_json, results
from .common import json_option

STEPS = 7
BOARDS = ("host", "rpi-zero2")
SHOWN = 24


@click.command()
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
@click.option(
    "--steps", type=click.IntRange(1), help="Training steps (default: the preset's, a few minutes)."
)
@json_option
def command(out: Path, steps: int | None, as_json: bool) -> None:
    """The whole way once: train on real pictures, freeze, generate C, prove it bit-exact, caption unseen
    pictures.

    Interrupted, it continues where it was. Needs about five minutes on two idle cores.

    \b
    Example: bitmar-tiny demo -o demo
    """
    need("torch", "tensorboard", "matplotlib", "resvg_py")
    from ..evaluate import demo

    shown_on = notes if as_json else results
    started = time.monotonic()
    _say(1, "The model that ships with the package, as C for this computer")
    try:
        caption, v = demo.first_caption(out)
    except ToolError as error:
        notes.print(f"  not built. {error}")
    else:
        _proven(v)
        shown_on.print(
            f"  picture {demo.FIRST!r}: the C program says {caption!r} ({time.monotonic() - started:.0f} s)"
        )

    _say(2, "Pictures, captions and text that ship inside pip packages")
    with Progress(console=notes, transient=True) as bar:
        task = bar.add_task("drawing pictures")
        corpus = demo.prepare(out, lambda done, total: bar.update(task, completed=done, total=total))
    notes.print(
        f"  {len(corpus.train):,} pictures to learn from, {len(corpus.held_out)} held out, "
        f"{len(corpus.texts):,} text samples, {corpus.tokenizer.vocab_size:,} tokens (pruned GPT-2 BPE)"
    )

    _say(3, "Train: ternary weights, int8 activations, episodic memory")
    demo.train(corpus, out, steps)

    _say(4, "Freeze")
    frozen = demo.freeze(out)
    notes.print(
        f"  {out / 'model.bitmar'}, {human((out / 'model.bitmar').stat().st_size)}, SHA-256 "
        f"{frozen.digest[:16]}..."
    )

    _say(5, "Generate C and prove it: every tensor of every step against the golden model")
    projects = {name: write_project(frozen, name, out / f"firmware-{name}") for name in BOARDS}
    for name, project in projects.items():
        try:
            check_tools(project.board)
        except ToolError as error:
            notes.print(f"  {name}: C written to {project.path}, not verified. {error}")
            continue
        _proven(demo.prove(frozen, project, corpus))

    _say(6, "The C program writes captions for pictures it was not trained on")
    names = [corpus.captions.captions[i] for i in corpus.held_out]
    texts = demo.program_captions(projects["host"], corpus)
    captions = [Caption(*c) for c in zip(corpus.held_out, names, texts, strict=True)]
    picture = out / "captions.png"
    shown = captions[:: max(1, len(captions) // SHOWN)][:SHOWN]  # evenly spread: neighbours are alike
    contact_sheet(shown, corpus.captions, picture)
    for c in shown[::4]:
        shown_on.print(f"  {c.truth!r:45} -> {c.text!r}")

    _say(7, "How good is it: held-out pictures, PyTorch (bit-identical to golden and C)")
    scores, agreed = demo.score(frozen, corpus)
    shown_on.print(caption_table(scores, f"{len(names)} held-out pictures \\[measured]"))
    shown_on.print(agreement_sentence(agreed))
    exact = sum(c.text == c.truth for c in captions) / len(captions)
    shown_on.print(
        f"The C program named {exact:.1%} of them exactly \\[measured]. "
        f"Pictures with captions: {picture}. Whole demo: {(time.monotonic() - started) / 60:.1f} minutes."
    )
    report = {"captions": scores, "agreement": agreed, "c_exact": exact, "sha256": frozen.digest}
    with atomic_file(out / "results.json") as f:
        f.write((json.dumps(report, indent=1) + "\n").encode())
    if as_json:
        print_json(report)


def _proven(v: Verdict) -> None:
    if v.difference:
        raise VerifyError(f"{v.target}: {v.difference.sentence()}.")
    notes.print(f"  {v.target}: bit-exact, {v.steps} steps, {v.taps:,} tensors ({v.seconds:.1f} s)")


def _say(step: int, what: str) -> None:
    notes.print(f"[bold]step {step}/{STEPS}[/] {what}")
