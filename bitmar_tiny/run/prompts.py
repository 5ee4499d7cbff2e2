# SPDX-License-Identifier: Apache-2.0
"""Prompts that come line by line: text as it is, or JSON that also names a picture."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from ..files import parse_json

KEYS = ("prompt", "image")
EXAMPLE = 'Write text, or JSON such as {"prompt": "a cat", "image": "cat.png"}.'


def read_prompt(line: bytes) -> tuple[str, Path | None]:
    """Prompt and picture of a line, which is JSON if it begins with a brace. ``DataError`` if it is none."""
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise DataError("The line is not UTF-8 text.", EXAMPLE) from None
    if not text.lstrip().startswith("{"):
        return text, None
    try:
        asked = parse_json(text)
    except ValueError as error:
        raise DataError(f"The line begins as JSON and is none ({error}).", EXAMPLE) from None
    wrong = [key for key, value in asked.items() if key not in KEYS or not isinstance(value, str)]
    if wrong:
        raise DataError(f"The line says '{wrong[0]}', which is no text or no key of a prompt.", EXAMPLE)
    return asked.get("prompt", ""), Path(asked["image"]) if asked.get("image") else None
