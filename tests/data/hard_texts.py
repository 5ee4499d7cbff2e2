# SPDX-License-Identifier: Apache-2.0
"""Texts on which tokenizers may differ, and a vocabulary that shows where a text was split."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator

from bitmar_tiny.data.tokenizer import Tokenizer
from bitmar_tiny.data.tokenizer_file import EOS_TEXT

WRITTEN = [
    "",
    " ",
    "  ",
    "   a",
    "a ",
    "a  ",
    "\n",
    "\r\n",
    "a\r\nb",
    "a \n b",
    " \n\n  x",
    "\t\tx",
    "x\u00a0y",
    "x \u2003 y",
    "\u3000\u3000a",
    "\x1c\x1d x",
    "\x85a",
    "\ufeffbom",
    "don't",
    "DON'T",
    "we'll've 's 't 'd'm'",
    "'",
    "''s",
    " 's",
    "x' s",
    "12345 678",
    " 1a2",
    "½ ² Ⅷ ٣",
    "$100%!?",
    " ...",
    "<|endoftext|>",
    "naïve café",
    "e\u0301",
    "東京は夜の七時",
    "한국어",
    "हिन्दी",
    "עברית",
    "русский текст",
    "ΑΒΓ αβγ",
    "😀",
    "👩‍🚀 x",
    "🏳️‍🌈",
    "a\u200bb",
    "\u0000",
    "a\u0000b",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
]


def assigned() -> list[str]:
    """Every character that Python's own Unicode knows."""
    return [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Cs", "Co")]


def random_texts(n: int, seed: int) -> Iterator[str]:
    """Texts of up to 60 characters, of all of Unicode or of an alphabet that is hard to split."""
    rng = random.Random(seed)
    characters = assigned()
    alphabets = [
        "abcdefgh '",
        "aeiou  \n\r\t",
        "'stremvld x",
        "0123456789 .,",
        "ab\u00a0\u2003 \n1!",
        "".join(map(chr, range(32, 127))),
        "".join(map(chr, range(0xA0, 0x250))),
        "的一是不了人我在有他 ab。",
    ]
    for _ in range(n):
        source = characters if rng.random() < 0.3 else rng.choice(alphabets)
        yield "".join(rng.choice(source) for _ in range(rng.randrange(1, 60)))


def long_pieces() -> list[str]:
    rng = random.Random(3)
    return [
        "a" * 60000,
        " " * 60000,
        "ab" * 30000,
        "".join(rng.choice("etaoins") for _ in range(60000)),
        "\n" * 5000 + "x",
    ]


def between(characters: list[str]) -> list[str]:
    """Texts with each character after a letter, a digit, a mark and a space: with which of them it is in one
    piece shows its class, to ``revealing``.
    """
    return [
        "".join(f"a{c}1{c}!{c} {c}" for c in characters[i : i + 64]) for i in range(0, len(characters), 64)
    ]


def revealing() -> Tokenizer:
    """A vocabulary in which a letter, a digit, a mark and a space merge with the next byte of their piece."""
    tokens = [bytes([b]) for b in range(256)]
    merges = [(first, b) for first in b"a1! " for b in range(256)]
    return Tokenizer([*tokens, *(bytes(pair) for pair in merges), EOS_TEXT], merges)
