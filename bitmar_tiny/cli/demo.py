# SPDX-License-Identifier: Apache-2.0
"""bitmar-tiny demo"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import numpy as np
from rich.progress import Progress

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build, find_compiler, runner
from bitmar_tiny.codegen.emit import Project, emit
from bitmar_tiny.codegen.plan import human

from ..arch.config import preset
from ..data.corpora import Corpus, demo_corpus
from ..errors import ToolError, VerifyError
from ..extras import need
from ..files import atomic_file
from ..frozen import FrozenModel
from ..report.captions import Caption, contact_sheet
from ..report.evaluation import agreement_sentence, caption_table
from ..run.firmware import ProgramSession
from ..verify.compare import verify
from ..verify.script import standard
from .app import notes, results

STEPS = 6
BOARDS = ("host", "rpi-zero2")
VERIFY_TOKENS = 400
SHOWN = 24


@click.command()
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
@click.option(
    "--steps", type=click.IntRange(1), help="Training steps (default: the preset's, a few minutes)."
)
def command(out: Path, steps: int | None) -> None:
    """The whole way once: train on real pictures, freeze, generate C, prove it bit-exact, caption unseen
    pictures.

    Interrupted, it continues where it was. Needs about ten minutes on two cores.

    \b
    Example: bitmar-tiny demo -o demo
    """
    need("torch", "tensorboard", "matplotlib", "resvg_py")
    from ..evaluate.agreement import caption_agreement
    from ..evaluate.captions import evaluate_captions
    from ..model.export import load_frozen
    from ..train.run import freeze_run, settings_for, train_run

    cfg, started = preset("demo"), time.monotonic()
    _say(1, "Pictures, captions and text that ship inside pip packages")
    with Progress(console=notes, transient=True) as bar:
        task = bar.add_task("drawing pictures")
        corpus = demo_corpus(
            out / "data", cfg, lambda done, total: bar.update(task, completed=done, total=total)
        )
    notes.print(
        f"  {len(corpus.train):,} pictures to learn from, {len(corpus.held_out)} held out, "
        f"{len(corpus.texts):,} text samples, {corpus.tokenizer.vocab_size:,} tokens (pruned GPT-2 BPE)"
    )

    _say(2, "Train: ternary weights, int8 activations, episodic memory")
    tcfg = settings_for(cfg, None, {"steps": steps} if steps else {})
    train_run(cfg, tcfg, corpus, out / "run", data={"folder": str((out / "data").absolute())})

    _say(3, "Freeze")
    frozen = freeze_run(out / "run")
    frozen.save(out / "model.bitmar")
    notes.print(
        f"  {out / 'model.bitmar'}, {human((out / 'model.bitmar').stat().st_size)}, SHA-256 "
        f"{frozen.digest[:16]}..."
    )

    _say(4, "Generate C and prove it: every tensor of every step against the golden model")
    projects = {name: emit(frozen, load_board(name), out / f"firmware-{name}") for name in BOARDS}
    for project in projects.values():
        _verify(frozen, project, corpus)

    _say(5, "The C program writes captions for pictures it was not trained on")
    captions = _c_captions(projects["host"], corpus)
    picture = out / "captions.png"
    shown = captions[:: max(1, len(captions) // SHOWN)][:SHOWN]  # evenly spread: neighbours are alike
    contact_sheet(shown, corpus.captions, picture)
    for c in shown[::4]:
        results.print(f"  {c.truth!r:45} -> {c.text!r}")

    _say(6, "How good is it: held-out pictures, PyTorch (bit-identical to golden and C)")
    images = corpus.captions.images(np.array(corpus.held_out))
    names = [corpus.captions.captions[i] for i in corpus.held_out]
    scores = evaluate_captions(load_frozen(frozen), names, images, corpus.tokenizer)
    results.print(caption_table(scores, f"{len(names)} held-out pictures \\[measured]"))
    agreed = caption_agreement(frozen, corpus.captions, corpus.held_out, corpus.tokenizer)
    results.print(agreement_sentence(agreed))
    exact = sum(c.text == c.truth for c in captions) / len(captions)
    results.print(
        f"The C program named {exact:.1%} of them exactly \\[measured]. "
        f"Pictures with captions: {picture}. Whole demo: {(time.monotonic() - started) / 60:.1f} minutes."
    )
    with atomic_file(out / "results.json") as f:
        f.write(
            (
                json.dumps(
                    {"captions": scores, "agreement": agreed, "c_exact": exact, "sha256": frozen.digest},
                    indent=1,
                )
                + "\n"
            ).encode()
        )


def _say(step: int, what: str) -> None:
    notes.print(f"[bold]step {step}/{STEPS}[/] {what}")


def _verify(frozen: FrozenModel, project: Project, corpus: Corpus) -> None:
    """Verify one board on real pictures; say so where this machine lacks its tools."""
    board = project.board
    try:
        compiler, _ = find_compiler(board)
        how = runner(board)
    except ToolError as error:
        notes.print(f"  {board.name}: C written to {project.path}, not verified. {error}")
        return
    pictures = [corpus.captions.image(i) for i in corpus.held_out[:5]]
    program = build(project.path, board, project.family, taps=True)
    label = f"{board.name}/{project.family}/{compiler}" + (f" under {how[0]}" if how else "")
    script = standard(frozen.config, VERIFY_TOKENS, images=pictures)
    with ProgramSession(program, board, label, project.memory_store) as session:
        verdict = verify(frozen, session, script, project.sources)
    if not verdict.exact:
        raise VerifyError(f"{label}: {verdict.difference.sentence()}.")
    notes.print(
        f"  {label}: bit-exact, {verdict.steps} steps, {verdict.taps:,} tensors ({verdict.seconds:.1f} s)"
    )


def _c_captions(project: Project, corpus: Corpus) -> list[Caption]:
    """Caption every held-out picture with the generated program."""
    from ..evaluate.captions import session_captions

    program = build(project.path, project.board, project.family)
    with ProgramSession(program, project.board, store=project.memory_store) as session:
        texts = session_captions(session, (corpus.captions.image(i) for i in corpus.held_out))
    return [
        Caption(i, corpus.captions.captions[i], text) for i, text in zip(corpus.held_out, texts, strict=False)
    ]
