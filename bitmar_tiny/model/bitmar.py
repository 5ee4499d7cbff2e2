# SPDX-License-Identifier: Apache-2.0
"""BitMar for training: the golden model's step for all tokens of a batch at once, with gradients.

Parallel training and streaming inference give the same numbers: in ``eval()`` every integer logit equals
golden's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..arch.config import ModelConfig
from ..arch.tables import tensor_table
from . import memory
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
        self.math = (FloatTwin if float_twin else Quantised)(cfg.ternary_threshold, low)
        self.attend = attend  # training may put a compiled one here
        self.latent = nn.ParameterDict()
        if frozen is None:
            for spec in tensor_table(cfg):
                size = INIT_WRITE if spec.name == "memory.ww" else INIT.get(spec.kind)
                value = torch.ones(spec.shape) if spec.kind == "gain" else torch.randn(spec.shape) * size
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

    def matrix(self, name: str) -> tuple[Tensor, Tensor]:
        """(trits [N, K], scale [])."""
        return self.math.ternary(self.weight(name)) if self.frozen is None else self.frozen[name]

    def table(self, name: str) -> Tensor:
        """Dequantised int8 rows [N, d]."""
        return self.math.table(self.weight(name)) if self.frozen is None else self.frozen[name]

    def linear(self, name: str, codes: Tensor, scale: Tensor) -> Tensor:
        """BitLinear: ``(codes @ trits^T) * (scale * gamma)``."""
        trits, gamma = self.matrix(name)
        return self.math.linear(codes, trits) * (scale * gamma)

    # -- parts -------------------------------------------------------------------------------

    def block(self, name: str, x: Tensor, rows: Rows, mask: Tensor) -> Tensor:
        """Pre-norm transformer block on the rows [n, d] of a batch."""
        math = self.math
        h = math.norm(x, self.weight(f"{name}.attn_norm"))
        q, k, v = (rows.pad(*math.quantize(self.linear(f"{name}.{w}", *h))) for w in ("wq", "wk", "wv"))
        o = rows.take(self.attend(math, q, k, v, self.cfg.n_heads, mask))
        x = x + self.drop(self.linear(f"{name}.wo", *math.norm(o)))
        codes, scale = math.norm(x, self.weight(f"{name}.ffn_norm"))
        trits, gamma = self.matrix(f"{name}.w1")
        a = torch.relu(math.hidden(math.linear(codes, trits), scale * gamma))
        a = a * a if self.cfg.ffn_activation == "relu2" else a
        return x + self.drop(self.linear(f"{name}.w2", *math.norm(a)))

    def save_memory(self, part: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """``part(*inputs)``; with ``recompute`` its inner values are computed again on the way back."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x

    def compress(self, features: Tensor) -> Tensor:
        """Vision compressor: [B, image_inputs, 768] -> image tokens [B, n, d] (paper 3.2)."""
        x = pool_2x2(features) if self.cfg.image_pool == 2 else features
        hidden = torch.relu(self.linear("vision.w1", *self.math.quantize(x)))
        return self.linear("vision.w2", *self.math.quantize(hidden)) + self.table("vision.positions")

    def fuse(self, z: Tensor, rows: Rows, image: Tensor, has_image: Tensor | None) -> Tensor:
        """Cross-modal fusion: text queries [n, d], image keys and values (paper 3.3)."""
        math = self.math
        keys = math.norm(image, self.weight("fusion.image_norm"))
        for i in range(self.cfg.n_fusion_layers):
            k, v = (math.quantize(self.linear(f"fusion.{i}.{w}", *keys)) for w in ("wk", "wv"))
            h = math.norm(z, self.weight(f"fusion.{i}.norm"))
            q = rows.pad(*math.quantize(self.linear(f"fusion.{i}.wq", *h)))
            o = rows.take(self.attend(math, q, k, v, self.cfg.n_heads, None))
            y = self.drop(self.linear(f"fusion.{i}.wo", *math.norm(o)))
            z = z + (y if has_image is None else torch.where(has_image[rows.stream, None], y, 0.0))
        return z

    def recall(self, pooled: Tensor, own: Tensor | None = None) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Memory read at every ``read_every``-th token: (normalised M_r [B, reads, d], memory change). own:
        see :meth:`forward`.
        """
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
        own: Tensor | None = None,
    ) -> Output:
        """tokens int64 [B, T]; images float32 [B, image_inputs, 768]; has_image bool [B] (None: all).

        at bool [B, T], or int64 [n] into the flattened [B*T]: compute these positions alone, a prefix of each
        stream, and give their logits [n, V] in row order: short captions do not pay for the longest one of
        their batch. logits: False leaves the head to the caller. own: latent memory of each stream [B, K, d]
        (:meth:`remember`), None: all read one. Rows that many tokens share are looked up as embeddings: the
        gradient of plain indexing adds them up in the order in which threads come.
        """
        cfg, length = self.cfg, tokens.shape[1]
        rows, mask = Rows(tokens, at), visible(cfg, length, tokens.device)
        e, text, f, image = self.encode(tokens, images, has_image, rows, mask)
        pooled = self.pool(f, rows)
        x, change, r = e + f, e.new_zeros(()), None
        if self.memory_on:
            r, change = self.recall(pooled[:, :: cfg.read_every], own)
        reads = rows.stream * -(-length // cfg.read_every) + rows.time // cfg.read_every
        for i in range(cfg.n_decoder_layers):
            if r is not None:
                x = x + F.embedding(reads, self.linear(f"dec.{i}.wm", *r).flatten(0, 1))
            x = self.save_memory(self.block, f"dec.{i}", x, rows, mask)
        head, acc, scale = self.math.norm(x, self.weight("head.norm")), None, None
        if logits:
            acc, scale = self.head(*head)
            if at is None:
                (acc,), (scale,) = rows.pad(acc), rows.pad(scale)
        return Output(acc, scale, head, rows.pad(text)[0], image, pooled, change)

    def encode(
        self, tokens: Tensor, images: Tensor | None, has_image: Tensor | None, rows: Rows, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Embeddings, encoder states and fused states [n, d] of the rows, and the image tokens [B, n, d]."""
        cfg = self.cfg
        e = F.embedding(rows.take(tokens), self.table("token_table"))
        x = e + F.embedding(rows.time.clamp_max(cfg.n_positions - 1), self.table("position_table"))
        for i in range(cfg.n_encoder_layers):
            x = self.save_memory(self.block, f"enc.{i}", x, rows, mask)
        image = None if images is None else self.compress(images)
        return e, x, x if image is None else self.fuse(x, rows, image, has_image), image

    def pool(self, f: Tensor, rows: Rows) -> Tensor:
        """Running query [B, T, d] of fused states [n, d]."""
        codes, scale = self.math.norm(f, self.weight("memory.norm"))
        return rows.pad(codes * scale if isinstance(self.math, FloatTwin) else codes)[0].cumsum(1)

    def query(
        self,
        tokens: Tensor,
        images: Tensor | None = None,
        has_image: Tensor | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """The running query [B, T, d] alone, inputs as in :meth:`forward`: neither memory nor decoder."""
        rows = Rows(tokens, at)
        return self.pool(
            self.encode(tokens, images, has_image, rows, visible(self.cfg, tokens.shape[1], tokens.device))[
                2
            ],
            rows,
        )

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

    def remember(self, queries: Tensor, there: Tensor) -> Tensor:
        """A memory for every stream: the common one after the stream's own earlier episodes. Differentiable
        in all.

        queries: running query at the end of each episode [B, E, d], in order; there: bool [B, E], False where
        a stream has fewer. Returns latent [B, K, d].
        """
        m = self.written() if len(self.pending) else self.weight("memory.m")
        q, weights = self.address(queries)
        return self.write(m.expand(len(queries), -1, -1), q, weights * there[..., None])

    @torch.no_grad()
    def commit(self, queries: Tensor) -> None:
        """After an optimiser step: make the pending writes real, forget stale slots, and queue ``queries``
        [E, d].
        """
        if len(self.pending):
            written, weights = self.address(self.pending)
            m = self.weight("memory.m")
            m.copy_(self.write(m, written, weights))
            for w in weights:
                self.usage += (w - self.usage) / 32
            stale = self.usage < self.cfg.forget_below / self.cfg.memory_slots
            m.mul_(torch.where(stale, 1 - self.cfg.forget_rate, 1.0)[:, None])
        self.pending = queries.detach().clone()


def pool_2x2(x: Tensor) -> Tensor:
    """2x2 average pooling of a square grid of vectors: [B, g*g, D] -> [B, g*g/4, D]."""
    b, n, width = x.shape
    g = round(n**0.5)
    y = x.view(b, g // 2, 2, g // 2, 2, width)
    pooled = ((y[:, :, 0, :, 0] + y[:, :, 0, :, 1]) + (y[:, :, 1, :, 0] + y[:, :, 1, :, 1])) * 0.25
    return pooled.reshape(b, n // 4, width)
