# SPDX-License-Identifier: Apache-2.0
"""The steps of ``bitmar-tiny demo``, on the pictures and text that ship inside pip packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bitmar_tiny.codegen.build import build, find_compiler, runner
from bitmar_tiny.codegen.emit import Project

from ..arch.config import preset
from ..data.corpora import Corpus, demo_corpus
from ..frozen import FrozenModel
from ..model.export import load_frozen
from ..run.firmware import ProgramSession
from ..train.run import freeze_run, settings_for, train_run
from ..verify.compare import Verdict
from ..verify.script import standard
from ..verify.target import verify_project
from .agreement import caption_agreement
from .captions import evaluate_captions, session_captions
from .scoring import Progress

VERIFY_TOKENS = 400
#: Held-out pictures in the script of a verification.
PICTURES = 5


def prepare(out: Path, progress: Progress) -> Corpus:
    """The demo's pictures, captions and text, prepared in ``out``/data."""
    return demo_corpus(out / "data", preset("demo"), progress)


def train(corpus: Corpus, out: Path, steps: int | None) -> None:
    """Train in ``out``/run, or go on there; steps: None for the preset's."""
    tcfg = settings_for(preset("demo"), None, {"steps": steps} if steps else {})
    train_run(preset("demo"), tcfg, corpus, out / "run", data={"folder": str((out / "data").absolute())})


def freeze(out: Path) -> FrozenModel:
    """The trained model, in ``out``/model.bitmar."""
    frozen = freeze_run(out / "run")
    frozen.save(out / "model.bitmar")
    return frozen


def prove(frozen: FrozenModel, project: Project, corpus: Corpus) -> Verdict:
    """A generated project beside golden, on real pictures."""
    board, how = project.board, runner(project.board)
    label = f"{board.name}/{project.family}/{find_compiler(board)[0]}" + (f" under {how[0]}" if how else "")
    pictures = [corpus.captions.image(i) for i in corpus.held_out[:PICTURES]]
    script = standard(frozen.config, VERIFY_TOKENS, images=pictures)
    return verify_project(frozen, project, script, label)


def program_captions(project: Project, corpus: Corpus) -> list[str]:
    """What the generated program writes for every held-out picture."""
    program = build(project.path, project.board, project.family)
    with ProgramSession(program, project.board, store=project.memory_store) as session:
        return session_captions(session, (corpus.captions.image(i) for i in corpus.held_out))


def score(frozen: FrozenModel, corpus: Corpus) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores of the held-out pictures by PyTorch, and its agreement with golden."""
    images = corpus.captions.images(np.array(corpus.held_out))
    names = [corpus.captions.captions[i] for i in corpus.held_out]
    scores = evaluate_captions(load_frozen(frozen), names, images, corpus.tokenizer)
    return scores, caption_agreement(frozen, corpus.captions, corpus.held_out, corpus.tokenizer)
