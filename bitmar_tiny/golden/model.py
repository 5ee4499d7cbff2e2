# SPDX-License-Identifier: Apache-2.0
"""The golden model: BitMar as one ``step(token)``, written to be read, built only from numerics.py.

    image ── compress ── K, V ─┐
    token ── embed ── encoder ─┴─ fuse ── pool ── read memory ─┐
                 └───────────────── + ── decoder (conditioned) ┴─ head ── logits

Every intermediate tensor is reported to ``tap(name, array)`` under the names of ``arch.tables.tap_table``.
The primitives come from ``ops``, so that the exporters run this very text on values of a graph
(exchange/model.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..arch.config import ModelConfig
from ..arch.records import Cache
from ..arch.tables import cache_table, stacks
from . import keyed, numerics

F32 = np.float32
#: The pooled query stops growing here, so that its int32 sum cannot overflow (127 * 2**23 < 2**31).
POOL_MAX = 1 << 23


class Ring:
    """KV cache of one layer: sinks stay, the window is a ring (paper 3.1, attention sinks)."""

    def __init__(self, cfg: ModelConfig, cache: Cache) -> None:
        self.sinks, self.window = cfg.n_sinks, cfg.window
        self.k, self.k_scale, self.v, self.v_scale = (np.zeros(a.shape, a.dtype) for a in cache.arrays())

    def slot(self, t: int) -> int:
        """Physical slot of token t: the token W after a windowed one takes its place."""
        return t if t < self.sinks else self.sinks + (t - self.sinks) % self.window

    def store(self, t: int, k: np.ndarray, k_scale: np.float32, v: np.ndarray, v_scale: np.float32) -> int:
        """Store token t and return how many slots are now in use."""
        i = self.slot(t)
        self.k[i], self.k_scale[i], self.v[i], self.v_scale[i] = k, k_scale, v, v_scale
        return min(t + 1, len(self.k))


class GoldenModel:
    """BitMar over a frozen model's arrays (``arch.tables.tensor_table`` names them).

    ``tap`` receives every intermediate tensor; ``memory_on=False`` leaves the memory unread and
    unwritten, ``read_only=True`` unwritten.
    """

    ops: Any = numerics

    def __init__(
        self,
        cfg: ModelConfig,
        arrays: Mapping[str, np.ndarray],
        tap: Callable[[str, np.ndarray], None] | None = None,
        memory_on: bool = True,
        read_only: bool = False,
    ) -> None:
        self.cfg = cfg
        self.tap = tap or (lambda name, array: None)
        self.memory_on, self.read_only = memory_on, read_only
        self.a = {k: v.astype(np.float32) if k.endswith(".trits") else v for k, v in arrays.items()}
        for stack in stacks(cfg):
            self.a[f"{stack.name}.trits"] = np.concatenate(
                [self.a.pop(f"{p.tensor}.trits") for p in stack.pieces]
            )
        self.m_codes = arrays["memory.m.codes"].copy()  # int16 [K, C]
        self.m_scales = arrays["memory.m.scales"].copy()  # float32 [K]
        self.m_usage = arrays["memory.m.usage"].copy()  # uint32 [K], Q24
        self.begin_episode()

    def begin_episode(self) -> None:
        """Forget the stream (tokens, image, pooled query); the episodic memory stays."""
        cfg = self.cfg
        self.t = 0
        rings = [Ring(cfg, cache) for cache in cache_table(cfg) if cache.ring]
        self.enc, self.dec = rings[: cfg.n_encoder_layers], rings[cfg.n_encoder_layers :]
        self.pooled = np.zeros(cfg.d_model, np.int32)
        self.image: list[tuple[np.ndarray, ...]] | None = None  # keys, scales, values, scales of a layer
        self.seen = np.zeros(cfg.d_model, np.int32)  # sum of the image's normalised codes
        self.cond = [np.zeros(cfg.d_model, F32) for _ in self.dec]

    # -- building blocks ---------------------------------------------------------------------

    def linear(self, name: str, codes: np.ndarray, scale: np.float32) -> np.ndarray:
        """BitLinear: int8 codes times a ternary matrix, scaled once. Returns float32 [N]."""
        nm = self.ops
        return nm.scale_acc(nm.gemv(self.a[f"{name}.trits"], codes), scale, self.a[f"{name}.scale"])

    def row(self, table: str, i: int) -> np.ndarray:
        """Row i of an int8 table: codes * scale. float32 [d]."""
        return self.ops.row(self.a[f"{table}.codes"], self.a[f"{table}.scales"], i)

    def block(self, name: str, ring: Ring, x: np.ndarray) -> np.ndarray:
        """Pre-norm transformer block with ternary projections and an int8 KV cache."""
        nm, tap, kv = self.ops, self.tap, self.cfg.kv_width
        h, s = nm.norm_quantize(x, self.a[f"{name}.attn_norm"])
        tap(f"{name}.attn.codes", h)
        acc = nm.gemv(self.a[f"{name}.wqkv.trits"], h)
        tap(f"{name}.qkv.acc", acc)
        (q, qs), (k, ks), (v, vs) = (
            nm.quantize(nm.scale_acc(part, s, self.a[f"{name}.{w}.scale"]))
            for part, w in zip(nm.split(acc, (self.cfg.d_model, kv, kv)), ("wq", "wk", "wv"), strict=True)
        )
        tap(f"{name}.q.codes", q)
        tap(f"{name}.k.codes", k)
        tap(f"{name}.v.codes", v)
        tap(f"{name}.qkv.scales", nm.stack((qs, ks, vs)))
        n = ring.store(self.t, k, ks, v, vs)
        tap(f"{name}.cache.k", ring.k)
        tap(f"{name}.cache.k_scale", ring.k_scale)
        tap(f"{name}.cache.v", ring.v)
        tap(f"{name}.cache.v_scale", ring.v_scale)
        o = nm.attend(q, qs, ring.k, ring.k_scale, ring.v, ring.v_scale, self.cfg.n_heads, n)
        tap(f"{name}.attn.out", o)
        x = x + self.linear(f"{name}.wo", *nm.norm_quantize(o))
        tap(f"{name}.attn.x", x)
        h, _ = nm.norm_quantize(x, self.a[f"{name}.ffn_norm"])
        tap(f"{name}.ffn.codes", h)
        acc = nm.gemv(self.a[f"{name}.w1.trits"], h)
        tap(f"{name}.ffn.acc", acc)
        g, gs = nm.norm_quantize(nm.activation(acc, self.cfg.ffn_activation))
        tap(f"{name}.ffn.hidden", g)
        x = x + self.linear(f"{name}.w2", g, gs)
        tap(f"{name}.ffn.x", x)
        return x

    # -- the model ---------------------------------------------------------------------------

    def set_image(self, features: np.ndarray) -> None:
        """Compress an image (paper 3.2) and cache its keys and values for this episode.

        features: float32 [cfg.image_inputs, 768].
        """
        self.seen = np.zeros(self.cfg.d_model, np.int32)
        positions = (self.row("vision.positions", j) for j in range(self.cfg.image_tokens))
        vectors = [
            self.image_token(codes, scale, position)
            for (codes, scale), position in zip(self.image_vectors(features), positions, strict=True)
        ]
        layers = zip(*vectors, strict=True)
        self.image = [tuple(np.array(part) for part in zip(*layer, strict=True)) for layer in layers]
        for i, image in enumerate(self.image):
            for name, part in zip(("k", "k_scale", "v", "v_scale"), image, strict=True):
                self.tap(f"fusion.{i}.image.{name}", part)
        if self.cfg.keyed:
            self.tap("image.sum", self.seen)

    def image_vectors(self, features: np.ndarray) -> Iterator[tuple[np.ndarray, np.float32]]:
        """What the front end makes of every image token: int8 [cfg.vision_width], scale."""
        if self.cfg.vision_channels:
            codes, scale = self.convolve(features)
            return ((row, scale) for row in codes)
        x = numerics.pool_2x2(features) if self.cfg.image_pool == 2 else features
        return (self.compress(vector) for vector in x)

    def compress(self, x: np.ndarray) -> tuple[np.ndarray, np.float32]:
        """One vector [768] of the picture, alone: the hidden layer of the paper's compressor."""
        nm, tap = self.ops, self.tap
        tap("image.input", x)
        c, s = nm.quantize(x)
        tap("image.codes", c)
        hidden, hs = nm.quantize(nm.maximum(self.linear("vision.w1", c, s), F32(0)))
        tap("image.hidden", hidden)
        return hidden, hs

    def convolve(self, features: np.ndarray) -> tuple[np.ndarray, np.float32]:
        """The whole picture, as a grid of patches: a vector for each [image_tokens, channels], one scale."""
        nm, tap, side = self.ops, self.tap, self.cfg.image_side
        codes, _ = nm.quantize(nm.ink(features))
        tap("image.codes", codes)
        for i in range(len(self.cfg.vision_channels or ())):
            acc = nm.convolve(self.a[f"vision.{i}.w.trits"], codes, side)
            gained = nm.activation(nm.max_pool(acc), "relu") * self.a[f"vision.{i}.gain"]
            codes, _ = nm.quantize(nm.flat(gained))
            tap(f"vision.{i}.codes", codes)
            side //= 2
        scale = nm.rms_scale(codes)
        tap("image.scale", nm.stack((scale,)))
        return codes.reshape(self.cfg.image_tokens, self.cfg.vision_width), scale

    def image_token(
        self, codes: np.ndarray, scale: np.float32, position: np.ndarray
    ) -> list[tuple[Any, ...]]:
        """One vector of the front end: its key, scale, value and scale for every fusion layer."""
        nm, tap = self.ops, self.tap
        token = self.linear("vision.w2", codes, scale) + position
        tap("image.token", token)
        h, s = nm.norm_quantize(token, self.a["fusion.image_norm"])
        tap("image.norm.codes", h)
        self.see(h)
        return [
            nm.quantize(self.linear(f"fusion.{i}.wk", h, s))
            + nm.quantize(self.linear(f"fusion.{i}.wv", h, s))
            for i in range(self.cfg.n_fusion_layers)
        ]

    def see(self, h: np.ndarray) -> None:
        """Add the normalised codes of one vector of the picture to their sum."""
        self.seen = self.seen + h.astype("int32")

    def fuse(self, z: np.ndarray) -> np.ndarray:
        """Cross-modal fusion (paper 3.3): text queries, image keys and values; F = Z without image."""
        nm = self.ops
        for i, image in enumerate(self.image or ()):
            h, s = nm.norm_quantize(z, self.a[f"fusion.{i}.norm"])
            self.tap(f"fusion.{i}.codes", h)
            q, qs = nm.quantize(self.linear(f"fusion.{i}.wq", h, s))
            self.tap(f"fusion.{i}.q.codes", q)
            o = nm.attend(q, qs, *image, self.cfg.n_heads)
            self.tap(f"fusion.{i}.out", o)
            z = z + self.linear(f"fusion.{i}.wo", *nm.norm_quantize(o))
            self.tap(f"fusion.{i}.x", z)
        return z

    def step(self, token: int) -> np.ndarray:
        """Advance by one token. Returns the integer logits int32 [V]; see :meth:`logits`."""
        return self.head(self.hidden(token))

    def hidden(self, token: int) -> np.ndarray:
        """A step without its head: the last decoder state [d]."""
        cfg, nm, tap = self.cfg, self.ops, self.tap
        e = self.row("token_table", token)
        x = e + self.row("position_table", nm.minimum(self.t, cfg.n_positions - 1))
        tap("embed", x)
        for i, ring in enumerate(self.enc):
            x = self.block(f"enc.{i}", ring, x)
        f = self.fuse(x)
        tap("fused", f)
        p, _ = nm.norm_quantize(f, self.a["memory.norm"])
        tap("pool.codes", p)
        self.pooled = nm.where(self.t < POOL_MAX, self.pooled + p.astype("int32"), self.pooled)
        tap("pool.sum", self.pooled)
        self.recall()
        x = e + f
        for i, ring in enumerate(self.dec):
            x = x + self.cond[i]
            tap(f"dec.{i}.in", x)
            x = self.block(f"dec.{i}", ring, x)
        self.t = self.t + 1
        return x

    def head_codes(self, x: np.ndarray) -> np.ndarray:
        """Input of the head, int8 [d], of a decoder state."""
        h, self.head_scale = self.ops.norm_quantize(x, self.a["head.norm"])
        self.tap("head.codes", h)
        return h

    def head(self, x: np.ndarray) -> np.ndarray:
        """Integer logits int32 [V] of a decoder state."""
        acc = self.ops.gemv(self.a["head.w.trits"], self.head_codes(x))
        self.tap("logits", acc)
        return acc

    def logits(self, acc: np.ndarray) -> np.ndarray:
        """Integer logits of the last step -> float32 logits [V]."""
        return self.ops.scale_acc(acc, self.head_scale, self.a["head.w.scale"])

    # -- episodic memory ---------------------------------------------------------------------

    def query(self) -> tuple[np.ndarray, np.float32]:
        """q: the causal mean of the fused states so far, normalised. int8 [C], scale."""
        return self.ops.norm_quantize(self.pooled.astype("float32"))

    def source(self) -> np.ndarray:
        """What a keyed memory is asked with: the picture where there is one, else the text so far. int32
        [C].
        """
        return self.pooled if self.image is None else self.seen

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The memory's two planes, int8 [K, C] each."""
        return self.ops.planes(self.m_codes)

    def high(self) -> np.ndarray:
        """The memory's codes as reads use them. int8 [K, C]."""
        return self.ops.high_bytes(self.m_codes)

    def recall(self) -> None:
        """Read the memory every ``read_every`` tokens; in between the conditioning stays."""
        if self.memory_on and self.t % self.cfg.read_every == 0:
            self.cond = self.read()

    def read(self) -> list[np.ndarray]:
        """M_r, what the memory says, and its projection into every decoder layer: float32 [d] each."""
        nm, cond = self.ops, []
        r = keyed.read(self) if self.cfg.keyed else self.read_rows()
        self.tap("read.vector", r)
        c, s = nm.norm_quantize(r)
        for i in range(self.cfg.n_decoder_layers):
            cond.append(self.linear(f"dec.{i}.wm", c, s))
            self.tap(f"dec.{i}.cond", cond[i])
        return cond

    def read_rows(self) -> np.ndarray:
        """M_r = softmax(M q)^T M (eq. 2). float32 [d]."""
        q, qs = self.query()
        self.tap("read.query", q)
        return self.ops.memory_read(q, qs, self.high(), self.m_scales * F32(256))

    def end_episode(self) -> None:
        """Write the episode, unless the memory is switched off or read-only."""
        if self.memory_on and not self.read_only:
            self.write()

    def write(self) -> None:
        """The episode into the memory, by the rule of the configuration."""
        if self.cfg.keyed:
            keyed.write(self)
        else:
            self.write_rows()
        high, low = self.rows()
        self.tap("memory.high", high)
        self.tap("memory.low", low)
        self.tap("memory.scales", self.m_scales)
        self.tap("memory.usage", self.m_usage)

    def write_rows(self) -> None:
        """M_k += alpha W_k (q - M_k) (bounded) or M_k += alpha W_k q (paper eq. 1).

        W_k are learned write weights; slots that neither writes nor content reach are forgotten slowly.
        """
        cfg, nm, tap = self.cfg, self.ops, self.tap
        q, qs = self.query()
        tap("write.query", q)
        acc = nm.gemv(self.a["memory.ww.trits"], q)
        tap("write.acc", acc)
        w, total = nm.address(nm.scale_acc(acc, qs, self.a["memory.ww.scale"]))
        tap("write.weights", w)
        r, r_total = nm.address(nm.memory_scores(q, qs, self.high(), self.m_scales * F32(256)))
        qf, rate, bounded = q.astype("float32") * qs, F32(cfg.write_rate), cfg.write_rule == "bounded"
        self.m_codes, scales = nm.write_rows(self.m_codes, self.m_scales, w, total, qf, rate, bounded)
        used = nm.maximum(nm.share_q24(w, total), nm.share_q24(r, r_total))
        self.m_usage = self.m_usage - self.m_usage // 32 + used // 32
        stale = self.m_usage < forget_threshold(cfg)
        scales = nm.where(stale, scales * (F32(1) - F32(cfg.forget_rate)), scales)
        self.m_scales = nm.where(scales < numerics.TINY, F32(0), scales)


def forget_threshold(cfg: ModelConfig) -> int:
    """Usage (Q24) below which a slot counts as stale: ``forget_below`` times the uniform 1/K; an int32, which
    no usage exceeds.
    """
    return min(int(cfg.forget_below * numerics.USAGE_ONE / cfg.memory_slots), 2**31 - 1)


def initial_usage(cfg: ModelConfig) -> int:
    """Usage (Q24) of a fresh slot: the uniform 1/K."""
    return numerics.USAGE_ONE // cfg.memory_slots
