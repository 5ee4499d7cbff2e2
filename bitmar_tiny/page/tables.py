# SPDX-License-Identifier: Apache-2.0
"""What the page's JavaScript knows of the protocol, of Unicode, of the words of a thing and of a store's
format: modules that are written from the tables of Python, so that one place says each number.
"""

from __future__ import annotations

import json
from typing import Any

from ..data import show_once, unicode_classes
from ..device import protocol
from ..golden import numerics as nm
from ..memory import format as store


def modules() -> dict[str, str]:
    """Name -> text of each module that no file holds."""
    return {"protocol": _protocol(), "unicode": _unicode(), "words": _words()}


def _constants(**values: Any) -> str:
    return "".join(
        f"export const {name} = {json.dumps(value, separators=(',', ':'))};\n"
        for name, value in values.items()
    )


def _protocol() -> str:
    """Messages with their fields' struct codes, and the sections of a step."""
    messages = {m.name: {"number": m.number, "fields": m.fields} for m in protocol.MESSAGES}
    before, between, behind = protocol.sections(0, 0)[:1], protocol.sections(0, 0)[1:-1], ("head",)
    parts = (
        f"...{json.dumps(before)}, ...layers('enc', encoder), ...{json.dumps(between)}, "
        f"...layers('dec', decoder), ...{json.dumps(behind)}"
    )
    return (
        _constants(
            VERSION=protocol.VERSION,
            FRAMES={name: number for name, (number, _) in protocol.FRAMES.items()},
            MESSAGES=messages,
            FLAGS=protocol.FLAGS,
            PARTS=protocol.PARTS,
        )
        + "export function sections(encoder, decoder) {\n"
        + "  const layers = (name, n) => Array.from({ length: n }, (_, i) => `${name}.${i}`);\n"
        + f"  return [{parts}];\n}}\n"
    )


def _unicode() -> str:
    """The starts of the character classes, as differences."""
    starts = unicode_classes.STARTS
    steps = " ".join(f"{b - a:x}" for a, b in zip([0, *starts], starts, strict=False))
    return (
        f'const STEPS = "{steps}";\n'
        "let reached = 0;\n"
        'export const UNICODE_STARTS = STEPS.split(" ").map((step) => (reached += parseInt(step, 16)));\n'
    )


def _words() -> str:
    return _constants(
        PROMPT=show_once.PROMPT,
        UNKNOWN=show_once.UNKNOWN,
        LONGEST_ANSWER=show_once.LONGEST_ANSWER,
        DETERMINERS=show_once.DETERMINERS,
        VOWELS=show_once.VOWELS,
        USAGE_ONE=nm.USAGE_ONE,
        STORE={"header": store.HEADER, "version": store.VERSION, "unit": store.UNIT, "digest": 48},
    )
