"""The golden model: BitMar as one ``step(token)``, written to be read, built only from numerics.py.

    image ── compress ── K, V ─┐
    token ── embed ── encoder ─┴─ fuse ── pool ── read memory ─┐
                 └───────────────── + ── decoder (conditioned) ┴─ head ── logits

Every intermediate tensor is reported to ``tap(name, array)`` under the names of ``arch.tables.tap_table``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..arch.config import ModelConfig
from ..arch.records import Cache
from ..arch.tables import cache_table
from . import numerics as nm

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

    def store(self, t: int, k, k_scale, v, v_scale) -> int:
        """Store token t and return how many slots are now in use."""
        i = self.slot(t)
        self.k[i], self.k_scale[i], self.v[i], self.v_scale[i] = k, k_scale, v, v_scale
        return min(t + 1, len(self.k))


class GoldenModel:
    """BitMar over a frozen model's arrays (``arch.tables.tensor_table`` names them).

    ``tap`` receives every intermediate tensor; ``memory_on=False`` leaves the memory unread and
    unwritten, ``read_only=True`` unwritten.
    """

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
        self.image = None
        self.cond = np.zeros((cfg.n_decoder_layers, cfg.d_model), F32)

    # -- building blocks ---------------------------------------------------------------------

    def linear(self, name: str, codes: np.ndarray, scale: np.float32) -> np.ndarray:
        """BitLinear: int8 codes times a ternary matrix, scaled once. Returns float32 [N]."""
        return nm.scale_acc(nm.gemv(self.a[f"{name}.trits"], codes), scale, F32(self.a[f"{name}.scale"]))

    def row(self, table: str, i: int) -> np.ndarray:
        """Row i of an int8 table: codes * scale. float32 [d]."""
        return self.a[f"{table}.codes"][i].astype(np.float32) * self.a[f"{table}.scales"][i]

    def block(self, name: str, ring: Ring, x: np.ndarray) -> np.ndarray:
        """Pre-norm transformer block with ternary projections and an int8 KV cache."""
        tap = self.tap
        h, s = nm.norm_quantize(x, self.a[f"{name}.attn_norm"])
        tap(f"{name}.attn.codes", h)
        acc = [nm.gemv(self.a[f"{name}.{w}.trits"], h) for w in ("wq", "wk", "wv")]
        tap(f"{name}.qkv.acc", np.concatenate(acc))
        (q, qs), (k, ks), (v, vs) = (
            nm.quantize(nm.scale_acc(a, s, F32(self.a[f"{name}.{w}.scale"])))
            for a, w in zip(acc, ("wq", "wk", "wv"))
        )
        tap(f"{name}.q.codes", q)
        tap(f"{name}.k.codes", k)
        tap(f"{name}.v.codes", v)
        tap(f"{name}.qkv.scales", np.array([qs, ks, vs], F32))
        n = ring.store(self.t, k, ks, v, vs)
        tap(f"{name}.cache.k", ring.k)
        tap(f"{name}.cache.k_scale", ring.k_scale)
        tap(f"{name}.cache.v", ring.v)
        tap(f"{name}.cache.v_scale", ring.v_scale)
        o = nm.attend(q, qs, ring.k[:n], ring.k_scale[:n], ring.v[:n], ring.v_scale[:n], self.cfg.n_heads)
        tap(f"{name}.attn.out", o)
        x = x + self.linear(f"{name}.wo", *nm.norm_quantize(o))
        tap(f"{name}.attn.x", x)
        h, _ = nm.norm_quantize(x, self.a[f"{name}.ffn_norm"])
        tap(f"{name}.ffn.codes", h)
        acc1 = nm.gemv(self.a[f"{name}.w1.trits"], h)
        tap(f"{name}.ffn.acc", acc1)
        g, gs = nm.norm_quantize(nm.activation(acc1, self.cfg.ffn_activation))
        tap(f"{name}.ffn.hidden", g)
        x = x + self.linear(f"{name}.w2", g, gs)
        tap(f"{name}.ffn.x", x)
        return x

    # -- the model ---------------------------------------------------------------------------

    def set_image(self, features: np.ndarray) -> None:
        """Compress an image (paper 3.2) and cache its keys and values for this episode.

        features: float32 [cfg.image_inputs, 768].
        """
        cfg, tap = self.cfg, self.tap
        x = nm.pool_2x2(features) if cfg.image_pool == 2 else features
        kv: list[list[tuple]] = [[] for _ in range(cfg.n_fusion_layers)]
        for j in range(cfg.image_tokens):
            tap("image.input", x[j])
            c, s = nm.quantize(x[j])
            tap("image.codes", c)
            hidden, hs = nm.quantize(np.maximum(self.linear("vision.w1", c, s), F32(0)))
            tap("image.hidden", hidden)
            token = self.linear("vision.w2", hidden, hs) + self.row("vision.positions", j)
            tap("image.token", token)
            h, s = nm.norm_quantize(token, self.a["fusion.image_norm"])
            tap("image.norm.codes", h)
            for i, layer in enumerate(kv):
                layer.append(
                    nm.quantize(self.linear(f"fusion.{i}.wk", h, s))
                    + nm.quantize(self.linear(f"fusion.{i}.wv", h, s))
                )
        self.image = [tuple(np.array(part) for part in zip(*layer)) for layer in kv]
        for i, layer in enumerate(self.image):
            for name, part in zip(("k", "k_scale", "v", "v_scale"), layer):
                tap(f"fusion.{i}.image.{name}", part)

    def fuse(self, z: np.ndarray) -> np.ndarray:
        """Cross-modal fusion (paper 3.3): text queries, image keys and values; F = Z without image."""
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
        cfg, tap = self.cfg, self.tap
        assert 0 <= token < cfg.vocab_size
        e = self.row("token_table", token)
        x = e + self.row("position_table", min(self.t, cfg.n_positions - 1))
        tap("embed", x)
        for i, ring in enumerate(self.enc):
            x = self.block(f"enc.{i}", ring, x)
        f = self.fuse(x)
        tap("fused", f)
        p, _ = nm.norm_quantize(f, self.a["memory.norm"])
        tap("pool.codes", p)
        if self.t < POOL_MAX:
            self.pooled = self.pooled + p
        tap("pool.sum", self.pooled)
        if self.t % cfg.read_every == 0 and self.memory_on:
            self.read()
        x = e + f
        for i, ring in enumerate(self.dec):
            x = x + self.cond[i]
            tap(f"dec.{i}.in", x)
            x = self.block(f"dec.{i}", ring, x)
        h, self.head_scale = nm.norm_quantize(x, self.a["head.norm"])
        tap("head.codes", h)
        acc = nm.gemv(self.a["head.w.trits"], h)
        tap("logits", acc)
        self.t += 1
        return acc

    def logits(self, acc: np.ndarray) -> np.ndarray:
        """Integer logits of the last step -> float32 logits [V]."""
        return nm.scale_acc(acc, self.head_scale, F32(self.a["head.w.scale"]))

    # -- episodic memory ---------------------------------------------------------------------

    def query(self) -> tuple[np.ndarray, np.float32]:
        """q: the causal mean of the fused states so far, normalised. int8 [C], scale."""
        return nm.norm_quantize(self.pooled.astype(np.float32))

    def read(self) -> None:
        """M_r = softmax(M q)^T M (eq. 2) and its projection into every decoder layer."""
        q, qs = self.query()
        self.tap("read.query", q)
        r = nm.memory_read(q, qs, nm.high_bytes(self.m_codes), self.m_scales * F32(256))
        self.tap("read.vector", r)
        c, s = nm.norm_quantize(r)
        for i in range(self.cfg.n_decoder_layers):
            self.cond[i] = self.linear(f"dec.{i}.wm", c, s)
            self.tap(f"dec.{i}.cond", self.cond[i])

    def end_episode(self) -> None:
        """Write the episode: M_k += alpha W_k (q - M_k) (bounded) or M_k += alpha W_k q (paper eq. 1).

        W_k are learned write weights; slots that neither writes nor content reach are forgotten slowly. A memory that is switched off or read-only stays as it is.
        """
        cfg, tap = self.cfg, self.tap
        if not self.memory_on or self.read_only:
            return
        q, qs = self.query()
        tap("write.query", q)
        acc = nm.gemv(self.a["memory.ww.trits"], q)
        tap("write.acc", acc)
        w, total = nm.address(nm.scale_acc(acc, qs, F32(self.a["memory.ww.scale"])))
        tap("write.weights", w)
        r, r_total = nm.address(
            nm.memory_scores(q, qs, nm.high_bytes(self.m_codes), self.m_scales * F32(256))
        )
        qf = q.astype(np.float32) * qs
        for k in np.flatnonzero(w):
            rate = F32(cfg.write_rate) * (F32(w[k]) / F32(total))
            m = self.m_codes[k].astype(np.float32) * self.m_scales[k]
            m = m + rate * (qf - m if cfg.write_rule == "bounded" else qf)
            self.m_codes[k], self.m_scales[k] = nm.quantize16(m)
        used = np.maximum((w.astype(np.int64) << 24) // total, (r.astype(np.int64) << 24) // r_total)
        self.m_usage = (self.m_usage - (self.m_usage >> 5) + (used.astype(np.uint32) >> 5)).astype(np.uint32)
        stale = self.m_usage < forget_threshold(cfg)
        self.m_scales = np.where(stale, self.m_scales * (F32(1) - F32(cfg.forget_rate)), self.m_scales)
        self.m_scales[self.m_scales < nm.TINY] = 0
        high, low = nm.planes(self.m_codes)
        tap("memory.high", high)
        tap("memory.low", low)
        tap("memory.scales", self.m_scales)
        tap("memory.usage", self.m_usage)


def forget_threshold(cfg: ModelConfig) -> int:
    """Usage (Q24) below which a slot counts as stale: ``forget_below`` times the uniform 1/K."""
    return int(cfg.forget_below * nm.USAGE_ONE / cfg.memory_slots)


def initial_usage(cfg: ModelConfig) -> int:
    """Usage (Q24) of a fresh slot: the uniform 1/K."""
    return nm.USAGE_ONE // cfg.memory_slots
