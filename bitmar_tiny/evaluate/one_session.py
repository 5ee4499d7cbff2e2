# SPDX-License-Identifier: Apache-2.0
"""One session of the benchmark "show once", as golden has it: what was shown, where it was written, what the
question read. ``report.session`` draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..data.show_once import LONGEST_ANSWER, PROMPT, answer_of, draw_names, told
from ..data.things.find import open_all
from ..data.things.table import DEV, TEST, Things, Trial
from ..errors import ConfigError
from ..frozen import FrozenModel
from ..golden import numerics as nm
from ..memory.inspect import Source, nearest
from ..run.generate import Request, generate, tell
from ..run.golden import GoldenSession
from .references import whole
from .subject import Subject

#: Most things that a figure has room for.
MOST = 12


@dataclass(frozen=True)
class Shown:
    """An episode: picture uint8 [side, side, 3], what was said beside it, the slot that it was written to."""

    picture: np.ndarray
    text: str
    slot: int


@dataclass(frozen=True)
class OneSession:
    """asked: the question's picture; said: what the model wrote behind the prompt; right: what it should
    have; weights: slot -> its share of the read, of those in use; fixed: slots that are learned, the first
    ones; credits: whose pictures these are, with their licences.
    """

    shown: list[Shown]
    asked: np.ndarray
    said: str
    right: str
    weights: dict[int, float]
    fixed: int
    credits: list[str] = field(default_factory=list)


def tell_session(
    run: Path, things: Sequence[Path] = (), *, shown: int = 5, seed: int = 1, dev: bool = False
) -> OneSession:
    """The first session of a seed: of the first question about the first table of things. ``ConfigError``
    for a model whose memory is not keyed.
    """
    subject = Subject(run, "golden")
    table = open_all(subject.paths(things)[:1], subject.folder, subject.vectors)[0]
    trial = table.trials(DEV if dev else TEST, table.asked[0], min(shown, MOST), 1, seed)[0]
    assert subject.frozen is not None
    return told_session(subject.frozen, table, trial, seed)


def told_session(model: FrozenModel, things: Things, trial: Trial, seed: int) -> OneSession:
    """A trial with names of this seed, told to ``model`` and asked."""
    if not model.config.keyed:
        raise ConfigError(
            f"{model.config.name}: an episode of this model is written to many slots.",
            "A session is drawn of a model whose write_rule is 'keyed'.",
        )
    if not things.pixels:
        raise ConfigError(
            "Features of a backbone are no pictures that could be drawn.", "Leave out --figure."
        )
    rng, golden = np.random.default_rng(seed), GoldenSession(model)
    names, tokenizer, fixed, shown = (
        draw_names(rng, len(trial.shown)),
        golden.tokenizer,
        model.config.fixed_slots,
        [],
    )
    for _, row, text in told(rng, trial, names):
        tell(golden, (tokenizer.eos, *tokenizer.encode(text)), np.asarray(things.pictures[row]))
        slot = fixed + int(np.argmax(golden.read_memory().usage[fixed:] == nm.USAGE_ONE))
        shown.append(Shown(whole(things, row), text, slot))
    picture, prompt = np.asarray(things.pictures[trial.asked]), tokenizer.encode(PROMPT)
    request = Request(tuple(prompt), picture, LONGEST_ANSWER)
    said = tokenizer.decode([token for token, _ in generate(golden, request)])
    memory = golden.read_memory()
    near = nearest(Source("golden", memory, model.digest), model, prompt, picture, memory.slots)
    rows = [*trial.shown.ravel().tolist(), trial.asked]
    return OneSession(
        shown,
        whole(things, trial.asked),
        said,
        answer_of(names[trial.target]),
        {n.slot: n.share for n in near},
        fixed,
        sorted({things.credit(row) for row in rows}),
    )
