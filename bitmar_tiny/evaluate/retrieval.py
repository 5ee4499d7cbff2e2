# SPDX-License-Identifier: Apache-2.0
"""Retrieval among held-out pictures: which caption belongs to a picture, and which picture to a caption?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.tokenizer import Tokenizer
from .scoring import Progress, Query, Scorer, TorchScorer

BATCH = 64


def ranks(scores: np.ndarray) -> np.ndarray:
    """scores [N, N], row i's right answer in column i -> its rank, 1 is best, ties at their mean rank.
    float64 [N].
    """
    right = np.diagonal(scores)[:, None]
    return 1 + (scores > right).sum(1) + ((scores == right).sum(1) - 1) / 2


def summary(scores: np.ndarray) -> dict[str, float]:
    """Recall at 1 and 5 and the median rank."""
    r = ranks(scores)
    return {
        "recall_at_1": float((r < 2).mean()),
        "recall_at_5": float((r < 6).mean()),
        "median_rank": float(np.median(r)),
    }


def likelihood_matrix(
    scorer: Scorer,
    captions: Sequence[str],
    images: np.ndarray,
    tokenizer: Tokenizer,
    progress: Progress | None = None,
) -> np.ndarray:
    """log P(caption j | image i), EOS included, float64 [N, N]. images: float32 [N, n, 768]."""
    texts = [(*ids.tolist(), tokenizer.eos) for ids in tokenizer.encode_batch(captions)]
    asked = [Query((tokenizer.eos,), text, image) for image in images for text in texts]
    return np.array([found.total for found in scorer.score(asked, progress)]).reshape(len(images), len(texts))


def cosine_matrix(
    scorer: TorchScorer, captions: Sequence[str], images: np.ndarray, tokenizer: Tokenizer
) -> np.ndarray:
    """Cosine of mean image tokens (rows) and mean text states before fusion (columns), as the contrastive
    loss has them. [N, N].
    """
    import torch
    import torch.nn.functional as F

    model, text, image = scorer.model, [], []
    with torch.no_grad():
        for start in range(0, len(captions), BATCH):
            rows = [
                [tokenizer.eos, *ids.tolist()]
                for ids in tokenizer.encode_batch(captions[start : start + BATCH])
            ]
            longest = max(map(len, rows))
            tokens = torch.tensor([row + [tokenizer.eos] * (longest - len(row)) for row in rows])
            lengths = torch.tensor([len(row) for row in rows])
            out = model(tokens, torch.from_numpy(images[start : start + BATCH]))
            valid = (torch.arange(longest) < lengths[:, None])[..., None]
            text.append((out.text * valid).sum(1) / lengths[:, None])
            image.append(out.image.mean(1))
    return (F.normalize(torch.cat(image), dim=-1) @ F.normalize(torch.cat(text), dim=-1).T).numpy()


def evaluate_retrieval(
    scorer: Scorer,
    captions: Sequence[str],
    images: np.ndarray,
    tokenizer: Tokenizer,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Both directions by likelihood, and with PyTorch by cosine, too; chance is a guess among the N."""
    n = len(captions)
    likelihoods = likelihood_matrix(scorer, captions, images, tokenizer, progress)
    result: dict[str, Any] = {
        "pictures": n,
        "chance": {"recall_at_1": 1 / n, "recall_at_5": min(5 / n, 1), "median_rank": (n + 1) / 2},
        "likelihood": {"image_to_text": summary(likelihoods), "text_to_image": summary(likelihoods.T)},
    }
    if isinstance(scorer, TorchScorer):
        cosines = cosine_matrix(scorer, captions, images, tokenizer)
        result["cosine"] = {"image_to_text": summary(cosines), "text_to_image": summary(cosines.T)}
    return result
