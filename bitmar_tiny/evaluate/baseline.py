# SPDX-License-Identifier: Apache-2.0
"""The mark to measure against: a plain float captioner, nothing of BitMar in it.

16 raw patches are projected and put in front of the words of a 4-layer pre-norm transformer (PyTorch's own),
with a word vocabulary and learned positions: what somebody would write first who does not care about the
board.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.corpus import CaptionSet
from ..data.pixels import PATCH, picture_side
from .captions import score

END, UNKNOWN = 0, 1


class PlainCaptioner(nn.Module):
    """images [B, n, 768], words [B, T] -> next-word logits [B, T, V]. Float32 throughout."""

    def __init__(
        self, n_words: int, n_patches: int, d: int = 128, layers: int = 4, heads: int = 4, longest: int = 24
    ) -> None:
        super().__init__()
        self.patch, self.word = nn.Linear(768, d), nn.Embedding(n_words, d)
        self.position = nn.Parameter(torch.randn(n_patches + longest, d) * 0.02)
        block = nn.TransformerEncoderLayer(d, heads, 4 * d, dropout=0.1, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, n_words)

    def forward(self, images: Tensor, words: Tensor) -> Tensor:
        n, length = images.shape[1], images.shape[1] + words.shape[1]
        x = torch.cat([self.patch(images), self.word(words)], 1) + self.position[:length]
        blocked = torch.ones(length, length, dtype=torch.bool).triu(1)
        blocked[:n, :n] = False  # patches see each other
        return self.head(self.norm(self.blocks(x, mask=blocked)[:, n:]))


def train_baseline(
    captions: Sequence[str],
    images: np.ndarray,
    minutes: float,
    seed: int = 0,
    batch: int = 64,
    lr: float = 1e-3,
) -> tuple[PlainCaptioner, list[str], int]:
    """Train for ``minutes``; images uint8 [N, n, 768]. Returns (model, vocabulary, steps)."""
    torch.manual_seed(seed)
    vocabulary = ["<end>", "<unknown>", *sorted(Counter(w for c in captions for w in c.split()))]
    index = {w: i for i, w in enumerate(vocabulary)}
    rows = [[END, *(index[w] for w in c.split()), END] for c in captions]
    model = PlainCaptioner(len(vocabulary), images.shape[1])
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    rng, start, step = np.random.default_rng(seed), time.monotonic(), 0
    while (spent := (time.monotonic() - start) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 100) * (0.05 + 0.95 * (1 + math.cos(math.pi * spent)) / 2)
        chosen = rng.choice(len(rows), batch, replace=False)
        longest = max(len(rows[i]) for i in chosen)
        words = torch.tensor([rows[i] + [END] * (longest - len(rows[i])) for i in chosen])
        valid = torch.tensor([[t < len(rows[i]) - 1 for t in range(longest - 1)] for i in chosen])
        logits = model(to_float(images[chosen]), words[:, :-1])
        loss = F.cross_entropy(logits[valid], words[:, 1:][valid])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
    return model.eval(), vocabulary, step


def to_float(images: np.ndarray) -> Tensor:
    """uint8 pixel patches -> float32 in [-1, 1]."""
    return torch.from_numpy(images).float() / 127.5 - 1


@torch.no_grad()
def caption(
    model: PlainCaptioner, vocabulary: Sequence[str], images: np.ndarray, longest: int = 16
) -> list[str]:
    """Greedy captions for images uint8 [N, n, 768]."""
    words = torch.zeros(len(images), 1, dtype=torch.long)
    pixels = to_float(images)
    for _ in range(longest):
        words = torch.cat([words, model(pixels, words)[:, -1:].argmax(-1)], 1)
    texts = []
    for row in words[:, 1:].tolist():
        row = row[: row.index(END)] if END in row else row
        texts.append(" ".join(vocabulary[i] for i in row))
    return texts


def baseline_scores(captions: CaptionSet, held_out: set[int], minutes: float) -> dict[str, float]:
    """Train and score the plain float captioner on the pictures that are not held out."""
    train = [i for i in range(len(captions)) if i not in held_out]
    finest = (picture_side(captions.n_vectors)[0] // PATCH) ** 2
    pixels, hold = np.asarray(captions.features)[:, :finest], sorted(held_out)
    model, vocabulary, steps = train_baseline([captions.captions[i] for i in train], pixels[train], minutes)
    return score(caption(model, vocabulary, pixels[hold]), [captions.captions[i] for i in hold]) | {
        "steps": steps
    }
