# SPDX-License-Identifier: Apache-2.0
"""Plain English out of text that was prepared for other uses: typography, holes, rests of markup."""

from __future__ import annotations

import html
import re
import unicodedata

_FRACTION = re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e])")
_DASH = "\u2013"
#: Signs that are written otherwise, or not at all. NFKC has made one sign of many before.
_SIGNS = str.maketrans(
    dict.fromkeys("\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff\u00c2", "")
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"')
    | dict.fromkeys("\u2018\u2019\u201a\u02bc\u02bb`\u2032", "'")
    | dict.fromkeys("\u2012\u2013\u2014\u2015", _DASH)
    | {"\u2044": "/", "\u2212": "-", "*": " "}
)
_RANGE, _DASHES = re.compile(rf"(?<=\d) ?{_DASH}+ ?(?=\d)"), re.compile(rf" ?{_DASH}+ ?")
#: Phonetic signs, and letters of other scripts than the Latin.
_FOREIGN = re.compile(
    "[\u0250-\u02b8\u02bd-\u02ff\u0370-\u1aff\u1f00-\u1fff\u2c00-\ua6ff\ua960-\ufaff\ufb1d-\ufdff\ufe70-\ufefe"
    "\U00010000-\U0010ffff]"
)
_INNERMOST = re.compile(r"\s*\(([^()]*)\)")
_CITED = re.compile(r"\[\d+\]")
_EMPTY = re.compile(r"^[\s,;:.]*$|^\s*[,;]")
#: What nobody writes in English prose: markup, addresses, formulas.
_MARKUP = re.compile(r"https?:|www\.|[{}<>\\|^~\u27e8\u27e9]|\[\[|\]\]|==|\b(?:thumb|px)\b|&[a-z]+;")
_HOLE = re.compile("\\s[,;:.!?](?!\\d)|\\( |\ufffc")
#: A measure that was taken out, with a sign of it left: "preheat the oven to ()".
_LOST = re.compile(r"(\b(?:to|of|about|for|at|until|reaches|or|cups?) ?)\(\s*\)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z0-9])|(?<=[.!?][\"'])\s+(?=[\"'(]?[A-Z0-9])")


def typography(text: str) -> str:
    """One line of text with plain quotes, dashes, fractions and spaces."""
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _FRACTION.sub(" ", text))
    text = text.replace("``", '"').replace("''", '"').translate(_SIGNS).replace("--", _DASH)
    text = " ".join(text.split()).replace(" )", ")").replace(" , ", ", ")
    if _DASH in text:
        text = _DASHES.sub(" - ", _RANGE.sub("-", text))
    return text.strip(" -")


def without_asides(text: str) -> str:
    """Without parentheses that hold a pronunciation, another script, or nothing any more."""

    def kept(found: re.Match[str]) -> str:
        inside = found.group(1)
        gone = _FOREIGN.search(inside) or _EMPTY.search(inside) or "listen" in inside
        return "" if gone else found.group(0).replace("(", "\0").replace(")", "\1")

    before = None
    while before != text:
        before, text = text, _INNERMOST.sub(kept, text)
    return text.replace("\0", "(").replace("\1", ")")


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph. Some abbreviations end one, too."""
    return [s for s in _SENTENCE.split(text) if s]


def plain_sentences(text: str) -> tuple[str, ...]:
    """The sentences of a paragraph as plain English: without asides of :func:`without_asides`; one that holds
    markup, another script, or a hole where something was taken out is left out.
    """
    text = _CITED.sub("", text)
    if "(" in text:
        text = without_asides(_LOST.sub("\\1\ufffc", text))
    return tuple(s for s in sentences(typography(text)) if not _faulty(s))


def prose(text: str) -> str:
    """A paragraph of :func:`plain_sentences`."""
    return " ".join(plain_sentences(text))


def _faulty(text: str) -> bool:
    other = not text.isascii() and _FOREIGN.search(text)
    return bool(other or _MARKUP.search(text) or _HOLE.search(text))
