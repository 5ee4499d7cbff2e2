# SPDX-License-Identifier: Apache-2.0
"""The rules of Arduino's library specification, format 1.5, revision 2.2 (arduino.github.io/arduino-cli,
Library specification), as far as a folder can be judged without a compiler.
"""

from __future__ import annotations

import re
from pathlib import Path

REQUIRED = (
    "name",
    "version",
    "author",
    "maintainer",
    "sentence",
    "paragraph",
    "category",
    "url",
    "architectures",
)
OPTIONAL = ("depends", "dot_a_linkage", "includes", "precompiled", "ldflags")
CATEGORIES = (
    "Display",
    "Communication",
    "Signal Input/Output",
    "Sensors",
    "Device Control",
    "Timing",
    "Data Storage",
    "Data Processing",
    "Other",
)
KINDS = ("KEYWORD1", "KEYWORD2", "KEYWORD3", "LITERAL1", "LITERAL2")


def faults(library: Path) -> list[str]:
    """What is wrong with a library's folder, in words."""
    return [*_properties(library), *_keywords(library), *_folders(library)]


def _properties(library: Path) -> list[str]:
    lines = [line for line in (library / "library.properties").read_text().splitlines() if line]
    values = dict(line.split("=", 1) for line in lines)
    found = [f"no {key}" for key in REQUIRED if not values.get(key, "").strip()]
    found += [f"unknown {key}" for key in values if key not in REQUIRED + OPTIONAL]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]*", values.get("name", "")):
        found.append("name: letters, digits, spaces, _ . - only, the first one a letter or a digit")
    if values.get("name", "").lower().startswith("arduino"):
        found.append("name: begins with Arduino")
    if not re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", values.get("version", "")):
        found.append("version: no semantic version")
    if values.get("category") not in CATEGORIES:
        found.append("category: not one of the list")
    if not re.match(r"https?://\S+$", values.get("url", "")):
        found.append("url: no address")
    for header in filter(None, values.get("includes", "").split(",")):
        if not (library / "src" / header).is_file():
            found.append(f"includes: there is no {header}")
    return found


def _keywords(library: Path) -> list[str]:
    found, known = [], set()
    for line in (library / "keywords.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        word, tab, kind = line.partition("\t")
        if not tab or kind not in KINDS or not re.fullmatch(r"\w+", word) or word in known:
            found.append(f"keywords.txt: {line!r}")
        known.add(word)
    return found


def _folders(library: Path) -> list[str]:
    """A sketch has the name of its folder; a library with src has no sources beside it, no utility folder."""
    found = []
    for sketch in (library / "examples").iterdir():
        if not (sketch / f"{sketch.name}.ino").is_file():
            found.append(f"examples/{sketch.name}: no sketch of that name")
    found += [f"{f.name}: beside src" for f in library.iterdir() if f.suffix in (".c", ".cpp", ".S", ".h")]
    found += [f"{name}: not beside src" for name in ("utility", "extra") if (library / name).exists()]
    found += [
        f"{f.name}: a link, or a program" for f in library.rglob("*") if f.is_symlink() or f.suffix == ".exe"
    ]
    return found
