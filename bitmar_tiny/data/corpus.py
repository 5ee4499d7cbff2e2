# SPDX-License-Identifier: Apache-2.0
"""Pictures as features in ``.npy`` files, with their captions.

Nothing here trusts a file: what is missing, cut short, of the wrong shape or not finite is a
``DataError`` that names the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..arch.config import VISION_DIM
from ..errors import DataError
from ..golden import numerics
from .captions import read_captions
from .files import read_npy

_CHECK_ROWS = 1024


def to_float(features: np.ndarray) -> np.ndarray:
    """float32 of stored features: uint8 pixels p become (2p - 255) / 255, float16 is widened."""
    values = np.asarray(features)  # a plain array, not the memory map's subclass
    return numerics.as_features(values) if values.dtype == np.uint8 else values.astype(np.float32)


def open_features(path: Path | str) -> np.ndarray:
    """Memory-map features [N, 768] or [N, P, 768] of float16, float32 or uint8 (raw pixels).

    ``DataError`` for a truncated or foreign file, a wrong shape or type, a row that is not finite.
    """
    features = read_npy(path, mapped=True)
    _check(features, str(path))
    return features


def _check(features: np.ndarray, where: str) -> None:
    shape = features.shape
    if len(shape) not in (2, 3) or shape[-1] != VISION_DIM or 0 in shape:
        raise DataError(f"{where}: shape {list(shape)}, expected [N, {VISION_DIM}] or [N, P, {VISION_DIM}].")
    if features.dtype not in (np.float16, np.float32, np.uint8):
        raise DataError(
            f"{where}: type {features.dtype}, expected float16, float32 or uint8.",
            "Save it with .astype(numpy.float16).",
        )
    if features.dtype == np.uint8:
        return
    for start in range(0, shape[0], _CHECK_ROWS):
        rows = features[start : start + _CHECK_ROWS].reshape(-1, int(np.prod(shape[1:])))
        bad = ~np.isfinite(rows).all(axis=1)
        if bad.any():
            raise DataError(
                f"{where}: row {start + int(bad.argmax())} holds NaN or infinity.",
                "Compute the features again.",
            )


class Stacked:
    """Several arrays [N_i, n, 768] of one type, one behind the other: rows by index, nothing is copied."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self.parts, self.ends = list(parts), np.cumsum([len(p) for p in parts])
        self.shape, self.dtype, self.ndim = (
            (int(self.ends[-1]), *parts[0].shape[1:]),
            parts[0].dtype,
            parts[0].ndim,
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index):
        """Row ``index`` (int), or the rows of an int array."""
        wanted = np.asarray(index)
        part = np.searchsorted(self.ends, wanted, side="right")
        if not wanted.ndim:
            return self.parts[part][wanted - self.ends[part]]
        out = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for i in np.unique(part):
            here = part == i
            out[here] = self.parts[i][wanted[here] - self.ends[i]]  # negative: counted from the part's end
        return out


class CaptionSet:
    """Captions with their pictures (as features).

    captions: N strings; features: [M, 768] or [M, n, 768], float16, float32 or uint8 pixels; rows: int [N],
    the picture of each caption, where a picture may have several (None: one to one).
    """

    def __init__(
        self,
        captions: Sequence[str],
        features: np.ndarray | Stacked,
        where: str = "captions",
        rows: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        self.captions = list(captions)
        self.rows = np.arange(len(captions)) if rows is None else np.asarray(rows, np.int64)
        pictures = int(self.rows.max(initial=-1)) + 1
        if pictures != len(features):
            raise DataError(
                f"{where}: captions of {pictures} pictures, features for {len(features)} pictures.",
                "Both files must list the same pictures in the same order.",
            )
        if isinstance(features, np.ndarray):
            _check(features, where)
        self.features = features if features.ndim == 3 else features[:, None, :]

    @classmethod
    def load(cls, captions: Path | str, features_npy: Path | str) -> CaptionSet:
        """Open captions and their features (memory-mapped). ``DataError`` on any fault."""
        return cls.load_all([captions], [features_npy])

    @classmethod
    def load_all(cls, captions: Sequence[Path | str], features_npy: Sequence[Path | str]) -> CaptionSet:
        """All captions files, and all features files, each read as one (CC3M's features come in two halves).

        Row i of the features belongs to the i-th picture that the captions mention. ``DataError`` on any
        fault.
        """
        parts = [open_features(path) for path in features_npy]
        parts = [p if p.ndim == 3 else p[:, None, :] for p in parts]
        for path, part in zip(features_npy, parts, strict=False):
            if part.shape[1:] != parts[0].shape[1:] or part.dtype != parts[0].dtype:
                raise DataError(
                    f"{path}: rows of {list(part.shape[1:])} {part.dtype}, those of {features_npy[0]} are "
                    f"{list(parts[0].shape[1:])} {parts[0].dtype}.",
                    "Give all features the same shape and type.",
                )
        texts, rows = [], []
        for path in captions:
            read, before = read_captions(path), len(rows) and rows[-1].max() + 1
            if read.orphans:
                raise DataError(
                    f"{path}: {read.orphans[0]}.", "Remove it, so that captions and features go together."
                )
            texts += read.texts
            rows.append(np.array(read.rows, np.int64) + before)
        return cls(
            texts,
            parts[0] if len(parts) == 1 else Stacked(parts),
            ", ".join(map(str, features_npy)),
            np.concatenate(rows) if rows else None,
        )

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def n_vectors(self) -> int:
        """Vectors of 768 per picture."""
        return self.features.shape[1]

    def image(self, i: int) -> np.ndarray:
        """float32 [n, 768] of the picture of caption ``i``."""
        return to_float(self.features[self.rows[i]])

    def images(self, indices: np.ndarray) -> np.ndarray:
        """float32 [B, n, 768] of the pictures of the captions ``indices`` (int [B])."""
        return to_float(self.features[self.rows[indices]])
