# SPDX-License-Identifier: Apache-2.0
"""The paper's file formats: BabyLM ``*.train`` text, captions as JSON, image features as ``.npy``.

Nothing here trusts a file: what is missing, cut short, of the wrong shape or not finite is a
``DataError`` that names the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..arch.config import VISION_DIM
from ..errors import DataError
from .files import read_json

#: Pixel byte -> float32 in [-1, 1]. One table, so that every part of the system rounds alike.
PIXEL_TO_FLOAT = (np.float32(2) * np.arange(256).astype(np.float32) - np.float32(255)) / np.float32(255)
_CHECK_ROWS = 1024


def to_float(features: np.ndarray) -> np.ndarray:
    """float32 of stored features: uint8 pixels p become (2p - 255) / 255, float16 is widened."""
    values = np.asarray(features)  # a plain array, not the memory map's subclass
    return PIXEL_TO_FLOAT[values] if values.dtype == np.uint8 else values.astype(np.float32)


def text_files(path: Path | str, suffix: str = ".train") -> list[Path]:
    """The files that ``path`` stands for: itself, or every ``*.train`` below a directory, sorted."""
    path = Path(path)
    if path.is_file():
        return [path]
    found = sorted(path.rglob(f"*{suffix}")) if path.is_dir() else []
    if not found:
        what = f"holds no *{suffix} file" if path.is_dir() else "does not exist"
        raise DataError(f"{path}: {what}.", "Give a text file, or the folder of a BabyLM corpus.")
    return found


def read_lines(path: Path | str, suffix: str = ".train") -> Iterator[str]:
    """Yield the samples of a text corpus: one non-blank line each, ends trimmed.

    Only newline separates (not the dozen other characters of ``str.splitlines``); bytes that are
    not UTF-8 become U+FFFD, since web corpora have them and one must not end a night's training.
    """
    for file in text_files(path, suffix):
        try:
            with open(file, encoding="utf-8", errors="replace", newline="\n") as stream:
                for line in stream:
                    line = line.strip()
                    if line:
                        yield line
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror}).") from None


def read_captions(path: Path | str) -> list[str]:
    """A JSON list of strings; ``DataError`` for anything else or for an empty caption."""
    captions = read_json(path)
    if not isinstance(captions, list) or not all(isinstance(c, str) for c in captions):
        raise DataError(f"{path}: expected a JSON list of strings.")
    for i, caption in enumerate(captions):
        if not caption.strip():
            raise DataError(f"{path}: caption {i} is empty.")
    return captions


def open_features(path: Path | str) -> np.ndarray:
    """Memory-map features [N, 768] or [N, P, 768] of float16, float32 or uint8 (raw pixels).

    ``DataError`` for a truncated or foreign file, a wrong shape or type, a row that is not finite.
    """
    features = _map(path)
    _check(features, str(path))
    return features


def _map(path: Path | str) -> np.ndarray:
    try:
        features = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist.") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: not a complete .npy file of numbers ({str(error).split(chr(10))[0]}).",
            "Copy or compute it again.",
        ) from None
    if not isinstance(features, np.ndarray):
        raise DataError(f"{path}: an .npz archive, expected one .npy array.")
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
    """Pictures (as features) with their captions, one to one.

    captions: N strings; features: [N, 768] or [N, n, 768], float16, float32 or uint8 pixels.
    """

    def __init__(
        self, captions: Sequence[str], features: np.ndarray | Stacked, where: str = "captions"
    ) -> None:
        if len(captions) != len(features):
            raise DataError(
                f"{where}: {len(captions)} captions but features for {len(features)} pictures.",
                "Both files must list the same pictures in the same order.",
            )
        if isinstance(features, np.ndarray):
            _check(features, where)
        self.captions = list(captions)
        self.features = features if features.ndim == 3 else features[:, None, :]

    @classmethod
    def load(cls, captions_json: Path | str, features_npy: Path | str) -> CaptionSet:
        """Open a captions JSON and its features (memory-mapped). ``DataError`` on any fault."""
        return cls.load_all([captions_json], [features_npy])

    @classmethod
    def load_all(cls, captions_json: Sequence[Path | str], features_npy: Sequence[Path | str]) -> CaptionSet:
        """All captions files, and all features files, each read as one (CC3M's features come in two halves).

        ``DataError`` on any fault.
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
        captions = [caption for path in captions_json for caption in read_captions(path)]
        return cls(
            captions, parts[0] if len(parts) == 1 else Stacked(parts), ", ".join(map(str, features_npy))
        )

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def n_vectors(self) -> int:
        """Vectors of 768 per picture."""
        return self.features.shape[1]

    def image(self, i: int) -> np.ndarray:
        """float32 [n, 768] of picture ``i``."""
        return to_float(self.features[i])

    def images(self, indices: np.ndarray) -> np.ndarray:
        """float32 [B, n, 768] of the pictures ``indices`` (int [B])."""
        return to_float(self.features[indices])
