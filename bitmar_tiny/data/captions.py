# SPDX-License-Identifier: Apache-2.0
"""Captions of pictures in the formats in which people have them, recognised by content: one reader each, one
table, ``FORMATS``.

A reader yields (picture, text, where it stands in the file). The picture is a file name, an id or a URL as
the file has it; in a JSON list, which names none, it is the number of the item.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import parse_json
from .files import check_text
from .lines import open_text

#: Names of a column or key that tells the picture, and of one that tells what is on it, the best first.
PICTURE_KEYS = ("file_name", "filename", "image_name", "image_id", "image", "file", "path")
CAPTION_KEYS = ("text", "caption", "captions", "comment", "sentence", "sentences", "description", "raw")
#: As much of a file as its format is recognised by.
HEAD = 1 << 16
_TOKEN = re.compile(r"(.+)#\d+\t(.+)")

Entry = tuple[str, str, str]


@dataclass(frozen=True)
class Captions:
    """texts: all captions, N strings; rows: the picture of each, N numbers from 0 in the order of first
    mention; pictures: as the file names them, empty for a JSON list; places: of each picture's first mention.
    """

    texts: list[str]
    rows: list[int]
    pictures: list[str]
    places: list[str]


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
        if not text.strip():
            raise DataError(f"{path}: {place} is empty.")
        row = len(captions.places) if found.own else row_of.setdefault(picture, len(row_of))
        if row == len(captions.places):
            captions.places.append(place)
            captions.pictures.append(check_text(picture, f"{path}: the picture of {place}"))
        captions.rows.append(row)
        captions.texts.append(check_text(text, f"{path}: {place}"))
    if found.read is _json_list:
        captions.pictures.clear()
    elif not captions.texts:
        raise DataError(f"{path}: holds no caption.")
    return captions


def _first_object(head: str) -> dict[str, Any]:
    """The JSON object in the first line, {} where there is none."""
    line, newline, _ = head.partition("\n")
    try:
        value = parse_json(line) if newline or len(head) < HEAD // 4 else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _whole(path: Path) -> Any:
    with open_text(path) as stream:
        raw = stream.read()
    try:
        return parse_json(raw)
    except ValueError as error:
        raise DataError(f"{path}: not JSON text ({error}).") from None


def _json_list(path: Path) -> Iterator[Entry]:
    """["a cat", ["a dog", "a brown dog"], ...]: an item is a picture's caption, or several."""
    items = _whole(path)
    if not isinstance(items, list):
        raise DataError(f"{path}: expected a JSON list of strings.")
    for i, item in enumerate(items):
        texts = item if isinstance(item, list) else [item]
        if not texts or not all(isinstance(t, str) for t in texts):
            raise DataError(
                f"{path}: expected a JSON list of strings, or of lists of strings, but caption {i} is none."
            )
        for text in texts:
            yield str(i), text, f"caption {i}"


def _coco(path: Path) -> Iterator[Entry]:
    """{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}"""
    table = _whole(path)
    images, annotations = (
        table.get(k) if isinstance(table, dict) else None for k in ("images", "annotations")
    )
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise DataError(
            f"{path}: expected a JSON list of strings, or COCO's lists 'images' and 'annotations'."
        )
    names = {}
    for i, image in enumerate(images):
        if (
            not isinstance(image, dict)
            or not isinstance(image.get("file_name"), str)
            or not isinstance(image.get("id"), (int, str))
        ):
            raise DataError(f"{path}: image {i} has no 'id' and 'file_name'.")
        names[image["id"]] = image["file_name"]
    for i, note in enumerate(annotations):
        if not isinstance(note, dict) or not isinstance(note.get("caption"), str):
            raise DataError(f"{path}: annotation {i} has no 'caption'.")
        key = note.get("image_id")
        if not isinstance(key, (int, str)) or key not in names:
            raise DataError(f"{path}: annotation {i} is of image {str(key)[:40]}, which is not listed.")
        yield names[key], note["caption"], f"annotation {i}"


def _json_lines(path: Path) -> Iterator[Entry]:
    """One object a line with a picture and a caption: ImageFolder's metadata.jsonl, Localized Narratives."""
    for number, line in _numbered(path):
        try:
            value = parse_json(line)
        except ValueError as error:
            raise DataError(f"{path}: line {number} is not JSON ({error}).") from None
        if not isinstance(value, dict):
            raise DataError(f"{path}: line {number} is no object with named values.")
        yield from _entries(value, f"{path}: line {number}", f"line {number}")


def _entries(row: dict[str, Any], where: str, place: str) -> Iterator[Entry]:
    """A picture with its caption, or with several, out of named values."""
    picture, caption = (
        next((row[k] for k in keys if k in row), None) for keys in (PICTURE_KEYS, CAPTION_KEYS)
    )
    if not isinstance(picture, (str, int)) or picture == "":
        raise DataError(f"{where} names no picture.", f"Name it as one of: {', '.join(PICTURE_KEYS)}.")
    texts = caption if isinstance(caption, list) else [caption]
    if not texts or not all(isinstance(t, str) for t in texts):
        raise DataError(f"{where} has no caption.", f"Name it as one of: {', '.join(CAPTION_KEYS)}.")
    for text in texts:
        yield str(picture), text.strip(), place


def _flickr_tokens(path: Path) -> Iterator[Entry]:
    """1000092795.jpg#0, tab, caption"""
    for number, line in _numbered(path):
        found = _TOKEN.fullmatch(line)
        if not found:
            raise DataError(f"{path}: line {number} is not NAME#NUMBER, tab, caption.")
        yield found[1], found[2].strip(), f"line {number}"


def _cc3m(path: Path) -> Iterator[Entry]:
    """caption, tab, URL: one picture a line, whatever its URL"""
    for number, line in _numbered(path):
        text, tab, url = line.partition("\t")
        if not tab or "\t" in url or not url.strip():
            raise DataError(f"{path}: line {number} is not a caption, a tab and a URL.")
        yield url.strip(), text.strip(), f"line {number}"


def _delimiter(header: str) -> str:
    """What separates a header's columns if it names a picture and a caption, else ""."""
    for delimiter in ",|\t;":
        names = _columns(header, delimiter)
        if any(k in names for k in PICTURE_KEYS) and any(k in names for k in CAPTION_KEYS):
            return delimiter
    return ""


def _columns(header: str, delimiter: str) -> list[str]:
    return [name.strip().strip('"').lower() for name in header.rstrip("\r\n").split(delimiter)]


def _table(path: Path) -> Iterator[Entry]:
    """A header that names a picture and a caption column: ImageFolder's metadata.csv, Flickr's tables."""
    with open_text(path) as stream:
        lines = io.TextIOWrapper(stream, "utf-8", errors="replace", newline="\n")
        before, header = next((n, line) for n, line in enumerate(lines, 1) if line.strip())
        delimiter = _delimiter(header)
        if not delimiter:  # so long that its head alone named both
            raise DataError(f"{path}: line {before} names no picture and caption column.")
        names = _columns(header, delimiter)
        quoting = csv.QUOTE_NONE if delimiter == "|" else csv.QUOTE_MINIMAL  # Flickr30k's quotes are text
        rows = csv.reader(lines, delimiter=delimiter, quoting=quoting)
        try:
            for cells in rows:
                place = f"line {rows.line_num + before}"
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(names):
                    raise DataError(
                        f"{path}: {place} has {len(cells)} columns, the header names {len(names)}.",
                        'A caption with a comma stands in quotes: "a cat, asleep".' * (delimiter == ","),
                    )
                row = dict(zip(names, map(_cell, cells), strict=True))
                yield from _entries(row, f"{path}: {place}", place)
        except csv.Error as error:
            raise DataError(f"{path}: line {rows.line_num + before} is not CSV ({error}).") from None


def _cell(text: str) -> Any:
    """A cell's text, or the list that is written in it (Flickr30k's table of five captions a picture)."""
    text = text.strip()
    if text.startswith('["') and text.endswith('"]'):
        try:
            return parse_json(text)
        except ValueError:
            pass
    return text


def _numbered(path: Path) -> Iterable[tuple[int, str]]:
    """(number from 1, text) of every line that is not blank."""
    with open_text(path) as stream:
        for number, line in zip(itertools.count(1), stream, strict=False):
            text = line.decode("utf-8", errors="replace").strip("\r\n")
            if text.strip():
                yield number, text


def _line(head: str) -> str:
    return head.partition("\n")[0].rstrip("\r")


#: The first that fits is taken.
FORMATS = (
    Format("a JSON list of strings", lambda head: head.startswith("["), _json_list),
    Format(
        "JSON lines with a picture and a caption each (metadata.jsonl, Localized Narratives)",
        lambda head: bool({*PICTURE_KEYS, *CAPTION_KEYS} & {*_first_object(head)}),
        _json_lines,
    ),
    Format("COCO's JSON with images and annotations", lambda head: head.startswith("{"), _coco),
    Format(
        "a table whose first line names a picture and a caption column (metadata.csv, Flickr)",
        lambda head: bool(_delimiter(_line(head))),
        _table,
    ),
    Format(
        "Flickr's lines of NAME#NUMBER, tab, caption",
        lambda head: bool(_TOKEN.fullmatch(_line(head))),
        _flickr_tokens,
    ),
    Format("CC3M's lines of caption, tab, URL", lambda head: _line(head).count("\t") == 1, _cc3m, own=True),
)
