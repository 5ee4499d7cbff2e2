# SPDX-License-Identifier: Apache-2.0
"""PyTorch against golden: the same streams through both, compared to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..data.corpus import CaptionSet
from ..data.tokenizer import Tokenizer
from ..frozen import FrozenModel
from ..model.export import load_frozen
from ..run.golden import GoldenSession

#: Captions that ``caption_agreement`` compares.
AGREEMENT_STREAMS = 40


def agreement(
    frozen: FrozenModel, streams: Sequence[Sequence[int]], images: Sequence[np.ndarray | None]
) -> dict[str, Any]:
    """Token streams (EOS first), each with an image float32 [image_inputs, 768] or None.

    Returns tokens compared, top-1 agreement, largest absolute difference of logits, how many integer logits
    differ, and the perplexity of the streams' own next tokens by both.
    """
    model, golden = load_frozen(frozen), GoldenSession(frozen)
    same = tokens = different = labels = 0
    largest, nll = 0.0, np.zeros(2)
    for stream, image in zip(streams, images, strict=True):
        golden.begin()
        if image is not None:
            golden.image(image)
        accs, want = [], []
        for token in stream:
            golden.advance(int(token))
            acc, scale = golden.logits()
            accs.append(acc)
            want.append(acc.astype(np.float32) * scale)
        want = np.array(want)
        with torch.no_grad():
            out = model(
                torch.tensor([list(stream)]), None if image is None else torch.from_numpy(image)[None]
            )
        got, got_acc = out.logits[0].numpy(), out.acc[0].numpy().astype(np.int64)
        same += int((got.argmax(1) == want.argmax(1)).sum())
        tokens += len(stream)
        different += int((got_acc != np.array(accs)).sum())
        largest = max(largest, float(np.abs(got - want).max()))
        for k, logits in enumerate((got, want)):
            shifted = logits[:-1].astype(np.float64)
            shifted -= shifted.max(1, keepdims=True)
            nll[k] += (
                np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(stream) - 1), list(stream[1:])]
            ).sum()
        labels += len(stream) - 1
    perplexity = np.exp(nll / labels)
    return {
        "tokens": tokens,
        "top1_agreement": same / tokens,
        "max_logit_difference": largest,
        "integer_logits_different": different,
        "perplexity_torch": float(perplexity[0]),
        "perplexity_golden": float(perplexity[1]),
    }


def caption_agreement(
    frozen: FrozenModel, captions: CaptionSet, chosen: list[int], tokenizer: Tokenizer
) -> dict[str, Any]:
    """PyTorch against golden on held-out captions with their pictures."""
    some = chosen[:AGREEMENT_STREAMS]
    streams = [[tokenizer.eos, *tokenizer.encode(captions.captions[i]), tokenizer.eos] for i in some]
    return agreement(frozen, streams, [captions.image(i) for i in some])
