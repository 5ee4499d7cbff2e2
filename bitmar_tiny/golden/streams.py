# SPDX-License-Identifier: Apache-2.0
"""Several streams at once, each of which reads a slot of the memory of its own: golden's text (``model.py``)
on arrays [B, n] in place of [n], with scales [B, 1]. Every stream has the bits that it would have alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arch.config import ModelConfig
from ..arch.records import Cache
from ..arch.tables import cache_table
from . import numerics as nm
from .model import GoldenModel, Ring

F32 = np.float32


class Ops:
    """The primitives of ``numerics.py`` that a step without a picture takes, along the last axis."""

    minimum, where = np.minimum, np.where
    planes, scale_acc = staticmethod(nm.planes), staticmethod(nm.scale_acc)
    activation = staticmethod(nm.activation)

    @staticmethod
    def row(codes: np.ndarray, scales: np.ndarray, i: int | np.ndarray) -> np.ndarray:
        """Row i of a table, or of each stream: float32 [d] or [B, d]."""
        return codes[i].astype(F32) * scales[i][..., None]

    @staticmethod
    def quantize(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int8 [B, n] and float32 [B, 1]."""
        m = np.abs(v).max(-1, keepdims=True)
        there = m >= nm.TINY
        codes = nm.rne(v * (F32(127) / np.where(there, m, F32(1))))
        return np.where(there, codes, 0).astype(np.int8), np.where(there, m / F32(127), F32(0))

    @classmethod
    def norm_quantize(cls, v: np.ndarray, gain: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """int8 [B, n] and 1/rms of the codes, float32 [B, 1]."""
        codes, _ = cls.quantize(v if gain is None else v * gain)
        total = (codes.astype(np.int64) ** 2).sum(-1, keepdims=True)
        mean = np.where(total, total, 1).astype(F32) / F32(codes.shape[-1])
        return codes, np.where(total, F32(1) / np.sqrt(mean), F32(0))

    @staticmethod
    def gemv(trits: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """int32 [B, N]."""
        assert codes.shape[-1] * 127 < 1 << 24
        return (codes.astype(F32) @ trits.T).astype(np.int32)

    @staticmethod
    def split(acc: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
        """The pieces, one after the other."""
        return np.split(acc, list(itertools.accumulate(sizes))[:-1], -1)

    @staticmethod
    def stack(scales: Sequence[np.ndarray]) -> np.ndarray:
        """Scales side by side: float32 [B, n]."""
        return np.concatenate(scales, -1)

    @staticmethod
    def attend(
        q: np.ndarray,
        q_scale: np.ndarray,
        k: np.ndarray,
        k_scale: np.ndarray,
        v: np.ndarray,
        v_scale: np.ndarray,
        n_heads: int,
        used: int,
    ) -> np.ndarray:
        """``numerics.attend`` of each stream. k, v: int8 [n, B, w]; k_scale, v_scale: float32 [n, B]."""
        k, v, k_scale, v_scale = k[:used], v[:used], k_scale[:used].T, v_scale[:used].T
        (n, streams, width), d = k.shape, q.shape[-1]
        dh = d // n_heads
        qh = q.reshape(streams, width // dh, d // width, dh).astype(F32)
        kh = k.reshape(n, streams, -1, dh).transpose(1, 2, 3, 0).astype(F32)
        dots = (qh @ kh).reshape(streams, n_heads, n)
        scores = dots * (k_scale * (q_scale * nm.inv_sqrt(dh)))[:, None]
        e = nm.exp_neg(scores - scores.max(-1, keepdims=True))
        denom = nm.rne(e * F32(nm.PROB_ONE)).sum(-1, dtype=np.int64)
        v_max = v_scale.max(-1, keepdims=True)
        there = v_max >= nm.TINY
        r = np.where(there, v_scale * (F32(nm.PROB_ONE) / np.where(there, v_max, F32(1))), F32(0))
        w = nm.rne(e * r[:, None]).reshape(*qh.shape[:3], n).astype(np.float64)
        acc = (w @ v.reshape(n, streams, -1, dh).transpose(1, 2, 0, 3).astype(np.float64)).astype(F32)
        scale = np.where(there, v_max, F32(0)) / denom.astype(F32)
        return (acc.reshape(streams, n_heads, dh) * scale[..., None]).reshape(streams, d)

    @staticmethod
    def keyed_read(
        q: np.ndarray,
        q_scale: np.ndarray,
        keys: np.ndarray,
        scales: np.ndarray,
        values: np.ndarray,
        usage: np.ndarray,
    ) -> np.ndarray:
        """Of a slot alone the value itself, whatever is asked, and zeros of an empty one: all the weight is
        PROB_ONE, by which it is divided again. float32 [B, C].
        """
        return np.where(usage[:, None] > 0, values.astype(F32), F32(0))


class _Ring(Ring):
    """KV caches [n, B, w] of one layer."""

    def __init__(self, cfg: ModelConfig, cache: Cache, streams: int) -> None:
        super().__init__(cfg, cache)
        for name in ("k", "k_scale", "v", "v_scale"):
            one = getattr(self, name)
            setattr(self, name, np.zeros((len(one), streams, *one.shape[1:]), one.dtype))

    def store(self, t: int, k: np.ndarray, k_scale: Any, v: np.ndarray, v_scale: Any) -> int:
        return super().store(t, k, k_scale[:, 0], v, v_scale[:, 0])


class Streams(GoldenModel):
    """A keyed model's streams without a picture, one for each of some slots. ``step`` takes a token of each,
    int64 [B], and returns int32 [B, V].
    """

    ops = Ops

    def begin(self, codes: np.ndarray, scales: np.ndarray, usage: np.ndarray) -> None:
        """Begin an episode of each. codes: int16 [B, C], scales: float32 [B], usage: uint32 [B] of their
        slots.
        """
        self.begin_episode()
        self.m_codes, self.m_scales, self.m_usage = codes, scales, usage
        rings: list[Ring] = [_Ring(self.cfg, c, len(codes)) for c in cache_table(self.cfg) if c.ring]
        self.enc, self.dec = rings[: self.cfg.n_encoder_layers], rings[self.cfg.n_encoder_layers :]
