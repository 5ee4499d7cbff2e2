"""How well a model names pictures: exact names and word overlap, with the controls that make it believable."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.tokenizer import Tokenizer
from ..errors import ToolError
from ..model.bitmar import BitMar
from ..model.streaming import greedy

BATCH = 128


def words(text: str) -> set[str]:
    """Lower-case words of a caption."""
    return set(re.findall(r"\w+", text.lower()))


def score(predictions: Sequence[str], truths: Sequence[str]) -> dict[str, float]:
    """Fraction of exact names, and mean |intersection| / |union| of words."""
    pairs = [(words(p), words(t)) for p, t in zip(predictions, truths)]
    return {
        "exact": float(np.mean([p == t for p, t in zip(predictions, truths)])),
        "iou": float(np.mean([len(a & b) / len(a | b) if a | b else 1.0 for a, b in pairs])),
    }


def predict(model: BitMar, images: np.ndarray | None, count: int, tokenizer: Tokenizer) -> list[str]:
    """Greedy captions for images float32 [N, n, 768], or for ``count`` streams without image."""
    texts = []
    for start in range(0, count, BATCH):
        n = min(BATCH, count - start)
        batch = None if images is None else torch.from_numpy(images[start : start + n])
        texts += [tokenizer.decode(ids).strip() for ids in greedy(model, batch, n)]
    return texts


def c_captions(command: Sequence[str], images: Iterable[np.ndarray], folder: Path) -> list[str]:
    """Captions by the generated program ``command`` for pictures float32 [n, 768], one after the other; ``ToolError`` if it fails."""
    texts, path = [], folder / "picture.f32"
    for image in images:
        path.write_bytes(np.ascontiguousarray(image, "<f4").tobytes())
        done = subprocess.run([*command, "generate", "--image", str(path)], capture_output=True)
        if done.returncode:
            raise ToolError(f"{command[-1]}: {done.stderr.decode(errors='replace').strip()}")
        texts.append(done.stdout.decode(errors="replace").strip())
    path.unlink(missing_ok=True)
    return texts


def evaluate_captions(
    model: BitMar, captions: Sequence[str], images: np.ndarray, tokenizer: Tokenizer, seed: int = 0
) -> dict[str, Any]:
    """Scores by condition: the picture, no picture, another sample's picture, and the memory left unread.

    ``predictions`` holds the captions of the first condition. The model is left in eval mode.
    """
    model.eval()
    n = len(captions)
    texts = predict(model, images, n, tokenizer)
    shuffled = np.random.default_rng(seed).permutation(n)
    result: dict[str, Any] = {
        "with_image": score(texts, captions),
        "without_image": score(predict(model, None, n, tokenizer), captions),
        "shuffled_images": score(predict(model, images[shuffled], n, tokenizer), captions),
    }
    model.memory_on = False
    result["without_memory"] = score(predict(model, images, n, tokenizer), captions)
    model.memory_on = True
    return result | {"predictions": texts}
