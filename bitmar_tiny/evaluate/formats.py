# SPDX-License-Identifier: Apache-2.0
"""Published evaluation sets as multiple choice: one table of tasks, one short function from a row to an item.

Where the same set is published in two shapes (its authors' files and a dataset hub's), both are read. Options
are scored as text after the context, never as letters: a model of this size has not learned to answer with a
letter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from .rows import read_rows


@dataclass(frozen=True)
class Item:
    """One question: option i is the text ``options[i]`` after ``contexts[i]`` (or after the only context).

    gold: index of the right option; group: what it is reported under (subject, paradigm, file); image: row of
    the features file; human: for WUG, how much people prefer the first option (0 to 1).
    """

    contexts: tuple[str, ...]
    options: tuple[str, ...]
    gold: int
    group: str = ""
    image: int | None = None
    human: float | None = None

    def context(self, option: int) -> str:
        return self.contexts[min(option, len(self.contexts) - 1)]


@dataclass(frozen=True)
class Format:
    """A task: how a row of its files becomes an item, and how it is scored."""

    convert: Callable[[dict[str, Any]], Item]
    what: str
    columns: Sequence[str] | None = None  # of a .csv without a header
    metric: str = "accuracy"  # or "spearman": correlation with what people prefer
    paper: str = ""  # column of the paper's table 1


def read_items(task: str, path: Path | str, limit: int | None = None) -> list[Item]:
    """The items of a published file or folder; ``limit``: so many, evenly spread. ``DataError`` names the row
    that is wrong.
    """
    fmt = format_of(task)
    items = []
    for row, where in read_rows(path, fmt.columns):
        try:
            item = fmt.convert(row)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            field = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{where}: not a row of {task} ({field}).", f"Expected: {fmt.what}.") from None
        if not 0 <= item.gold < len(item.options) or len(item.options) < 2:
            raise DataError(
                f"{where}: answer {item.gold} of {len(item.options)} options.",
                "Use a split that is labelled.",
            )
        items.append(item)
    return evenly(items, limit)


def evenly(items: list, limit: int | None) -> list:
    """``limit`` of the items, evenly spread, all if there are fewer: the same ones on every call."""
    if limit is None or limit >= len(items):
        return items
    return [items[i * len(items) // limit] for i in range(limit)]


def format_of(task: str) -> Format:
    """``ConfigError`` for a task that is not in the table."""
    if task not in FORMATS:
        raise ConfigError(f"There is no task '{task}'.", f"Choose one of: {', '.join(FORMATS)}.")
    return FORMATS[task]


# -- what several formats share ---------------------------------------------------------------------


def _labelled(choices: Any) -> tuple[list[str], list[str]]:
    """(labels, texts) of [{"label", "text"}, ...] (AI2) or {"label": [...], "text": [...]} (hubs)."""
    if isinstance(choices, dict):
        return list(choices["label"]), list(choices["text"])
    return [c["label"] for c in choices], [c["text"] for c in choices]


def _question(row: dict[str, Any]) -> Item:
    """{"question": {"stem", "choices"} or text, "choices", "answerKey"}; the key is looked up among the
    item's own labels, which are letters in one item and digits in the next.
    """
    nested = isinstance(row["question"], dict)
    stem, choices = (
        (row["question"]["stem"], row["question"]["choices"]) if nested else (row["question"], row["choices"])
    )
    labels, texts = _labelled(choices)
    return _ask(stem, texts, labels.index(row["answerKey"]))


def _ask(question: str, texts: Sequence[str], gold: int, group: str = "") -> Item:
    return Item(
        (f"Question: {question.strip()}\nAnswer:",), tuple(" " + t.strip() for t in texts), gold, group
    )


def _boolean(value: Any) -> bool:
    """true, 1, "True" ... as files of BoolQ write it."""
    known = {"true": True, "1": True, "false": False, "0": False}
    return known[str(value).lower()]


def _clean(text: str) -> str:
    """WikiHow text without its markup: "[title]" ends a sentence, other brackets go."""
    return " ".join(re.sub(r"\[[^\]]*\]", "", text.replace(" [title]", ". ")).split())


# -- one function per format ------------------------------------------------------------------------


def _boolq(row: dict[str, Any]) -> Item:
    answer = _boolean(row["label"] if "label" in row else row["answer"])
    question = row["question"].strip().rstrip("?")
    return Item((f"{row['passage'].strip()}\nQuestion: {question}?\nAnswer:",), (" no", " yes"), int(answer))


def _hellaswag(row: dict[str, Any]) -> Item:
    start = f"{row['ctx_a']} {row['ctx_b'].capitalize()}" if "ctx_a" in row else row["ctx"]
    context = _clean(f"{row['activity_label']}: {start}")
    return Item(
        (context,),
        tuple(" " + _clean(e) for e in row["endings"]),
        int(row["label"]),
        row.get("split_type", ""),
    )


def _winogrande(row: dict[str, Any]) -> Item:
    """The two names stand in the context; what is scored is the rest of the sentence, the same for both
    (partial scoring).
    """
    before, after = row["sentence"].split("_")
    options = (row["option1"], row["option2"])
    return Item(tuple(before + o for o in options), (" " + after.strip(),) * 2, int(row["answer"]) - 1)


def _mmlu(row: dict[str, Any]) -> Item:
    subject = row.get("subject") or re.sub(r"_(test|val|dev)$", "", row["file"])
    if "choices" in row:
        return _ask(row["question"], row["choices"], int(row["answer"]), subject)
    return _ask(
        row["question"], [row[letter] for letter in "ABCD"], "ABCD".index(row["answer"].strip()), subject
    )


def _piqa(row: dict[str, Any]) -> Item:
    return _ask(row["goal"], (row["sol1"], row["sol2"]), int(row["label"]))


def _blimp(row: dict[str, Any]) -> Item:
    return Item(("",), (row["sentence_good"], row["sentence_bad"]), 0, row.get("UID", row["file"]))


def _ewok(row: dict[str, Any]) -> Item:
    """Both targets after the first context, as the BabyLM 2025 pipeline has it."""
    return Item(
        (row["Context1"],), (" " + row["Target1"], " " + row["Target2"]), 0, row.get("Domain", row["file"])
    )


def _entity_tracking(row: dict[str, Any]) -> Item:
    return Item((row["input_prefix"],), tuple(row["options"]), 0, f"{row['file']}_{row['numops']}_ops")


def _wug(row: dict[str, Any]) -> Item:
    return Item(("",), tuple(row["sentences"].split("\t")), 0, row["file"], human=float(row["ratio"]))


def _vqa(row: dict[str, Any]) -> Item:
    answers = (row["target_ans"], *row["distractors"])
    return Item((row["question"],), tuple(" " + a for a in answers), 0, image=row.get("idx_in_hf_dataset"))


def _winoground(row: dict[str, Any]) -> Item:
    """Row 2i + k of the features file holds image_k of pair i. The first caption is the image's."""
    image = (
        2 * row["image_idx"] + int(row["image_key"].removeprefix("image_")) if "image_idx" in row else None
    )
    return Item(("",), (row["caption_0"], row["caption_1"]), 0, row.get("collapsed_tag", ""), image)


_WUG = "sentences with a tab between, ratio (BabyLM)"

FORMATS: dict[str, Format] = {
    "arc-easy": Format(
        _question, "question with choices and answerKey (AI2 .jsonl or hub)", paper="ARC-Easy"
    ),
    "boolq": Format(_boolq, "question, passage, answer or label", paper="BoolQ"),
    "hellaswag": Format(
        _hellaswag, "activity_label, ctx_a, ctx_b (or ctx), endings, label", paper="HellaSwag"
    ),
    "winogrande": Format(
        _winogrande, "sentence with one _, option1, option2, answer 1 or 2", paper="WinoGrande"
    ),
    "commonsenseqa": Format(
        _question, "question with choices and answerKey (authors' .jsonl or hub)", paper="CommonsenseQA"
    ),
    "mmlu": Format(
        _mmlu,
        "question, A, B, C, D, answer in a .csv without header per subject, or question, choices, answer",
        columns=("question", "A", "B", "C", "D", "answer"),
        paper="MMLU",
    ),
    "piqa": Format(_piqa, "goal, sol1, sol2, label"),
    "blimp": Format(_blimp, "sentence_good, sentence_bad (BLiMP, BabyLM)"),
    "ewok": Format(_ewok, "Context1, Target1, Target2, Domain (BabyLM)"),
    "entity-tracking": Format(
        _entity_tracking, "input_prefix, options (the first is right), numops (BabyLM)"
    ),
    "wug-adjective": Format(_wug, _WUG, metric="spearman"),
    "wug-past": Format(_wug, _WUG, metric="spearman"),
    "vqa": Format(_vqa, "question, target_ans, distractors, idx_in_hf_dataset (BabyLM)"),
    "winoground": Format(_winoground, "caption_0, caption_1, image_idx, image_key (BabyLM)"),
}
