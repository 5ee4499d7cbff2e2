# SPDX-License-Identifier: Apache-2.0
"""``backbone.json``: how pictures are prepared for a backbone, and what becomes of its outputs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .vectors import FrontEndError

SCHEMA, VERSION = "bitmar-tiny/backbone", 1
FILE = "backbone.json"


@dataclass(frozen=True)
class Declaration:
    """What ``backbone.json`` says. size: side of the square picture; mean, std: of pixels scaled to [0, 1],
    by channel R, G, B; outputs: names, in order; normalise: LayerNorm without affine part per token and
    output; vectors: per picture, after the patch grid was averaged down to so many; project: other widths
    than 768 go through fixed random signs.
    """

    file: str
    sha256: str
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    outputs: tuple[str, ...]
    normalise: bool
    vectors: int
    project: bool

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "schema_version": VERSION, **asdict(self)}

    @classmethod
    def read(cls, path: Path) -> Declaration:
        """Read and check ``backbone.json``; ``FrontEndError`` on the first fault."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8-sig"))
            assert values.pop("schema") == SCHEMA and values.pop("schema_version") == VERSION
            assert set(values) == {f.name for f in fields(cls)}
            made = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
            assert (
                made.vectors > 0
                and 0 < made.size <= 4096
                and len(made.mean) == len(made.std) == 3
                and all(made.std)
            )
            assert all(isinstance(v, (int, float)) for v in made.mean + made.std) and isinstance(
                made.file, str
            )
            assert (
                made.outputs
                and all(isinstance(v, str) for v in made.outputs)
                and isinstance(made.sha256, str)
            )
        except OSError as error:
            raise FrontEndError(
                f"{path}: cannot be read ({error.strerror}).", "Make it with 'bitmar-tiny features'."
            ) from None
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise FrontEndError(
                f"{path}: not a backbone's declaration of version {VERSION}.",
                "Make it with 'bitmar-tiny features'.",
            ) from None
        return made
