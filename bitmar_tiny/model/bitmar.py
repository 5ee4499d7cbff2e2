# SPDX-License-Identifier: Apache-2.0
"""BitMar for training: the golden model's step for all tokens of a batch at once, with gradients.

Parallel training and streaming inference give the same numbers: in ``eval()`` every integer logit equals
golden's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..arch.config import ModelConfig
from ..arch.tables import tensor_table
from . import memory, vision
from .arithmetic import FloatTwin, Quantised
from .attention import attend, visible
from .rows import Rows

#: Standard deviation of fresh latent values by kind of tensor; small enough that ternary codes really move.
INIT = {"ternary": 0.02, "rows8": 0.1, "memory": 0.5}
#: The write weights begin large enough that an episode reaches some slots more than others: were all reached
#: alike, all slots would hold the same, and no gradient would tell them apart.
INIT_WRITE = 0.3


@dataclass
class Output:
    """What a forward pass gives.

    acc: integer logits [B, T, V] as float32 and their scale [B, T, 1] (or [n, V] and [n, 1]), None where they
    were not asked for; head: what the head takes, codes [n, d] and scale [n, 1]; text [B, T, d]: encoder
    states before fusion; image [B, n, d] or None; pooled [B, T, d]: running query; memory_change: mean
    squared change of the last write.
    """

    acc: Tensor | None
    scale: Tensor | None
    head: tuple[Tensor, Tensor]
    text: Tensor
    image: Tensor | None
    pooled: Tensor
    memory_change: Tensor

    @property
    def logits(self) -> Tensor:
        """Float logits [B, T, V]."""
        return self.acc * self.scale


@dataclass
class Encoded:
    """Streams up to the point where they meet the memory.

    rows: which positions; embedded, text, fused [n, d]: their embeddings, encoder states and fused states;
    image: image tokens [B, n, d] or None; pooled [B, T, d]: running query; seen [B, d]: sum of the image's
    normalised codes, for a keyed memory, or None; has_image: as in :meth:`BitMar.encode`.
    """

    rows: Rows
    embedded: Tensor
    text: Tensor
    fused: Tensor
    image: Tensor | None
    pooled: Tensor
    seen: Tensor | None = None
    has_image: Tensor | None = None

    @property
    def source(self) -> Tensor:
        """What a keyed memory is asked with at every position: the picture where there is one, else the text
        so far. [B, T, d]
        """
        if self.seen is None:
            return self.pooled
        seen = self.seen[:, None].expand_as(self.pooled)
        return (
            seen if self.has_image is None else torch.where(self.has_image[:, None, None], seen, self.pooled)
        )

    def split(self, streams: int, rows: int) -> tuple[Encoded, Encoded]:
        """The first ``streams``, which are the first ``rows``, and the others."""
        cut = [x.split([rows, len(x) - rows]) for x in (self.embedded, self.text, self.fused)]
        others = len(self.pooled) - streams
        cut += [
            (None, None) if x is None else x.split([streams, others])
            for x in (self.image, self.pooled, self.seen, self.has_image)
        ]
        first, last = (
            Encoded(r, *x)
            for r, x in zip(self.rows.split(streams, rows), zip(*cut, strict=True), strict=True)
        )
        return first, last


class BitMar(nn.Module):
    """The model. ``float_twin`` rounds nothing; ``frozen`` runs the arrays of a frozen model instead of
    latent weights.

    Parameters carry the names of ``arch.tables.tensor_table`` (dots as slashes). ``memory_on`` as in golden.
    ``low``: see :class:`Quantised`. ``recompute``: gradient checkpointing, blocks are computed again on the
    way back.
    """

    def __init__(
        self,
        cfg: ModelConfig,
        float_twin: bool = False,
        dropout: float = 0.0,
        frozen: Mapping[str, Tensor | tuple[Tensor, Tensor]] | None = None,
        low: torch.dtype | None = None,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.cfg, self.dropout, self.memory_on, self.frozen, self.recompute = (
            cfg,
            dropout,
            True,
            frozen,
            recompute,
        )
        same = cfg.kv_width == cfg.d_model
        self.projections = (("wq", "wk", "wv"),) if same else (("wq",), ("wk", "wv"))
        self.stacked: dict[tuple[str, ...], tuple[Tensor, Tensor]] = {}
        self.math = (FloatTwin if float_twin else Quantised)(cfg.ternary_threshold, low)
        self.attend = attend  # training may put a compiled one here
        self.latent = nn.ParameterDict()
        if frozen is None:
            for spec in tensor_table(cfg):
                size = INIT_WRITE if spec.name == "memory.ww" else INIT.get(spec.kind)
                value = torch.ones(spec.latent) if spec.kind == "gain" else torch.randn(spec.latent) * size
                self.latent[spec.name.replace(".", "/")] = nn.Parameter(value)
        self.register_buffer(
            "pending", torch.zeros(0, cfg.d_model)
        )  # queries whose write is still differentiable
        self.register_buffer("usage", torch.full((cfg.memory_slots,), 1.0 / cfg.memory_slots))

    def train(self, mode: bool = True) -> BitMar:
        self.math.exact = not mode
        return super().train(mode)

    # -- weights -----------------------------------------------------------------------------

    def weight(self, name: str) -> Tensor:
        """The latent parameter, or the frozen array, called ``name``."""
        return self.latent[name.replace(".", "/")] if self.frozen is None else self.frozen[name]

    def matrices(self, *names: str) -> tuple[Tensor, Tensor]:
        """Matrices of one shape: (trits [m, N, K], their scales [m])."""
        if self.frozen is None:
            latent = [self.weight(name) for name in names]
            return self.math.ternary(torch.stack(latent) if len(latent) > 1 else latent[0][None])
        if names not in self.stacked:
            trits, scales = zip(*(self.frozen[name] for name in names), strict=True)
            self.stacked[names] = torch.stack(trits), torch.stack(scales)
        return self.stacked[names]

    def matrix(self, name: str) -> tuple[Tensor, Tensor]:
        """(trits [N, K], scale [])."""
        (trits,), (scale,) = self.matrices(name)
        return trits, scale

    def rows_of(self, name: str, index: Tensor) -> Tensor:
        """Dequantised int8 rows [..., d] of a table, looked up as embeddings: the gradient of plain indexing
        adds them up in the order in which threads come.
        """
        rows = F.embedding(index, self.weight(name))
        return self.math.table(rows) if self.frozen is None else rows

    def linear(self, name: str, codes: Tensor, scale: Tensor) -> Tensor:
        """BitLinear: ``(codes @ trits^T) * (scale * gamma)``."""
        trits, gamma = self.matrix(name)
        return self.math.linear(codes, trits) * (scale * gamma)

    def linears(self, names: Sequence[str], codes: Tensor, scale: Tensor) -> Tensor:
        """BitLinears of one shape on the same input, in one product: [..., m, N]."""
        trits, gamma = self.matrices(*names)
        acc = self.math.linear(codes, trits.flatten(0, 1)).unflatten(-1, trits.shape[:2])
        return acc * (scale * gamma)[..., None]

    # -- parts -------------------------------------------------------------------------------

    def block(self, name: str, x: Tensor, groups: list[tuple[int, Rows]], mask: Tensor) -> Tensor:
        """Pre-norm transformer block on the rows [n, d] of a batch, whose attention goes group by group."""
        math = self.math
        h = math.norm(x, self.weight(f"{name}.attn_norm"))
        sizes, parts = [size for size, _ in groups], []
        projected = [
            part.split(sizes)
            for same in self.projections
            for part in math.quantize(self.linears([f"{name}.{w}" for w in same], *h))
        ]
        for (_, group), *own in zip(groups, *projected, strict=True):
            pairs = zip(own[::2], own[1::2], strict=True)
            q, k, v = (x for codes in pairs for x in heads_of(*group.pad(*codes)))
            seen = mask[: group.shape[1], : group.shape[1]]
            parts.append(group.take(self.attend(math, q, k, v, self.cfg.n_heads, seen)))
        o = torch.cat(parts)
        x = x + self.drop(self.linear(f"{name}.wo", *math.norm(o)))
        codes, scale = math.norm(x, self.weight(f"{name}.ffn_norm"))
        trits, gamma = self.matrix(f"{name}.w1")
        a = torch.relu(math.hidden(math.linear(codes, trits), scale * gamma))
        a = a * a if self.cfg.ffn_activation == "relu2" else a
        return x + self.drop(self.linear(f"{name}.w2", *math.norm(a)))

    def groups(self, rows: Rows) -> list[tuple[int, Rows]]:
        """The groups whose attention is computed apart; all rows are one where its weights are looked at."""
        return rows.groups() if self.math.maps is None else [(len(rows.time), rows)]

    def save_memory(self, part: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """``part(*inputs)``; with ``recompute`` its inner values are computed again on the way back."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x

    def fuse(self, z: Tensor, rows: Rows, keys: tuple[Tensor, Tensor], has_image: Tensor | None) -> Tensor:
        """Cross-modal fusion: text queries [n, d], the image's normalised codes and scales (paper 3.3)."""
        math = self.math
        layers = range(self.cfg.n_fusion_layers)
        names = [f"fusion.{i}.{w}" for i in layers for w in ("wk", "wv")]
        seen = heads_of(*math.quantize(self.linears(names, *keys)))
        for i, k, v in zip(layers, seen[::2], seen[1::2], strict=True):
            h = math.norm(z, self.weight(f"fusion.{i}.norm"))
            q = rows.pad(*math.quantize(self.linear(f"fusion.{i}.wq", *h)))
            o = rows.take(self.attend(math, q, k, v, self.cfg.n_heads, None))
            y = self.drop(self.linear(f"fusion.{i}.wo", *math.norm(o)))
            z = z + (y if has_image is None else torch.where(has_image[rows.stream, None], y, 0.0))
        return z

    def recall(
        self, encoded: Encoded, own: Tensor | memory.Slots | None = None
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Memory read at every ``read_every``-th token: (normalised M_r [B, reads, d], memory change). own:
        see :meth:`decode`.
        """
        pooled = encoded.pooled[:, :: self.cfg.read_every]
        if self.cfg.keyed:
            query = self.key(encoded.source[:, :: self.cfg.read_every])
            told = memory.ask(
                self.math, query, self.fixed() if own is None else own, self.weight("memory.sharpness")
            )
            return self.math.norm(told), pooled.new_zeros(())
        if self.frozen is not None:
            return self.math.norm(memory.read(self.math, pooled, *self.frozen["memory.m"])), pooled.new_zeros(
                ()
            )
        before = self.weight("memory.m")
        m = self.written() if len(self.pending) else before
        change = (m - before.detach()).square().mean()
        return self.math.norm(
            memory.read(self.math, pooled, *self.math.memory(m if own is None else own))
        ), change

    def forward(
        self,
        tokens: Tensor,
        images: Tensor | None = None,
        has_image: Tensor | None = None,
        at: Tensor | None = None,
        logits: bool = True,
    ) -> Output:
        """:meth:`encode`, then :meth:`decode`."""
        return self.decode(self.encode(tokens, images, has_image, at), logits)

    def encode(
        self,
        tokens: Tensor,
        images: Tensor | None = None,
        has_image: Tensor | None = None,
        at: Tensor | None = None,
        image: Tensor | None = None,
    ) -> Encoded:
        """tokens int64 [B, T]; images float32 [B, image_inputs, 768], or image [B, n, d], the image tokens
        that ``vision.image_tokens`` made of them before; has_image bool [B] (None: all).

        at bool [B, T], or int64 [n] into the flattened [B*T]: compute these positions alone, a prefix of each
        stream: short captions do not pay for the longest one of their batch.
        """
        cfg, rows = self.cfg, Rows(tokens, at)
        mask = visible(cfg, tokens.shape[1], tokens.device)
        e = self.rows_of("token_table", rows.take(tokens))
        x = e + self.rows_of("position_table", rows.time.clamp_max(cfg.n_positions - 1))
        groups = self.groups(rows)
        for i in range(cfg.n_encoder_layers):
            x = self.save_memory(self.block, f"enc.{i}", x, groups, mask)
        if images is not None:
            image = vision.image_tokens(self, images)
        if image is None:
            return Encoded(rows, e, x, x, None, self.pool(x, rows))
        keys = self.math.norm(image, self.weight("fusion.image_norm"))
        f = self.fuse(x, rows, keys, has_image)
        seen = self.integers(*keys).sum(1) if cfg.keyed else None
        return Encoded(rows, e, x, f, image, self.pool(f, rows), seen, has_image)

    def decode(
        self, encoded: Encoded, logits: bool = True, own: Tensor | memory.Slots | None = None
    ) -> Output:
        """What follows from the encoded streams and the memory. Where positions were chosen their logits are
        [n, V] in row order. logits: False leaves the head to the caller. own: memory of each stream
        (:meth:`remember`), None: all read one. Rows that many tokens share are looked up as
        embeddings: the gradient of plain indexing adds them up in the order in which threads come.
        """
        cfg, rows, pooled = self.cfg, encoded.rows, encoded.pooled
        length, layers = rows.shape[1], range(cfg.n_decoder_layers)
        mask = visible(cfg, length, pooled.device)
        x, change, told = encoded.embedded + encoded.fused, pooled.new_zeros(()), None
        if self.memory_on:
            r, change = self.recall(encoded, own)
            told = self.linears([f"dec.{i}.wm" for i in layers], *r).flatten(0, 1)
        groups = self.groups(rows)
        reads = rows.stream * -(-length // cfg.read_every) + rows.time // cfg.read_every
        for i in layers:
            if told is not None:
                x = x + F.embedding(reads, told[:, i])
            x = self.save_memory(self.block, f"dec.{i}", x, groups, mask)
        head, acc, scale = self.math.norm(x, self.weight("head.norm")), None, None
        if logits:
            acc, scale = self.head(*head)
            if rows.at is None:
                (acc,), (scale,) = rows.pad(acc), rows.pad(scale)
        return Output(acc, scale, head, rows.pad(encoded.text)[0], encoded.image, pooled, change)

    def pool(self, f: Tensor, rows: Rows) -> Tensor:
        """Running query [B, T, d] of fused states [n, d]."""
        return rows.pad(self.integers(*self.math.norm(f, self.weight("memory.norm"))))[0].cumsum(1)

    def integers(self, codes: Tensor, scale: Tensor) -> Tensor:
        """What sums over tokens add up: the codes, or a float twin's values."""
        return codes * scale if isinstance(self.math, FloatTwin) else codes

    def head(self, codes: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Integer logits [n, V] as float32 and their scale [n, 1] of normalised states."""
        trits, gamma = self.matrix("head.w")
        return self.math.linear(codes, trits), scale * gamma

    # -- writing during training -------------------------------------------------------------

    def address(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """What is written and where: (normalised queries [..., E, d], weights of the slots [..., E, K])."""
        codes, scale = self.math.norm(queries)
        return codes * scale, torch.softmax(self.linear("memory.ww", codes, scale), -1)

    def write(self, m: Tensor, queries: Tensor, weights: Tensor) -> Tensor:
        """Latent memory [..., K, d] after episodes [..., E, d] with slot weights [..., E, K], by the rule of
        the configuration.
        """
        return memory.write(m, queries, weights, self.cfg.write_rate, self.cfg.write_rule == "bounded")

    def written(self) -> Tensor:
        """The memory after the pending episodes, differentiable in the write weights (design section 3)."""
        return self.write(self.weight("memory.m"), *self.address(self.pending))

    def key(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Key of what was seen, [..., d]: (codes [..., d], scale [..., 1])."""
        return self.math.norm(self.linear("memory.wk", *self.math.norm(source)))

    def fixed(self) -> memory.Slots:
        """A keyed memory before anything was written: the learned slots, or all of a frozen model."""
        if self.frozen is not None:
            return memory.Slots(*self.frozen["memory.m"])
        keys, values = self.weight("memory.m")
        (keys, scales), (values, _) = self.math.quantize(keys), self.math.quantize(values)
        return memory.Slots(keys, scales[..., 0], values, torch.ones_like(scales[..., 0], dtype=torch.bool))

    def keep(
        self, sources: Tensor, queries: Tensor, there: Tensor, things: Tensor | None = None
    ) -> memory.Slots:
        """A keyed memory for every stream: the learned slots, and the episodes that it keeps. Differentiable
        in all.

        sources, queries: [B, E, d], what was seen in each episode (``Encoded.source``) and the running query,
        both at its end, in order; there: bool [B, E], False where a stream has fewer; things: int64 [B, E],
        what each episode is about, below 0 where nobody knows. In training it decides which episode replaces
        which, since keys that have learned nothing yet are all alike; else the keys do, as on a board.
        """
        fixed, (keys, scales) = self.fixed(), self.key(sources)
        values, _ = self.math.norm(self.linear("memory.wv", *self.math.norm(queries)))
        if not self.training:
            unit = keys.detach() * (scales.detach() / keys.shape[-1] ** 0.5)
            alike = unit @ unit.mT
        elif things is not None:
            alike = ((things[:, :, None] == things[:, None]) & (things >= 0)[:, None]).float()
        else:
            alike = keys.new_zeros(*there.shape, there.shape[1])
        room = self.cfg.memory_slots - self.cfg.fixed_slots
        held = memory.kept(alike, there, self.cfg.match_from, room)
        own = zip(
            (fixed.keys, fixed.scales, fixed.values, fixed.there),
            (keys, scales[..., 0], values, held),
            strict=True,
        )
        return memory.Slots(*(torch.cat([a.expand(len(b), *a.shape), b], 1) for a, b in own))

    def remember(self, queries: Tensor, there: Tensor) -> Tensor:
        """A memory for every stream: the common one after the stream's own earlier episodes. Differentiable
        in all.

        queries: running query at the end of each episode [B, E, d], in order; there: bool [B, E], False where
        a stream has fewer. Returns latent [B, K, d]. A keyed memory: :meth:`keep`.
        """
        m = self.written() if len(self.pending) else self.weight("memory.m")
        q, weights = self.address(queries)
        return self.write(m.expand(len(queries), -1, -1), q, weights * there[..., None])

    @torch.no_grad()
    def commit(self, queries: Tensor) -> None:
        """After an optimiser step: make the pending writes real, forget stale slots, and queue ``queries``
        [E, d]. A keyed memory keeps nothing between batches.
        """
        if self.cfg.keyed:
            return
        if len(self.pending):
            written, weights = self.address(self.pending)
            m = self.weight("memory.m")
            m.copy_(self.write(m, written, weights))
            for w in weights:
                self.usage += (w - self.usage) / 32
            stale = self.usage < self.cfg.forget_below / self.cfg.memory_slots
            m.mul_(torch.where(stale, 1 - self.cfg.forget_rate, 1.0)[:, None])
        self.pending = queries.detach().clone()


def heads_of(codes: Tensor, scale: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Codes [B, T, m, d] and scales [B, T, m, 1] of m projections -> each one's."""
    return list(zip(codes.unbind(2), scale.unbind(2), strict=True))
