# SPDX-License-Identifier: Apache-2.0
"""Which backbone made the vectors that a model was trained on: written beside the features, taken along by
the model, and asked for again when the model is shown a picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..arch.config import StrictModel
from ..errors import ConfigError, DataError
from .files import read_json

#: Of a folder of features; and what the record is called there and in a frozen model.
FILE, KEY = "features.json", "backbone"


class BackboneRecord(StrictModel):
    """label: what the vectors are; file: the backbone's own name; sha256: of that file, or of the files of a
    folder together, and of the graph that was cut out of it, if any; outputs: names, of a file that a board
    can run; size: side of its pictures; mean, std, normalise, project: as ``features.Preparation`` has them;
    vectors: of a picture.
    """

    label: str
    file: str
    sha256: tuple[str, ...]
    outputs: tuple[str, ...]
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    normalise: bool
    vectors: int
    project: bool

    @property
    def name(self) -> str:
        """For a sentence."""
        if self == UNKNOWN:
            return f"{self.file} ({self.label})"
        vectors = f"{self.vectors} vector{'s' if self.vectors > 1 else ''} a picture"
        return f"{self.file} ({self.label}, {vectors}, {short(self.sha256[:1])})"

    def same(self, other: BackboneRecord) -> bool:
        """Whether both make the same vectors of a picture."""
        own, its = ({**vars(r), "label": "", "file": "", "sha256": ()} for r in (self, other))
        alike = bool({*self.sha256} & {*other.sha256}) or not (self.sha256 or other.sha256)
        return own == its and alike


#: Of features that somebody else made.
UNKNOWN = BackboneRecord(
    label="nobody recorded which",
    file="a backbone",
    sha256=(),
    outputs=(),
    size=0,
    mean=(0, 0, 0),
    std=(1, 1, 1),
    normalise=False,
    vectors=0,
    project=False,
)


def short(sums: Iterable[str]) -> str:
    """The begin of a SHA-256, for a sentence."""
    return " and ".join(f"SHA-256 {s[:12]}..." for s in sums) or "no SHA-256"


def read_record(folder: Path) -> BackboneRecord:
    """That of a folder of features; ``UNKNOWN`` where nothing says it. ``DataError`` for a damaged one."""
    if not (folder / FILE).is_file():
        return UNKNOWN
    values = read_json(folder / FILE)
    if not isinstance(values, dict) or KEY not in values:
        return UNKNOWN
    try:
        return BackboneRecord.parse(values[KEY], str(folder / FILE))
    except ConfigError as error:
        raise DataError(
            error.message, "Run 'bitmar-tiny features' again; vectors are not computed again."
        ) from None


def record_of(kept: dict[str, Any], where: str) -> BackboneRecord | None:
    """That of a frozen model's provenance or of a table of things; None where pictures are looked at
    directly. ``ConfigError`` for a damaged one.
    """
    return BackboneRecord.parse(kept[KEY], f"{where}, {KEY}") if kept.get(KEY) is not None else None
