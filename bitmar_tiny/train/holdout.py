# SPDX-License-Identifier: Apache-2.0
"""What was held out: perplexity and cross-modal alignment (paper 4.1), over all processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ..data.mixture import Mixture
from ..model.bitmar import BitMar
from .distributed import World
from .feed import prepare
from .losses import pair_features, summed_loss


@torch.no_grad()
def look_at_holdout(
    model: BitMar, mixtures: Sequence[Mixture], world: World = World(), exact: bool = False
) -> dict[str, Any]:
    """One pass over each mixture: captions (with their pictures) and text.

    exact: with the board's arithmetic to the bit, which is slower. Returns captions and text, each
    {perplexity, tokens}, and alignment, the mean cosine of the pairs; what was not held out is missing. The
    model is left as it was.
    """
    was = model.training
    model.eval()
    model.math.exact = exact
    report: dict[str, Any] = {}
    for m in mixtures:
        sums = torch.zeros(4, dtype=torch.float64, device=world.device)  # loss, tokens, cosine, pairs
        streams = m.n_captions if not m.text_every else m.n_text_streams
        for number in range(world.rank, m.batches_per_epoch, world.size):
            feed = prepare(m.batch(number, slice(0, streams - number * m.batch_size))).to(world.device)
            out = model(feed.tokens, feed.images, feed.has_image, feed.at, logits=False)
            sums[0] += summed_loss(model, out, feed.labels).double()
            sums[1] += len(feed.labels)
            if out.image is not None:
                text, image = pair_features(out, feed)
                sums[2:] += torch.stack([(text * image).sum().double(), sums.new_tensor(float(len(text)))])
        loss, tokens, cosine, pairs = world.sum(sums).tolist()
        report["text" if m.text_every else "captions"] = {
            "perplexity": math.exp(min(loss / tokens, 700)),
            "tokens": int(tokens),
        }
        if pairs:
            report["alignment"] = cosine / pairs
    model.train(was)
    return report
