# SPDX-License-Identifier: Apache-2.0
"""How well a model names pictures: exact names and word overlap, with the controls they need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from ..data.tokenizer import Tokenizer
from ..model.bitmar import BitMar
from ..model.streaming import greedy
from ..run.generate import Request, generate
from ..run.session import Session

BATCH = 128


def words(text: str) -> set[str]:
    """Lower-case words of a caption."""
    return set(re.findall(r"\w+", text.lower()))


def score(predictions: Sequence[str], truths: Sequence[str]) -> dict[str, float]:
    """Fraction of exact names, and mean |intersection| / |union| of words."""
    pairs = [(words(p), words(t)) for p, t in zip(predictions, truths, strict=True)]
    return {
        "exact": float(np.mean([p == t for p, t in zip(predictions, truths, strict=True)])),
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


def session_captions(session: Session, images: Iterable[np.ndarray]) -> list[str]:
    """Greedy captions by a session for pictures float32 [n, 768], one after the other."""
    return [
        b"".join(text for _, text in generate(session, Request(picture=image)))
        .decode(errors="replace")
        .strip()
        for image in images
    ]


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
