# SPDX-License-Identifier: Apache-2.0
"""The parts of what ``bitmar-tiny eval --json`` reports. PyTorch is loaded by the parts that need it.

``bar``: gives the progress callback for a label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.files import read_json
from ..errors import ConfigError, DataError
from .scoring import Progress
from .suite import Open, Subject, TextTask, open_scorer

SCHEMA, VERSION = "bitmar-tiny/eval", 1
Bar = Callable[[str], Progress]


def load_report(file: Path, ablation: bool) -> dict[str, Any]:
    """What 'eval --json' wrote. ``DataError`` for anything else."""
    report = read_json(file)
    if (
        not isinstance(report, dict)
        or report.get("schema") != SCHEMA
        or report.get("schema_version") != VERSION
    ):
        raise DataError(
            f"{file}: not a result of 'bitmar-tiny eval --json'.",
            "Write one with: bitmar-tiny eval MODEL TASK... --json > FILE",
        )
    if ablation and "ablation" not in report:
        raise DataError(
            f"{file}: holds no ablation.",
            "Write one with: bitmar-tiny eval MODEL TASK... --ablate memory --json > FILE",
        )
    return report


def score_tasks(
    subject: Subject,
    tasks: Sequence[TextTask],
    on: Sequence[str],
    opened: Open,
    bar: Bar,
    keep: Path | None = None,
) -> tuple[dict[str, Any], dict[str, dict[str, float]], dict[str, dict[str, list[int]]]]:
    """Figures of every task on the first target, and for each other one the share of items for which it picks
    the same, and those for which it does not: their places among the items that were scored, from 0.
    """
    found: dict[str, Any] = {}
    agreement: dict[str, dict[str, float]] = {}
    different: dict[str, dict[str, list[int]]] = {}
    for n, target in enumerate(dict.fromkeys(on)):
        with open_scorer(subject, target, opened=opened, keep=keep) as scorer:
            for task in tasks:
                r = task.run(scorer, bar(f"{task.name} on {scorer.name}"))
                first = found.setdefault(task.name, r | {"kind": task.kind})
                if n and "picks" in r:
                    same = np.array(r["picks"]) == first["picks"]
                    agreement.setdefault(task.name, {})[scorer.name] = float(same.mean())
                    different.setdefault(task.name, {})[scorer.name] = np.flatnonzero(~same).tolist()
    return found, agreement, different


def score_retrieval(
    subject: Subject, data: Path, count: int, on: str, opened: Open, bar: Bar
) -> dict[str, Any]:
    """Picture to caption and back, over ``count`` held-out pictures of a folder."""
    from ..data.openmoji import load_openmoji
    from .formats import evenly
    from .retrieval import evaluate_retrieval

    captions, splits = load_openmoji(data)
    chosen = np.array(evenly(splits["holdout"], count))
    names = [captions.captions[i] for i in chosen]
    with open_scorer(subject, on, opened=opened) as scorer:
        return evaluate_retrieval(scorer, names, captions.images(chosen), subject.tokenizer, bar("retrieval"))


def score_sessions(
    subject: Subject, file: str, limit: int | None, on: str, opened: Open, bar: Bar
) -> dict[str, Any]:
    """Sessions of a file, or made-up ones."""
    from ..data.sessions import read_sessions
    from .formats import evenly
    from .sessions import evaluate_sessions, held_out_places

    if subject.frozen is None:
        raise ConfigError(
            "Sessions are asked of a frozen model, as it runs on a board.",
            "Freeze it first: bitmar-tiny freeze RUN -o model.bitmar",
        )
    sessions = read_sessions(file) if file else held_out_places()
    with opened(on, subject.frozen) as session:
        return evaluate_sessions(subject.frozen, evenly(sessions, limit), bar("sessions"), session)


def score_captions(
    subject: Subject,
    data: Path,
    styles: Sequence[Path],
    baseline: float | None,
    firmware: str | None,
    opened: Open,
) -> dict[str, Any]:
    """Scores of the held-out pictures; styles: of further styles; baseline: minutes to train the float
    captioner for; firmware: a target, and what it writes.
    """
    from ..data.openmoji import load_openmoji
    from .agreement import caption_agreement
    from .baseline import baseline_scores
    from .captions import evaluate_captions, score, session_captions
    from .styles import score_styles

    captions, splits = load_openmoji(data)
    chosen = np.array(splits["holdout"])
    names, images = [captions.captions[i] for i in chosen], captions.images(chosen)
    scores = evaluate_captions(subject.torch(), names, images, subject.tokenizer)
    if firmware:
        if subject.frozen is None:
            raise ConfigError(
                f"{subject.name}: there is no C program for a training run.",
                "Freeze it first: bitmar-tiny freeze RUN -o model.bitmar",
            )
        with opened(firmware, subject.frozen) as session:
            scores["c_program"] = score(session_captions(session, images), names)
    report: dict[str, Any] = {"captions": scores}
    if styles or "styles" in splits:
        report["styles"] = score_styles(subject.torch(), captions, splits, subject.tokenizer, styles)
    if subject.frozen:
        report["agreement"] = caption_agreement(subject.frozen, captions, list(chosen), subject.tokenizer)
    if baseline:
        report["baseline"] = baseline_scores(captions, set(chosen.tolist()), baseline)
    return report
