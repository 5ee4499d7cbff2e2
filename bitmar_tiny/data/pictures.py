# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures and what they show: from ``metadata.jsonl`` or ``metadata.csv`` beside them (as Hugging
Face's ImageFolder has it), from a captions file, from the names of sub-folders, or from the file names.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import ConfigError, DataError
from .captions import Captions, read_captions
from .lines import read_lines

#: Endings of pictures; those that cannot be read are among them, so that they are reported.
SUFFIXES = frozenset(
    [
        ".png",
        ".jpg",
        ".jpeg",
        ".jfif",
        ".svg",
        ".webp",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
    ]
    + [".avif", ".heic", ".heif", ".jp2", ".tga", ".ico"]
)
#: A file of this kind lists pictures.
LIST = ".txt"
METADATA = ("metadata.jsonl", "metadata.csv")


@dataclass
class Album:
    """Pictures, each once, with its captions, one or more. missing: captioned pictures that are not there, as
    "FILE: line 7, cat.jpg"; unnamed: pictures that no metadata names.
    """

    pictures: list[Path] = field(default_factory=list)
    captions: list[list[str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unnamed: int = 0

    def add(self, other: Album) -> None:
        self.pictures += other.pictures
        self.captions += other.captions
        self.missing += other.missing
        self.unnamed += other.unnamed


def read_album(folders: Sequence[Path | str], captions: Sequence[Path | str] = ()) -> Album:
    """The pictures of some folders (or single files) with their captions.

    captions: files that name pictures in the folders; without, each folder says itself what its pictures
    show. ``DataError`` for a folder without pictures and for captions none of whose pictures is there.
    """
    album, index = Album(), None
    if not captions:
        for folder in folders:
            album.add(_of_folder(Path(folder)))
    for path in captions:
        index = index or Index(list(itertools.chain(*map(find_pictures, folders))), list(map(Path, folders)))
        album.add(_of_captions(Path(path), read_captions(path), index))
    if not album.pictures:
        raise DataError(
            f"{album.missing[0]}: no such picture in {', '.join(map(str, folders))}, and none of the other "
            f"{len(album.missing) - 1:,}.",
            "Give the folder that the captions' pictures are in.",
        )
    return album


def find_pictures(folder: Path | str) -> list[Path]:
    """The picture files of a folder and the folders in it, by their endings, sorted. A ``.txt`` file lists
    them, one a line, each beside it or from here; any other file is itself, and so is a missing one whose
    name ends like a picture's. ``DataError`` where there is none.
    """
    folder = Path(folder)
    if folder.is_file() and folder.suffix.lower() == LIST:
        named = [line.rstrip("\r\n") for line in read_lines(folder)]
        if not named:
            raise DataError(f"{folder}: lists no picture.", "Give one path a line.")
        return [beside if os.path.isfile(beside := folder.parent / name) else Path(name) for name in named]
    if folder.is_file() or not folder.exists() and folder.suffix.lower() in SUFFIXES:
        return [folder]
    if not folder.is_dir():
        raise DataError(f"{folder}: does not exist.", "Give a folder of pictures.")
    found = [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    if not found:
        raise DataError(
            f"{folder}: holds no picture.", "Pictures end in .png, .jpg, .svg, .webp and the like."
        )
    return sorted(found)


def name_of(text: str) -> str:
    """What a file or folder name says: "red_apple" is "red apple"."""
    return " ".join(text.replace("_", " ").split()) or text


def _of_folder(folder: Path) -> Album:
    """A folder's pictures with what its metadata says, else what sub-folders or files are called."""
    pictures = find_pictures(folder)
    told = sorted(p for name in METADATA for p in folder.rglob(name)) if folder.is_dir() else []
    if told:
        return _of_metadata(told, pictures)
    if folder.is_dir() and (others := sorted(folder.rglob("metadata.parquet"))):
        raise DataError(f"{others[0]}: Parquet is not read.", "Write it as metadata.csv or metadata.jsonl.")
    classes = {p.parent for p in pictures if p.parent != folder} if folder.is_dir() else set()
    names = [p.parent.name if len(classes) > 1 and p.parent in classes else p.stem for p in pictures]
    return Album(pictures, [[name_of(name)] for name in names])


def _of_metadata(told: list[Path], pictures: list[Path]) -> Album:
    album, index = Album(), Index(pictures, [])
    for path in told:
        if sum(other.parent == path.parent for other in told) > 1:
            raise ConfigError(f"{path.parent}: holds {' and '.join(METADATA)}.", "Remove one of them.")
        album.add(_of_captions(path, read_captions(path), index))
    album.unnamed = len({*pictures} - {*album.pictures})
    return album


def _of_captions(path: Path, captions: Captions, index: Index) -> Album:
    if not captions.pictures:
        raise ConfigError(
            f"{path}: a JSON list of strings names no pictures.",
            "Give features with --features, or captions that name their pictures.",
        )
    album, places = Album(missing=[f"{path}: {orphan}" for orphan in captions.orphans]), []
    for picture, place in zip(captions.pictures, captions.places, strict=True):
        found = index.find(picture, path.parent)
        places.append(len(album.pictures) if found else -1)
        if found:
            album.pictures.append(found)
            album.captions.append([])
        else:
            album.missing.append(f"{path}: {place}, {picture}")
    for row, text in zip(captions.rows, captions.texts, strict=True):
        if places[row] >= 0:
            album.captions[places[row]].append(text)
    return album


class Index:
    """Picture files by all that captions call them: their path, name, name without ending, or number."""

    def __init__(self, pictures: Iterable[Path], folders: Sequence[Path]) -> None:
        self.folders = folders
        self.known: dict[str, Path | None] = {}  # None: several are called so
        for path in pictures:
            number = re.search(r"(?:^|_)0*(\d+)$", path.stem)  # COCO_val2014_000000137576 is 137576
            for key in {path.name, path.stem, number[1] if number else path.name}:
                self.known[key] = None if key in self.known else path

    def find(self, picture: str, beside: Path) -> Path | None:
        """The file that a captions file in folder ``beside`` means, None where there is none, or several."""
        if "://" in picture:
            picture = unquote(urlsplit(picture).path)
        else:
            for folder in (beside, *self.folders):
                path = folder / picture
                if os.path.isfile(path):
                    return path
        name = picture.rpartition("/")[2]
        return self.known.get(name) or self.known.get(name.lstrip("0") if name.isdecimal() else name)
