# SPDX-License-Identifier: Apache-2.0
"""Captions of pictures in the formats in which people have them, recognised by content: one reader each
(:mod:`.caption_readers`), one table, ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import parse_json
from . import caption_readers as readers
from .caption_readers import CAPTION_KEYS, PICTURE_KEYS, Entry
from .files import check_text
from .lines import open_text

#: As much of a file as its format is recognised by.
HEAD = 1 << 16


@dataclass(frozen=True)
class Captions:
    """texts: all captions, N strings; rows: the picture of each, N numbers from 0 in the order of first
    mention; pictures: as the file names them, empty for a JSON list; places: of each picture's first mention;
    orphans: captions of pictures that the file itself does not list, left out, as "annotation 7 is of ...".
    """

    texts: list[str]
    rows: list[int]
    pictures: list[str]
    places: list[str]
    orphans: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Format:
    """One format: what to call it, whether the head of a file fits it, its reader, and whether every entry is
    of a picture of its own, whatever its name.
    """

    name: str
    fits: Callable[[str], bool]
    read: Callable[[Path], Iterator[Entry]]
    own: bool = False


def read_captions(path: Path | str) -> Captions:
    """Read captions of any of ``FORMATS``. ``DataError`` names file and place of what is wrong."""
    path = Path(path)
    with open_text(path) as stream:
        head = stream.read(HEAD).decode("utf-8", errors="replace").lstrip()
    found = next((f for f in FORMATS if f.fits(head)), None)
    if found is None:
        raise DataError(
            f"{path}: expected captions, found {'no known format' if head else 'an empty file'}.",
            f"Known are: {'; '.join(f.name for f in FORMATS)}.",
        )
    captions = Captions([], [], [], [])
    row_of: dict[str, int] = {}
    for picture, text, place in found.read(path):
        if picture is None:
            captions.orphans.append(place)
            continue
        if not text.strip():
            raise DataError(f"{path}: {place} is empty.")
        row = len(captions.places) if found.own else row_of.setdefault(picture, len(row_of))
        if row == len(captions.places):
            captions.places.append(place)
            captions.pictures.append(check_text(picture, f"{path}: the picture of {place}"))
        captions.rows.append(row)
        captions.texts.append(check_text(text, f"{path}: {place}"))
    if found.read is readers.json_list:
        captions.pictures.clear()
    elif not captions.texts:
        raise DataError(f"{path}: {captions.orphans[0] if captions.orphans else 'holds no caption'}.")
    return captions


def _first_object(head: str) -> dict[str, Any]:
    """The JSON object in the first line, {} where there is none."""
    line, newline, _ = head.partition("\n")
    try:
        value = parse_json(line) if newline or len(head) < HEAD // 4 else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _line(head: str) -> str:
    return head.partition("\n")[0].rstrip("\r")


#: The first that fits is taken.
FORMATS = (
    Format("a JSON list of strings", lambda head: head.startswith("["), readers.json_list),
    Format(
        "JSON lines with a picture and a caption each (metadata.jsonl, Localized Narratives)",
        lambda head: bool({*PICTURE_KEYS, *CAPTION_KEYS} & {*_first_object(head)}),
        readers.json_lines,
    ),
    Format("COCO's JSON with images and annotations", lambda head: head.startswith("{"), readers.coco),
    Format(
        "a table whose first line names a picture and a caption column (metadata.csv, Flickr)",
        lambda head: bool(readers.delimiter_of(_line(head))),
        readers.table,
    ),
    Format(
        "Flickr's lines of NAME#NUMBER, tab, caption",
        lambda head: bool(readers.TOKEN.fullmatch(_line(head))),
        readers.flickr_tokens,
    ),
    Format(
        "CC3M's lines of caption, tab, URL", lambda head: _line(head).count("\t") == 1, readers.cc3m, own=True
    ),
)
