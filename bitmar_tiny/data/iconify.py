# SPDX-License-Identifier: Apache-2.0
"""Further styles of emoji pictures: folders of an Iconify set as npm installs them (``@iconify-json/noto``,
say).

    icons.json     {prefix, width, height, icons: {key: {body, ...}}, aliases: {key: {parent}}};
                   a body is what stands inside <svg>
    chars.json     {hexadecimal code points: key}, may be missing or empty: then keys are compared with names
    info.json, package.json    licence and version, for the record

A picture gets the CLDR short name that the emoji package gives its code points, so that one name means the
same in every style.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from .files import check_text, read_json
from .packages import sha256_file

_LARGEST = 4096
_HINT = (
    "Give the folder of an Iconify emoji set: npm install @iconify-json/noto@1.2.9, then "
    "node_modules/@iconify-json/noto."
)


@dataclass(frozen=True)
class Style:
    """One set. drawings: (name, SVG text), ordered by name, each name once; record: what it was read from."""

    prefix: str
    drawings: list[tuple[str, str]]
    record: dict[str, Any]


def read_style(folder: Path | str, names: Mapping[str, str]) -> Style:
    """Read the set in ``folder``. names: emoji without variation selectors -> CLDR short name.

    Pictures without such a name, and aliases that turn or mirror another picture, are left out. ``DataError``
    for anything that is not an Iconify set, and for one in which no picture has a name.
    """
    folder = Path(folder)
    table = read_json(folder / "icons.json") if folder.is_dir() else None
    if (
        not isinstance(table, dict)
        or not isinstance(table.get("prefix"), str)
        or not isinstance(table.get("icons"), dict)
    ):
        raise DataError(f"{folder}: not the folder of an Iconify set.", _HINT)
    check_text(table["prefix"], f"{folder / 'icons.json'}: the prefix")
    chars = read_json(folder / "chars.json") if (folder / "chars.json").is_file() else {}
    keys = _by_code(chars, names, folder) if chars else _by_key(table, names)
    drawings = {name: _svg(table, key, folder) for name, key in sorted(keys.items()) if _parent(table, key)}
    if not drawings:
        raise DataError(f"{folder}: no picture of the set has the name of an emoji.", _HINT)
    record = {
        "prefix": table["prefix"],
        "pictures": len(drawings),
        "version": _field(folder / "package.json", "version"),
        "licence": _field(folder / "info.json", "license", "spdx"),
        "author": _field(folder / "info.json", "author", "name"),
        "sha256": {
            f: sha256_file(folder / f) for f in ("icons.json", "chars.json") if (folder / f).is_file()
        },
    }
    return Style(table["prefix"], list(drawings.items()), record)


def _by_code(chars: Any, names: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Name -> key, by code points; of several emoji with one name the first."""
    found: dict[str, str] = {}
    try:
        for code, key in chars.items():
            name = names.get("".join(chr(int(c, 16)) for c in code.split("-")).replace("\ufe0f", ""))
            if name and isinstance(key, str):
                found.setdefault(name, key)
    except (AttributeError, ValueError, OverflowError):
        raise DataError(
            f"{folder / 'chars.json'}: expected a table of hexadecimal code points.", _HINT
        ) from None
    return found


def _by_key(table: dict[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Name -> key, where the key spells the name ("1st-place-medal")."""
    plain = {_letters(name): name for name in names.values()}
    keys = [*table["icons"], *(table.get("aliases") or {})]
    found: dict[str, str] = {}
    for key in keys:
        if _letters(key) in plain:
            found.setdefault(plain[_letters(key)], key)
    return found


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _parent(table: dict[str, Any], key: str) -> str | None:
    """The icon behind a key: itself, or an alias's parent where the alias changes nothing."""
    alias = (table.get("aliases") or {}).get(key)
    if key not in table["icons"] and isinstance(alias, dict) and set(alias) == {"parent"}:
        key = alias["parent"]
    return key if key in table["icons"] else None


def _svg(table: dict[str, Any], key: str, folder: Path) -> str:
    icon = table["icons"][_parent(table, key)]
    body = icon.get("body") if isinstance(icon, dict) else None
    if not isinstance(body, str):
        raise DataError(f"{folder / 'icons.json'}: the icon '{key}' has no body.", _HINT)
    check_text(body, f"{folder / 'icons.json'}: the icon '{key}'")
    box = [
        icon.get(k, table.get(k, default))
        for k, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    ]
    if not all(type(v) in (int, float) and abs(v) <= _LARGEST for v in box) or min(box[2:]) <= 0:
        raise DataError(f"{folder / 'icons.json'}: the icon '{key}' has no possible size.", _HINT)
    left, top, width, height = box
    side = max(width, height)  # square, the picture in the middle
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{side}" '
        f'height="{side}" '
        f'viewBox="{left - (side - width) / 2:g} {top - (side - height) / 2:g} {side:g} '
        f'{side:g}">{body}</svg>'
    )


def _field(path: Path, *keys: str) -> str:
    """A field of a JSON file, for the record: "unknown" where it is missing."""
    value = read_json(path) if path.is_file() else None
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else "unknown"
