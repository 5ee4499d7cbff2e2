# SPDX-License-Identifier: Apache-2.0
"""A reader for each format of captions. It yields (picture, text, where it stands in the file); the picture
is a file name, an id or a URL as the file has it; in a JSON list, which names none, it is the number of the
item, from 1 on. Picture None: a caption of one that the file does not list.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import parse_json
from .lines import decoded, open_text

#: Names of a column or key that tells the picture, and of one that tells what is on it, the best first.
PICTURE_KEYS = ("file_name", "filename", "image_name", "image_id", "image", "file", "path")
CAPTION_KEYS = ("text", "caption", "captions", "comment", "sentence", "sentences", "description", "raw")
TOKEN = re.compile(r"(.+)#\d+\t(.+)")

Entry = tuple[str | None, str, str]


def _whole(path: Path) -> Any:
    with open_text(path) as stream:
        raw = stream.read()
    try:
        return parse_json(raw)
    except ValueError as error:
        raise DataError(f"{path}: not JSON text ({error}).") from None


def json_list(path: Path) -> Iterator[Entry]:
    """["a cat", ["a dog", "a brown dog"], ...]: an item is a picture's caption, or several."""
    items = _whole(path)
    if not isinstance(items, list):
        raise DataError(f"{path}: expected a JSON list of strings.")
    for i, item in enumerate(items, 1):
        texts = item if isinstance(item, list) else [item]
        if not texts or not all(isinstance(t, str) for t in texts):
            raise DataError(
                f"{path}: expected a JSON list of strings, or of lists of strings, but caption {i} is none."
            )
        for text in texts:
            yield str(i), text, f"caption {i}"


def coco(path: Path) -> Iterator[Entry]:
    """{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}"""
    found = _whole(path)
    images, annotations = (
        found.get(k) if isinstance(found, dict) else None for k in ("images", "annotations")
    )
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise DataError(
            f"{path}: expected a JSON list of strings, or COCO's lists 'images' and 'annotations'."
        )
    names = {}
    for i, image in enumerate(images, 1):
        if (
            not isinstance(image, dict)
            or not isinstance(image.get("file_name"), str)
            or not isinstance(image.get("id"), (int, str))
        ):
            raise DataError(f"{path}: image {i} has no 'id' and 'file_name'.")
        names[image["id"]] = image["file_name"]
    for i, note in enumerate(annotations, 1):
        if not isinstance(note, dict) or not isinstance(note.get("caption"), str):
            raise DataError(f"{path}: annotation {i} has no 'caption'.")
        key = note.get("image_id")
        if not isinstance(key, (int, str)) or key not in names:
            yield None, note["caption"], f"annotation {i} is of image {str(key)[:40]}, which is not listed"
            continue
        yield names[key], note["caption"], f"annotation {i}"


def json_lines(path: Path) -> Iterator[Entry]:
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


def flickr_tokens(path: Path) -> Iterator[Entry]:
    """1000092795.jpg#0, tab, caption"""
    for number, line in _numbered(path):
        found = TOKEN.fullmatch(line)
        if not found:
            raise DataError(f"{path}: line {number} is not NAME#NUMBER, tab, caption.")
        yield found[1], found[2].strip(), f"line {number}"


def cc3m(path: Path) -> Iterator[Entry]:
    """caption, tab, URL: one picture a line, whatever its URL"""
    for number, line in _numbered(path):
        text, tab, url = line.partition("\t")
        if not tab or "\t" in url or not url.strip():
            raise DataError(f"{path}: line {number} is not a caption, a tab and a URL.")
        yield url.strip(), text.strip(), f"line {number}"


def delimiter_of(header: str) -> str:
    """What separates a header's columns if it names a picture and a caption, else ""."""
    for delimiter in ",|\t;":
        names = _columns(header, delimiter)
        if any(k in names for k in PICTURE_KEYS) and any(k in names for k in CAPTION_KEYS):
            return delimiter
    return ""


def _columns(header: str, delimiter: str) -> list[str]:
    return [name.strip().strip('"').lower() for name in header.rstrip("\r\n").split(delimiter)]


def table(path: Path) -> Iterator[Entry]:
    """A header that names a picture and a caption column: ImageFolder's metadata.csv, Flickr's tables."""
    with contextlib.closing(_lines(path)) as numbered:
        before, header = next((n, line) for n, line in numbered if line.strip())
        lines = (line for _, line in numbered)
        delimiter = delimiter_of(header)
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
    """(number from 1, text without its end) of every line that is not blank."""
    return ((number, line.strip("\r\n")) for number, line in _lines(path) if line.strip())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of every line. ``DataError`` for one that is not UTF-8: a caption has no wrong
    letter.
    """
    with open_text(path) as stream:
        for number, line in enumerate(stream, 1):
            yield number, decoded(line, path, number)
