# SPDX-License-Identifier: Apache-2.0
"""The paper's objective: L = L_lm + 1.5 L_cm + 0.1 L_mem (equations 3 and 4), and the loss of a keyed
memory's keys.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.sessions import NONE_OF_THEM, UNKNOWN
from ..errors import ConfigError
from ..model.bitmar import BitMar, Encoded, Output
from ..model.memory import Slots, key_scores
from .config import TrainConfig
from .distributed import World
from .feed import Feed, joined
from .head_loss import summed_cross_entropy

#: What ``Objective`` reports, by position.
PARTS = ("lm", "memory", "contrastive", "cosine", "pairs")


def summed_loss(model: BitMar, out: Output, labels: Tensor) -> Tensor:
    """Sum of the next-token cross-entropies. labels int64 [n], of the positions at which ``out`` was
    computed.
    """
    codes, scale = out.head
    trits, gamma = model.matrix("head.w")
    return summed_cross_entropy(model.math, codes, scale * gamma, trits, labels)


def pair_features(out: Output, feed: Feed) -> tuple[Tensor, Tensor]:
    """Unit vectors [B, d] of the text (mean of the states before fusion) and of the picture (mean of its
    tokens).
    """
    valid = (torch.arange(out.text.shape[1], device=out.text.device) < feed.lengths[:, None])[..., None]
    text = (out.text * valid).sum(1) / feed.lengths[:, None]
    return F.normalize(text, dim=-1), F.normalize(out.image.mean(1), dim=-1)


def contrastive_loss(text: Tensor, image: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE of unit vectors [n, d], row i of one belonging to row i of the other; 0 if n < 2."""
    if len(text) < 2:
        return text.new_zeros(())
    similarity = text @ image.T / temperature
    target = torch.arange(len(similarity), device=text.device)
    return (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2


def key_loss(model: BitMar, encoded: Encoded, memories: Slots, feed: Feed) -> Tensor:
    """InfoNCE of each question and the keys of its session, at the read's own sharpness: how likely the
    memory is to answer out of the right slot. Of a question whose thing is known the keys of other things in
    the other memories of the batch are compared, too. Mean over the streams with a picture whose slot
    ``feed.target`` knows and their memory still holds; 0 where there is none.
    """
    asked = feed.lengths - 1 if feed.asked is None else feed.asked
    asked = asked - asked % model.cfg.read_every
    query = model.key(last_queries(encoded.source, asked + 1)[:, None])
    own, target = memories.of(feed.memory), feed.target[:, None]
    scores = key_scores(query, own, model.weight("memory.sharpness"))[:, 0]
    fixed, slot = model.cfg.fixed_slots, torch.arange(scores.shape[1], device=scores.device)
    right = torch.where(target == NONE_OF_THEM, slot < fixed, slot == fixed + target)
    right = right & own.there & (target != UNKNOWN) & ~recited(feed)[:, None]
    if feed.before.things is not None:
        scores = torch.cat([scores, _of_others(model, query, memories, feed)], 1)
    counts = right.any(1)
    of_right = torch.logsumexp(scores[:, : len(slot)].masked_fill(~right, float("-inf"))[counts], -1)
    of_all = torch.logsumexp(scores[counts], -1)
    return (of_all - of_right).sum() / counts.sum().clamp_min(1)


def _of_others(model: BitMar, query: tuple[Tensor, Tensor], memories: Slots, feed: Feed) -> Tensor:
    """Scores [B, G*E] of the questions and the written keys of all memories, minus infinity for those that
    the question is not compared with.
    """
    fixed, things = model.cfg.fixed_slots, feed.before.things.unflatten(0, (feed.blocks, -1))
    flat = memories.each(lambda x: x[:, fixed:].flatten(0, 1))
    asked = things[feed.memory].gather(1, feed.target.clamp_min(0)[:, None])
    block = torch.arange(feed.blocks, device=asked.device).repeat_interleave(things.shape[1])
    other = (block != feed.memory[:, None]) & (things.flatten() != asked) & (things.flatten() >= 0)
    other = other & flat.there & (feed.target >= 0)[:, None]
    scores = key_scores(query, flat, model.weight("memory.sharpness"))[:, 0]
    return scores.masked_fill(~other, float("-inf"))


def recited(feed: Feed) -> Tensor:
    """Which streams ask without a picture for what one episode told: bool [B]. They read that episode
    alone.
    """
    without = feed.target >= 0
    return without & False if feed.has_image is None else without & ~feed.has_image


def last_queries(pooled: Tensor, lengths: Tensor) -> Tensor:
    """Pooled query [B, d] at the end of each stream, from those [B, T, d] at every position."""
    return pooled[torch.arange(len(pooled), device=pooled.device), lengths - 1]


class Objective(nn.Module):
    """Model and losses in one module, so that what is wrapped for several processes is all that has
    gradients.

    forward: a feed and the factor of the cross-modal loss -> (loss, parts float32 [5] as ``PARTS`` names
    them, final queries [writes, d] of the whole batch). ``cosine`` and ``contrastive`` are 0 where the batch
    has no ``pairs``.
    """

    def __init__(self, model: BitMar, cfg: TrainConfig, world: World = World()) -> None:
        super().__init__()
        self.model, self.cfg, self.world = model, cfg, world
        if cfg.key_weight and not model.cfg.keyed:
            raise ConfigError(
                f"key_weight={cfg.key_weight} has no keys to train: the model's write_rule is "
                f"'{model.cfg.write_rule}'.",
                "Set key_weight=0, or write_rule='keyed' in the model's configuration.",
            )

    def forward(self, feed: Feed, boost: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        cfg, model = self.cfg, self.model
        encoded = self.encoded(feed)
        memories = None if feed.before is None else self.memories(feed.before, feed.blocks)
        own = None if memories is None else self.own(memories, feed)
        out = model.decode(encoded, logits=False, own=own)
        lm = summed_loss(model, out, feed.labels) / len(feed.labels)
        cm, cosine, pairs = lm.new_zeros(()), lm.new_zeros(()), 0
        if out.image is not None:
            text, image = (self.world.gather(x) for x in pair_features(out, feed))
            if feed.has_image is not None:
                both = self.world.gather(feed.has_image)
                text, image = text[both], image[both]
            pairs = len(text)
            if cfg.contrastive_weight:
                cm = contrastive_loss(text, image, cfg.contrastive_temperature)
            if pairs:
                cosine = (text * image).sum(-1).mean()
        loss = lm * feed.share + (cfg.contrastive_weight * boost) * cm + cfg.memory_weight * out.memory_change
        if cfg.key_weight and feed.target is not None and memories is not None:
            loss = loss + cfg.key_weight * key_loss(model, encoded, memories, feed)
        parts = torch.stack(
            [lm * feed.share, out.memory_change, cm, cosine, cosine.new_tensor(float(pairs > 0))]
        ).detach()
        return loss, parts, self.final_queries(out.pooled, feed.lengths)

    def encoded(self, feed: Feed) -> Encoded:
        """The feed's streams. The episodes to be written are encoded in the same batch, and their queries are
        then pending; nothing is where the memory was frozen.
        """
        e, model = feed.episodes, self.model
        if e is None or not len(model.pending):
            return model.encode(feed.tokens, feed.images, feed.has_image, feed.at)
        streams, rows = len(feed.tokens), len(feed.at)
        encoded, written = model.encode(*joined(feed, e)).split(streams, rows)
        model.pending = last_queries(written.pooled, e.lengths)
        if feed.images is None:
            encoded.image = None
        return encoded

    def own(self, memories: Tensor | Slots, feed: Feed) -> Tensor | Slots:
        """The memory that each stream reads."""
        if isinstance(memories, Tensor):
            return memories[feed.memory]
        own, fixed = memories.of(feed.memory), self.model.cfg.fixed_slots
        slot = torch.arange(own.there.shape[1], device=own.there.device)
        own.there = own.there & (~recited(feed)[:, None] | (slot == fixed + feed.target[:, None]))
        return own

    def memories(self, before: Feed, blocks: int) -> Tensor | Slots:
        """The memories [blocks, K, d] that blocks of earlier episodes leave, gradient included."""
        told = self.model.encode(before.tokens, before.images, before.has_image, before.at)
        queries, sources = (
            last_queries(x, before.lengths).unflatten(0, (blocks, -1)) for x in (told.pooled, told.source)
        )
        there = (before.lengths > 0).unflatten(0, (blocks, -1))
        if self.model.cfg.keyed:
            things = None if before.things is None else before.things.unflatten(0, (blocks, -1))
            return self.model.keep(sources, queries, there, things)
        return self.model.remember(queries, there)

    def final_queries(self, pooled: Tensor, lengths: Tensor) -> Tensor:
        """Pooled query at the end of each of the last streams of the whole batch: the episodes to be written.
        [writes, d]
        """
        last = self.world.gather(last_queries(pooled, lengths).detach())
        return last[len(last) - min(self.cfg.writes_per_batch, len(last)) :]
