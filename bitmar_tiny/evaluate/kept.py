# SPDX-License-Identifier: Apache-2.0
"""Scores that are kept on the disk as they come, so that what was interrupted goes on where it was.

FOLDER/TARGET-HASH.jsonl    of one model, target and state of the memory; a line for every query:
                            {"query": hash, "log_probs": [...], "greedy": bool}
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..files import atomic_file, parse_json
from .scoring import Likelihood, Progress, Query, Scorer

#: Queries that are scored before they are kept.
AT_ONCE = 32


def kept_file(folder: Path, model: str, on: str, memory: str) -> Path:
    """model: its hash; on: the target; memory: one of ``suite.MEMORY``."""
    name = hashlib.sha256(json.dumps([model, on, memory]).encode()).hexdigest()[:16]
    return folder / f"{re.sub(r'[^A-Za-z0-9]+', '-', on)[:40]}-{name}.jsonl"


class KeptScorer:
    """Scores with ``scorer`` what ``path`` does not hold, and adds it there. ``DataError`` where the disk
    refuses.
    """

    def __init__(self, scorer: Scorer, path: Path) -> None:
        self.scorer, self.name, self.path = scorer, scorer.name, path
        self.known = _read(path)

    def score(self, queries: Sequence[Query], progress: Progress | None = None) -> list[Likelihood]:
        keys = [_key(q) for q in queries]
        missing = [i for i, key in enumerate(keys) if key not in self.known]
        for start in range(0, len(missing), AT_ONCE):
            some = missing[start : start + AT_ONCE]
            if progress:
                progress(len(queries) - len(missing) + start, len(queries))
            found = self.scorer.score([queries[i] for i in some])
            self._add({keys[i]: one for i, one in zip(some, found, strict=True)})
        if progress:
            progress(len(queries), len(queries))
        return [self.known[key] for key in keys]

    def _add(self, found: dict[str, Likelihood]) -> None:
        self.known |= found
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                for key, one in found.items():
                    row = {"query": key, "log_probs": one.log_probs.tolist(), "greedy": one.greedy}
                    file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot be written ({error.strerror}).", "Make room, and run the same again."
            ) from None


def _key(query: Query) -> str:
    hashed = hashlib.sha256(json.dumps([query.context, query.continuation], default=int).encode())
    if query.image is not None:
        hashed.update(query.image.tobytes())
    return hashed.hexdigest()[:32]


def _read(path: Path) -> dict[str, Likelihood]:
    """What is kept, without a last line that was cut short; the file is there and whole afterwards."""
    known: dict[str, Likelihood] = {}
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
    whole = []
    for line in lines:
        try:
            row = parse_json(line)
            known[row["query"]] = Likelihood(np.array(row["log_probs"], np.float64), bool(row["greedy"]))
        except (ValueError, TypeError, KeyError):
            continue
        whole.append(line + "\n")
    with atomic_file(path) as file:
        file.write("".join(whole).encode())
    return known
