# SPDX-License-Identifier: Apache-2.0
"""The steps of ``bitmar-tiny demo``, on the pictures and text that ship inside pip packages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build, find_compiler, runner
from bitmar_tiny.codegen.emit import Project, emit

from ..arch.config import preset
from ..data.corpora import Corpus, demo_corpus
from ..data.openmoji import list_openmoji
from ..data.pixels import read_picture
from ..frozen import FrozenModel
from ..frozen.shipped import by_name
from ..model.export import load_frozen
from ..run.firmware import ProgramSession
from ..train.run import freeze_run, settings_for, train_run
from ..verify.compare import Verdict
from ..verify.script import standard
from ..verify.target import verify_project
from .agreement import caption_agreement
from .captions import evaluate_captions, session_captions
from .scoring import Progress

VERIFY_TOKENS, FIRST_TOKENS = 400, 100
#: Held-out pictures in the script of a verification.
PICTURES = 5
#: The picture of the first caption: one that the shipped model was not trained on.
FIRST = "person mountain biking"


def first_caption(out: Path) -> tuple[str, Verdict]:
    """The shipped model as C in ``out``/firmware-shipped: what the program says of the picture ``FIRST``, and
    its proof on that picture.
    """
    frozen = FrozenModel.load(by_name(Path("demo")))
    file = next(file for name, _, file in list_openmoji() if name == FIRST)
    project = emit(frozen, load_board("host"), out / "firmware-shipped")
    picture = read_picture(file, frozen.config.image_inputs)
    script = standard(frozen.config, FIRST_TOKENS, images=[picture])
    verdict = verify_project(frozen, project, script, _label(project))
    return _captions(project, [picture])[0], verdict


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
    pictures = [corpus.captions.image(i) for i in corpus.held_out[:PICTURES]]
    script = standard(frozen.config, VERIFY_TOKENS, images=pictures)
    return verify_project(frozen, project, script, _label(project))


def program_captions(project: Project, corpus: Corpus) -> list[str]:
    """What the generated program writes for every held-out picture."""
    return _captions(project, (corpus.captions.image(i) for i in corpus.held_out))


def _label(project: Project) -> str:
    board, how = project.board, runner(project.board)
    return f"{board.name}/{project.family}/{find_compiler(board)[0]}" + (f" under {how[0]}" if how else "")


def _captions(project: Project, pictures: Iterable[np.ndarray]) -> list[str]:
    program = build(project.path, project.board, project.family)
    with ProgramSession(program, project.board, store=project.memory_store) as session:
        return session_captions(session, pictures)


def score(frozen: FrozenModel, corpus: Corpus) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores of the held-out pictures by PyTorch, and its agreement with golden."""
    images = corpus.captions.images(np.array(corpus.held_out))
    names = [corpus.captions.captions[i] for i in corpus.held_out]
    scores = evaluate_captions(load_frozen(frozen), names, images, corpus.tokenizer)
    return scores, caption_agreement(frozen, corpus.captions, corpus.held_out, corpus.tokenizer)
