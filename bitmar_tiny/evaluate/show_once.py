# SPDX-License-Identifier: Apache-2.0
"""The benchmark "show once": things that no training saw are shown once, each with a made-up name; one is
asked in another view, and the name must come out of the memory.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.backbones import Backbone, file_backbone
from ..data.show_once import UNKNOWN, answer_of, draw_names, draw_texts, sentence_of, told
from ..data.things.find import open_all
from ..data.things.table import DEV, TEST, Things, Trial
from ..errors import ConfigError, DataError
from .askers import Asker, Episode
from .references import Embed, by_backbone, by_features, by_pixels, nearest, train_twin
from .subject import Subject

#: How many things are shown, sessions of each, and the seed that draws them.
SHOWN, SESSIONS, SEED = (5, 20, 100), 1000, 1
#: Of the normal distribution, for 95% intervals.
Z = 1.959964
Bar = Callable[[str], Callable[[int, int], None]]


def share(right: Sequence[bool] | np.ndarray) -> dict[str, Any]:
    """The part that is right and Wilson's 95% interval, of how many; None of none."""
    n = len(right)
    if not n:
        return {"share": None, "low": None, "high": None, "of": 0}
    p = float(np.mean(right))
    middle, reach = p + Z * Z / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    low, high = ((middle + sign * reach) / (1 + Z * Z / n) for sign in (-1, 1))
    return {"share": p, "low": max(0.0, low), "high": min(1.0, high), "of": n}


def area_under_curve(known: np.ndarray, strange: np.ndarray) -> float | None:
    """How often something strange has a higher score than something known; equal scores count one half."""
    if not len(known) or not len(strange):
        return None
    ordered = np.sort(known)
    below = np.searchsorted(ordered, strange, "left") + np.searchsorted(ordered, strange, "right")
    return float(below.mean() / (2 * len(known)))


def ask_trials(
    asker: Asker,
    trials: Sequence[Trial],
    after: int = 0,
    seed: int = SEED,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Shares of sessions, each with its interval.

    generated: the exact answer was written; choice: its name was the likeliest of those that were told. The
    controls, written, too: off: the memory unread; another: the question of another session; shuffled: names
    told beside the wrong pictures. renamed: of those that were right, the new name was written after the
    thing was shown again with it. Of things that were never shown: unknown: "I don't know." was written; auc:
    the area under the curve of its likelihood, and auc_read of the learned slots' share in the read, None
    where there are none; doubted: it was written of a thing that was shown. after: other episodes between
    showing and asking.
    """
    parts = [
        _ask_batch(asker, trials[i : i + asker.at_once], i, after, seed, progress, len(trials))
        for i in range(0, len(trials), asker.at_once)
    ]
    found = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
    areas = {
        "auc" + by: area_under_curve(found.pop("known" + by), found.pop("strange" + by))
        for by in ("", "_read")
    }
    return {key: share(values) for key, values in found.items()} | areas


def _ask_batch(
    asker: Asker,
    trials: Sequence[Trial],
    first: int,
    after: int,
    seed: int,
    progress: Callable[[int, int], None],
    total: int,
) -> dict[str, np.ndarray]:
    rngs = [np.random.default_rng([seed, first + i]) for i in range(len(trials))]
    names = [draw_names(rng, len(t.shown) + 1) for rng, t in zip(rngs, trials, strict=True)]
    others: list[list[Episode]] = [[(None, text) for text in draw_texts(rng, after)] for rng in rngs]

    def teach(of: Sequence[Sequence[str]], salt: int) -> Any:
        order = [np.random.default_rng([seed, first + i, salt]) for i in range(len(trials))]
        return asker.teach(
            [
                [*((row, text) for _, row, text in told(r, t, n)), *o]
                for r, t, n, o in zip(order, trials, of, others, strict=True)
            ]
        )

    now = [n[:-1] for n in names]
    wanted = [answer_of(n[t.target]) for n, t in zip(names, trials, strict=True)]
    asked = [t.asked for t in trials]
    taught = teach(now, 0)
    said = asker.answers(taught, asked)
    right = _same(said, wanted)
    scores = asker.scores(taught, asked, [[*map(answer_of, n), UNKNOWN] for n in now])
    result = {
        "generated": right,
        "choice": scores[:, :-1].argmax(1) == [t.target for t in trials],
        "off": _same(asker.answers(taught, asked, memory=False), wanted),
        "known": scores[:, -1],
        "known_read": _doubts(asker, taught, asked),
        "doubted": _same(said, [UNKNOWN] * len(trials)),
    }
    turned = [*range(1, len(trials)), 0] if len(trials) > 1 else []
    result["another"] = (
        _same(asker.answers(taught, [asked[i] for i in turned]), [wanted[i] for i in turned])
        if turned
        else np.zeros(0, bool)
    )
    strangers = [t.stranger for t in trials]
    if min(strangers) >= 0:
        result["unknown"] = _same(asker.answers(taught, strangers), [UNKNOWN] * len(trials))
        result["strange"] = asker.scores(taught, strangers, [[UNKNOWN]] * len(trials))[:, 0]
        result["strange_read"] = _doubts(asker, taught, strangers)
    else:
        result |= {"unknown": np.zeros(0, bool), "strange": np.zeros(0), "strange_read": np.zeros(0)}
    again = [[(int(t.shown[t.target, 0]), sentence_of(n[-1]))] for t, n in zip(trials, names, strict=True)]
    renamed = asker.answers(asker.teach(again, taught), asked)
    result["renamed"] = _same(renamed, [answer_of(n[-1]) for n in names])[right]
    mixed = [rng.permutation(n).tolist() for rng, n in zip(rngs, now, strict=True)]
    result["shuffled"] = _same(asker.answers(teach(mixed, 1), asked), wanted)
    progress(first + len(trials), total)
    return result


def _doubts(asker: Asker, taught: Any, rows: Sequence[int]) -> np.ndarray:
    found = asker.doubts(taught, rows)
    return np.zeros(0) if found is None else found


def _same(found: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    return np.array([a == b for a, b in zip(found, wanted, strict=True)], bool)


def measure_show_once(
    run: Path | None,
    things: Sequence[Path] = (),
    *,
    shown: Sequence[int] = SHOWN,
    sessions: int = SESSIONS,
    on: str = "",
    after: int = 0,
    restart: bool = False,
    dev: bool = False,
    twin: float = 0,
    backbone: Path | None = None,
    bar: Bar = lambda label: lambda done, total: None,
) -> dict[str, Any]:
    """The benchmark for a training run, a frozen model, or the references alone.

    things: where they are (default: what the run was trained on); on: torch (a run, its default, or a keyed
    memory) or a target that takes a frozen model (default: golden); after: other episodes between showing and
    asking; restart: the target is off and on in between; dev: the things that are kept for choosing settings;
    twin: minutes to train the convolutional network for; backbone: file of one whose vectors are compared.
    Returns {"on", "exact", whether every bit is golden's, None where nobody is asked, "side", "after",
    "restart", "backbone", "rows": [{"things", "question", "shown", "chance", "pixels", "twin", "backbone",
    "areas" under the curve of their distances to things that were never shown, and what ``ask_trials``
    says}]}. ``ConfigError`` where nothing says which things.
    """
    with contextlib.ExitStack() as stack:
        subject = Subject(run, on, restart)
        tables = open_all(subject.paths(things), subject.folder, subject.vectors, bar("preparing pictures"))
        askers = stack.enter_context(subject.opened()) if run else None
        eyes = file_backbone(backbone) if backbone else None
        rows, exact = [], None
        for table in tables:
            asker = askers(table.pictures) if askers else None
            exact = asker.exact if asker else None
            by = references(table, twin, eyes, bar)
            rows += _rows(table, DEV if dev else TEST, shown, sessions, asker, after, by, bar)
    return {
        "on": subject.on,
        "exact": exact,
        "side": "dev" if dev else "test",
        "after": after,
        "restart": restart,
        "backbone": eyes.name if eyes else "backbone",
        "rows": rows,
    }


def references(table: Things, twin: float, eyes: Backbone | None, bar: Bar) -> dict[str, Embed]:
    """What pictures are compared by, beside the model. Features are compared as they are."""
    if not table.pixels:
        if twin or eyes:
            raise ConfigError(
                f"{table.source}: features, and --twin and --backbone look at pixels.", "Leave them out."
            )
        return {"backbone": by_features(table)}
    found: dict[str, Embed] = {"grey": by_pixels(table, False), "colour": by_pixels(table, True)}
    if twin:
        label = bar(f"training the reference on {table.source}")
        found["twin"] = train_twin(table, twin, progress=lambda part: label(int(100 * part), 100))
    if eyes:
        found["backbone"] = by_backbone(table, eyes, bar(f"{eyes.name} looks at {table.source}"))
    return found


def _rows(
    table: Things,
    side: int,
    shown: Sequence[int],
    sessions: int,
    asker: Asker | None,
    after: int,
    by: dict[str, Embed],
    bar: Bar,
) -> Iterator[dict[str, Any]]:
    """A row for each question and number of things; numbers for which there are too few are left out."""
    for question in table.asked:
        for n in [20] if table.fixed and side == TEST else shown:
            try:
                trials = table.trials(side, question, n, sessions, SEED)
            except DataError:
                if n == min(shown):
                    raise
                continue
            row: dict[str, Any] = {"things": table.source, "question": question}
            row |= {
                "shown": len(trials[0].shown),
                "sessions": len(trials),
                "chance": 1 / len(trials[0].shown),
            }
            picked = {name: nearest(trials, embed) for name, embed in by.items()}
            found = {name: share(p.right) for name, p in picked.items()}
            row["pixels"] = {kind: found.get(kind) for kind in ("grey", "colour")}
            row |= {name: found.get(name) for name in ("twin", "backbone")}
            row["areas"] = {name: area_under_curve(p.known, p.strange) for name, p in picked.items()}
            if asker:
                progress = bar(f"{table.source}, {question}, {n} things")
                row |= ask_trials(asker, trials, after, progress=progress)
            yield row
