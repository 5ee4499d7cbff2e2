# SPDX-License-Identifier: Apache-2.0
"""Generating with PyTorch: the whole stream is computed again for every token, which is simple and exact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..frozen import FrozenModel
from .bitmar import BitMar
from .export import load_frozen


def next_logits(
    frozen: FrozenModel, picture: np.ndarray | None, memory_on: bool = True
) -> Callable[[list[int]], tuple[np.ndarray, np.float32]]:
    """A function from a token stream to the next token's (integer logits int32 [V], scale)."""
    model = load_frozen(frozen)
    model.memory_on = memory_on
    image = None if picture is None else torch.from_numpy(picture)[None]

    @torch.no_grad()
    def of(stream: list[int]) -> tuple[np.ndarray, np.float32]:
        out = model(torch.tensor([stream]), image)
        return out.acc[0, -1].numpy().astype(np.int32), np.float32(out.scale[0, -1, 0])

    return of


@torch.no_grad()
def greedy(model: BitMar, images: Tensor | None, count: int, limit: int = 24) -> list[list[int]]:
    """Greedy token ids for ``count`` streams that begin with EOS, each cut at its EOS."""
    eos = model.cfg.vocab_size - 1
    streams, going = torch.full((count, 1), eos), torch.arange(count)
    found: list[list[int]] = [[] for _ in range(count)]
    for _ in range(limit):
        out = model.decode(model.encode(streams, images), logits=False)
        last = (x.unflatten(0, streams.shape)[:, -1] for x in out.head)
        picks = model.head(*last)[0].argmax(-1)
        on = picks != eos
        streams = torch.cat([streams, picks[:, None]], 1)[on]
        going, images = going[on], None if images is None else images[on]
        for i, pick in zip(going.tolist(), picks[on].tolist(), strict=True):
            found[i].append(pick)
        if not len(going):
            break
    return found
