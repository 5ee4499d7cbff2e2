# SPDX-License-Identifier: Apache-2.0
"""Picture features through a frozen backbone, in the paper's format: captions JSON + ``.npy``.

Per picture and token: each chosen block's output is normalised (LayerNorm without affine) and the
blocks are concatenated to 768 numbers; CLS and register tokens are dropped, the patch grid stays.
Two blocks of a 384-wide model are labelled as that, never as a 768-wide one.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..arch.config import VISION_DIM
from ..errors import ConfigError, DataError
from ..files import atomic_file, only_one
from .backbone_record import FILE as ABOUT
from .backbone_record import KEY, BackboneRecord, short
from .backbones import Backbone, file_backbone
from .files import write_json
from .frontend.declaration import FILE, Declaration
from .frontend.vectors import FrontEndError, scaled, to_vectors
from .packages import sha256_file
from .pixels import load_pixels, pixels_of
from .rows import Picture, make_rows

#: Of pixels in [0, 1], as most backbones want them.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preparation:
    """How pictures are prepared and what becomes of a backbone's outputs; ``frontend.declaration`` says it on
    a board.

    mean, std: of pixels scaled to [0, 1]; pool: average 2x2 neighbours of the grid; vectors: average it down
    to so many (None: as many as there are); project: other widths than 768 go through fixed random signs.
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    normalise: bool = True
    pool: bool = False
    vectors: int | None = None
    project: bool = False


def label_of(backbone: Backbone, widths: Sequence[int]) -> str:
    """What the features are, e.g. "DINOv2-S block 7 + block 10 (2 x 384)"."""
    sizes = f"{len(widths)} x {widths[0]}" if len(set(widths)) == 1 else " + ".join(map(str, widths))
    return f"{backbone.name} {' + '.join(backbone.parts)} ({sizes})"


def extract(
    backbone: Backbone, images: Iterable[Picture], how: Preparation = Preparation()
) -> Iterator[tuple[np.ndarray, list[int]]]:
    """Yield (float16 [vectors, 768], widths of the outputs) for successive pictures."""
    for image in images:
        yield _vectors(backbone, _pixels(image, backbone.size), how, _name(image))


def _name(image: Picture) -> str:
    return "a picture" if isinstance(image, np.ndarray) else str(image)


def _vectors(
    backbone: Backbone, pixels: np.ndarray, how: Preparation, where: str
) -> tuple[np.ndarray, list[int]]:
    outputs = backbone.run(scaled(pixels, how.mean, how.std))
    side = math.isqrt(len(outputs[0]))
    if how.pool and side % 2:
        raise DataError(
            f"A grid of {side * side} vectors cannot be pooled 2 x 2.", "Choose a size with an even grid."
        )
    vectors = how.vectors or (side * side // 4 if how.pool else side * side)
    try:
        found = to_vectors(outputs, how.normalise, vectors, how.project)
    except FrontEndError as error:
        raise DataError(f"{backbone.name}, {where}: {error.message}", error.hint) from None
    return found.astype(np.float16), [out.shape[-1] for out in outputs]


class PictureEncoder:
    """A backbone file that makes the vectors of a record.

    ``DataError`` for a file that cannot be used, ``ConfigError`` for another backbone than the record's.
    """

    def __init__(self, record: BackboneRecord, path: Path | str, wanted_by: str) -> None:
        digest = sha256_file(path) if Path(path).is_file() else ""
        if digest and digest not in record.sha256:
            raise ConfigError(
                f"{path} ({short([digest])}): not the backbone that {wanted_by} was trained with, which is "
                f"{record.name}.",
                "Give that one, or the copy of it that 'bitmar-tiny features' wrote.",
            )
        self.backbone = file_backbone(path, record.outputs, size=record.size)
        self.how = Preparation(
            record.mean, record.std, record.normalise, vectors=record.vectors, project=record.project
        )

    def encode(self, image: Path | str | bytes) -> np.ndarray:
        """The vectors of a picture file, or of the bytes of one: float32 [vectors, 768]."""
        size, where = self.backbone.size, str(image) if isinstance(image, (str, Path)) else "Standard input"
        pixels = pixels_of(image, size, where) if isinstance(image, bytes) else load_pixels(image, size)
        return _vectors(self.backbone, pixels, self.how, where)[0].astype(np.float32)


def write_features(
    out_dir: Path | str,
    backbone: Backbone,
    images: Sequence[Picture],
    captions: Sequence[str | list[str]],
    how: Preparation = Preparation(),
    progress: Callable[[int, int], None] | None = None,
) -> list[DataError]:
    """Write ``features.npy`` (float16 [N, P, 768], see ``rows.py``), ``captions.json`` and ``features.json``
    (what they are, and the record of what made them); for a backbone that a board can run, also that file and
    its ``backbone.json``, which ``codegen --features`` takes along.

    The array is streamed to disk, so N may be large, and what was computed before is not computed again.
    captions: of each picture, one or several. progress: called with (done, total). Returns what is wrong with
    each picture that was left out. ``DataError`` where no picture can be read, and for a backbone of the
    wrong shape; ``ConfigError`` where another process is writing there.
    """
    out_dir = Path(out_dir)
    if not images or len(images) != len(captions):
        raise DataError(
            f"{len(images)} pictures and {len(captions)} captions: need as many of both, and one at least."
        )
    made_with = {"backbone": backbone.provenance | {"size": backbone.size}, "how": asdict(how)}
    with only_one(out_dir, "features"):
        return _write_features(out_dir, backbone, images, captions, how, made_with, progress)


def _write_features(
    out_dir: Path,
    backbone: Backbone,
    images: Sequence[Picture],
    captions: Sequence[str | list[str]],
    how: Preparation,
    made_with: dict[str, Any],
    progress: Callable[[int, int], None] | None,
) -> list[DataError]:
    made = make_rows(out_dir, made_with, images, partial(_work, backbone, how), progress)
    blank = np.zeros((backbone.size, backbone.size, 3), np.uint8)
    widths = [out.shape[-1] for out in backbone.run(scaled(blank, how.mean, how.std))]
    write_json(out_dir / "captions.json", [captions[i] for i in made.kept])
    copy = _write_backbone(out_dir, backbone, how, made.shape[1]) if backbone.file else None
    write_json(
        out_dir / ABOUT,
        {
            "label": label_of(backbone, widths),
            "shape": list(made.shape),
            "dtype": "float16",
            "size": backbone.size,
            "pooled": f"average of the grid down to {made.shape[1]} vectors"
            if how.pool or how.vectors
            else "no",
            "normalised": "LayerNorm per token and block, no affine part" if how.normalise else "no",
            "projected": "fixed random signs" if how.project and sum(widths) != VISION_DIM else "no",
            "dropped": "CLS and register tokens",
            "provenance": backbone.provenance,
            KEY: record_of(backbone, widths, how, made.shape[1], copy).model_dump(mode="json"),
        },
    )
    return made.bad


def record_of(
    backbone: Backbone, widths: Sequence[int], how: Preparation, vectors: int, copy: str | None
) -> BackboneRecord:
    """What made the vectors. copy: SHA-256 of the backbone that lies beside them."""
    kept = backbone.provenance
    digest = kept.get("sha256", "")
    if not isinstance(digest, str):  # of the files of a folder
        digest = hashlib.sha256(json.dumps(digest, sort_keys=True).encode()).hexdigest()
    return BackboneRecord(
        label=label_of(backbone, widths),
        file=kept.get("file") or kept.get("folder") or backbone.name,
        sha256=tuple(dict.fromkeys(filter(None, (digest, copy)))),
        outputs=backbone.outputs or backbone.parts,
        size=backbone.size,
        vectors=vectors,
        **{k: getattr(how, k) for k in ("mean", "std", "normalise", "project")},
    )


def _work(
    backbone: Backbone, how: Preparation, images: Sequence[Picture]
) -> Iterator[np.ndarray | DataError]:
    """The vectors of pictures, or what is wrong with one."""
    for image in images:
        try:
            pixels = _pixels(image, backbone.size)
        except DataError as fault:
            yield fault
            continue
        yield _vectors(backbone, pixels, how, str(image) if isinstance(image, (str, Path)) else "a picture")[
            0
        ]


def _write_backbone(out_dir: Path, backbone: Backbone, how: Preparation, vectors: int) -> str:
    """The backbone itself and its declaration; its SHA-256."""
    name = f"backbone{backbone.file.suffix.lower()}"
    with open(backbone.file, "rb") as source, atomic_file(out_dir / name) as target:
        shutil.copyfileobj(source, target)
    declaration = Declaration(
        name,
        sha256_file(out_dir / name),
        backbone.size,
        how.mean,
        how.std,
        backbone.outputs,
        how.normalise,
        vectors,
        how.project,
    )
    write_json(out_dir / FILE, declaration.to_json())
    return declaration.sha256


def _pixels(image: Picture, size: int) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        return load_pixels(image, size)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"A picture is {image.dtype}{list(image.shape)}, expected uint8 [H, W, 3].")
    if image.shape[:2] == (size, size):
        return image
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC), np.uint8)
