# SPDX-License-Identifier: Apache-2.0
"""The alphabet of the numerics contract: every arithmetic primitive of the model, once.

Rules (docs/explanation/numerics.md explains them; ``firmware_templates/runtime/model/bm_numerics.c`` mirrors
this file function by function):

1. A reduction is an **integer** reduction, so its order cannot matter. Integer sums are computed
   here as float BLAS products of integers, which are exact below 2**24 (float32) or 2**53 (float64).
2. What is float is IEEE binary32, element by element: ``+ - * /``, ``sqrt``, ``max`` and
   :func:`rne`. No libm, no contraction; the parentheses below are the order of evaluation.
3. Nothing here produces a denormal, an infinity or a NaN from finite input of sane magnitude.

float32 is NumPy's ``np.float32`` throughout; "codes" are int8 in [-127, 127].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..arch.config import PATCH

F32 = np.float32
maximum, minimum, where = np.maximum, np.minimum, np.where
#: ``2**14``: attention and memory weights are integers in [0, PROB_ONE].
PROB_ONE = 1 << 14
#: Below this magnitude a vector counts as zero (keeps 127/max finite and scales normal).
TINY = F32(2.0**-60)
#: Full scale of a code of a token table of 4 bits.
CODE4_MAX = 7
#: Rows per block of the memory read, the unit in which a store is streamed.
READ_BLOCK = 64
#: Full scale of a 16-bit memory code: its rounded high byte stays in [-127, 127].
CODE16_MAX = 127 * 256
#: What a slot that is not in use scores: its exponential rounds to weight 0.
NEVER = F32(-1e30)
#: Usage is Q24: USAGE_ONE stands for an address weight of 1.
USAGE_ONE = 1 << 24

_LOG2E = F32(1.44269504088896341)
_LN2_HI = F32(0.693359375)
_LN2_LO = F32(-2.12194440e-4)
_EXP_MIN = F32(-80.0)
_EXP_POLY = tuple(
    F32(c)
    for c in (
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    )
)  # Cephes expf minimax polynomial (Moshier, Cephes Math Library 2.2)


def rne(v: np.ndarray) -> np.ndarray:
    """Round float32 to the nearest integer, ties to even. |v| < 2**22. Returns int32."""
    return np.rint(v).astype(np.int32)


def exp_neg(x: np.ndarray) -> np.ndarray:
    """e**x for float32 x <= 0, clamped at -80 so that the result stays a normal number."""
    x = np.maximum(x, _EXP_MIN)
    n = np.rint(x * _LOG2E)
    r: np.ndarray = x - n * _LN2_HI
    r = r - n * _LN2_LO
    p: np.ndarray | np.float32 = _EXP_POLY[0]
    for c in _EXP_POLY[1:]:
        p = p * r + c
    p = (p * (r * r) + r) + F32(1.0)
    bits = (n.astype(np.int32) + np.int32(127)) << np.int32(23)  # NumPy 1 would widen a 0-d value
    return p * bits.view(F32)


def _quantize_to(v: np.ndarray, full: int) -> tuple[np.ndarray, np.float32]:
    m = np.max(np.abs(v), initial=F32(0))
    if m < TINY:
        return np.zeros(v.shape, np.int32), F32(0)
    return rne(v * (F32(full) / m)), m / F32(full)


def quantize(v: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Per-token symmetric max-abs int8 (paper 3.1). float32 [n] -> codes int8 [n], scale float32.

    ``v ~ codes * scale``; an all-zero (or tiny) vector gives zero codes and scale 0.
    """
    codes, scale = _quantize_to(v, 127)
    return codes.astype(np.int8), scale


def quantize16(v: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Max-abs 16-bit quantiser of one memory row: float32 [C] -> codes int16 [C], scale float32."""
    codes, scale = _quantize_to(v, CODE16_MAX)
    return codes.astype(np.int16), scale


def rms_scale(codes: np.ndarray) -> np.float32:
    """1 / rms(codes): RMS normalisation *after* quantisation, so that the max-abs scale cancels.

    ``normalised = codes * rms_scale(codes)``. The sum of squares is an exact integer.
    """
    c = codes.astype(np.float32) if codes.size * 127 * 127 < 1 << 24 else codes.astype(np.float64)
    total = int(c @ c)
    if total == 0:
        return F32(0)
    return F32(1) / np.sqrt(F32(total) / F32(codes.size))


def norm_quantize(v: np.ndarray, gain: np.ndarray | None = None) -> tuple[np.ndarray, np.float32]:
    """RMSNorm with optional gain, as int8: float32 [n] -> codes int8 [n], scale = 1/rms(codes)."""
    codes, _ = quantize(v if gain is None else v * gain)
    return codes, rms_scale(codes)


def gemv(trits: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Ternary matrix times int8 codes. trits float32 [N, K] in {-1,0,1}, codes int8 [K] -> int32 [N].

    Exact: every partial sum is an integer below ``127 * K < 2**24``.
    """
    assert codes.size * 127 < 1 << 24
    return (trits @ codes.astype(np.float32)).astype(np.int32)


def split(acc: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """The pieces of a vector, one after the other."""
    ends = list(itertools.accumulate(sizes))
    return [acc[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def stack(scales: Sequence[np.float32]) -> np.ndarray:
    """Scales side by side: float32 [n]."""
    return np.array(scales, F32)


def row(codes: np.ndarray, scales: np.ndarray, i: int) -> np.ndarray:
    """Row i of an int8 table [N, d] with a scale a row: codes * scale. float32 [d]."""
    assert 0 <= i < len(codes)
    return codes[i].astype(np.float32) * scales[i]


def scale_acc(acc: np.ndarray, a: np.float32, b: np.float32) -> np.ndarray:
    """int32 accumulators to float32: ``float(acc) * (a * b)``."""
    return acc.astype(np.float32) * (a * b)


def activation(acc: np.ndarray, kind: str) -> np.ndarray:
    """ReLU or ReLU squared of int32 accumulators, as float32 (any positive scale cancels later)."""
    a = np.maximum(acc, 0).astype(np.float32)
    return a * a if kind == "relu2" else a


def inv_sqrt(n: int) -> np.float32:
    """1/sqrt(n) rounded as float32 division of a float32 square root."""
    return F32(1) / np.sqrt(F32(n))


def attend(
    q: np.ndarray,
    q_scale: np.float32,
    k: np.ndarray,
    k_scale: np.ndarray,
    v: np.ndarray,
    v_scale: np.ndarray,
    n_heads: int,
    used: int | None = None,
) -> np.ndarray:
    """Softmax attention over an int8 cache, of which the first ``used`` slots count (default: all). Their
    order does not matter.

    q codes int8 [d]; k, v codes int8 [n, w], w = d or, where g queries share the heads of keys and values, d
    / g; scales float32 [n], one per token. Returns float32 [d].
    """
    k, k_scale, v, v_scale = (part[:used] for part in (k, k_scale, v, v_scale))
    n, d, dh = len(k), q.size, q.size // n_heads
    shared = k.shape[1] // dh, d // k.shape[1]  # heads of keys and values, queries of each
    qh = q.reshape(*shared, dh).astype(np.float32)
    kh = k.reshape(n, -1, dh).transpose(1, 2, 0).astype(np.float32)
    dots = (qh @ kh).reshape(n_heads, n)  # integers < 2**24: exact
    scores = dots * (k_scale * (q_scale * inv_sqrt(dh)))
    e = exp_neg(scores - scores.max(axis=1, keepdims=True))  # [h, n]
    denom = rne(e * F32(PROB_ONE)).sum(axis=1, dtype=np.int64)  # <= 2**14 * n
    v_max, r = _value_weights(v_scale)
    w = rne(e * r)
    vh = v.reshape(n, -1, dh).transpose(1, 0, 2).astype(np.float64)
    acc = (w.reshape(*shared, n).astype(np.float64) @ vh).reshape(n_heads, dh)  # integers < 2**31: exact
    return (acc.astype(np.float32) * (v_max / denom.astype(np.float32))[:, None]).reshape(d)


def _value_weights(v_scale: np.ndarray) -> tuple[np.float32, np.ndarray]:
    """Fold per-token value scales into integer weights: (v_max, v_scale * (PROB_ONE / v_max))."""
    v_max = v_scale.max()
    if v_max < TINY:
        return F32(0), np.zeros_like(v_scale)
    return v_max, v_scale * (F32(PROB_ONE) / v_max)


def memory_read(q: np.ndarray, q_scale: np.float32, codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """M_r = softmax(M q / sqrt(C))^T M (paper eq. 2), streamed in blocks of READ_BLOCK rows.

    q int8 [C]; codes int8 [K, C] and scales float32 [K]: the high bytes of M and their scale.
    The running (max, denominator, sum) is rescaled in row order, so a streamed read and an
    in-RAM read are the same sequence of operations. Returns float32 [C].
    """
    qs = q_scale * inv_sqrt(q.size)
    qf = q.astype(np.float32)
    denom: np.ndarray | np.float32 = F32(0)
    top, acc = None, np.zeros(q.size, np.float32)
    for start in range(0, len(codes), READ_BLOCK):
        block = codes[start : start + READ_BLOCK].astype(np.float32)
        s = scales[start : start + READ_BLOCK]
        scores = (block @ qf) * (s * qs)
        peak = scores.max()
        if top is None:
            top = peak
        elif peak > top:
            keep = exp_neg(np.asarray(top - peak, F32))
            acc, denom, top = acc * keep, denom * keep, peak
        e = exp_neg(scores - top)
        denom = denom + F32(int(rne(e * F32(PROB_ONE)).sum()))
        v_max, r = _value_weights(s)
        part = rne(e * r).astype(np.float64) @ block.astype(np.float64)
        acc = acc + part.astype(np.float32) * v_max
    return acc * (F32(1) / denom)


def address(scores: np.ndarray) -> tuple[np.ndarray, int]:
    """Softmax address weights as 8-bit integers: float32 [K] -> (w int32 [K] in [0, 255], sum).

    A slot whose weight rounds to zero is not touched: writes are sparse by construction.
    """
    w = rne(exp_neg(scores - scores.max()) * F32(255))
    return w, int(w.sum())


def memory_scores(q: np.ndarray, q_scale: np.float32, codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Content scores of all K slots, as in :func:`memory_read`. float32 [K]."""
    dots = codes.astype(np.float32) @ q.astype(np.float32)
    return dots * (scales * (q_scale * inv_sqrt(q.size)))


def write_rows(
    codes: np.ndarray,
    scales: np.ndarray,
    w: np.ndarray,
    total: int,
    q: np.ndarray,
    rate: np.float32,
    bounded: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The memory after a write of q float32 [C] with weights w int32 [K]: new codes int16 [K, C], scales
    float32 [K].

    A slot of weight 0 keeps its bits.
    """
    codes, scales = codes.copy(), scales.copy()
    for k in np.flatnonzero(w):
        share = rate * (F32(w[k]) / F32(total))
        m = codes[k].astype(np.float32) * scales[k]
        codes[k], scales[k] = quantize16(m + share * (q - m if bounded else q))
    return codes, scales


def share_q24(w: np.ndarray, total: int) -> np.ndarray:
    """w / total in Q24, rounded down, for 0 <= w <= total: uint32 [K]."""
    return ((w.astype(np.int64) << 24) // total).astype(np.uint32)


def high_bytes(codes16: np.ndarray) -> np.ndarray:
    """int16 memory codes -> int8 codes that reads use, rounded: (c + 128) >> 8."""
    return ((codes16.astype(np.int32) + 128) >> 8).astype(np.int8)


def planes(codes16: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int16 memory codes -> high and low codes, int8 each, as a memory is kept: 256 high + low."""
    high = high_bytes(codes16)
    return high, (codes16.astype(np.int32) - 256 * high.astype(np.int32)).astype(np.int8)


def codes_of(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """High and low codes -> one of 16 bits, 256 high + low: the inverse of :func:`planes`."""
    return (high.astype(np.int32) * 256 + low).astype(np.int16)


def _dots(rows: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Products of int8 rows [n, C] with codes [C], exact, as float32 of the integers [n]."""
    wide = np.float32 if q.size * 127 * 127 < 1 << 24 else np.float64
    return (rows.astype(wide) @ q.astype(wide)).astype(np.float32)


def keyed_read(
    q: np.ndarray,
    q_scale: np.float32,
    keys: np.ndarray,
    scales: np.ndarray,
    values: np.ndarray,
    usage: np.ndarray,
) -> np.ndarray:
    """M_r = softmax(keys q / sqrt(C))^T values over the slots in use, streamed as :func:`memory_read`.

    q int8 [C]; keys and values int8 [K, C]; scales float32 [K] of the keys; usage uint32 [K], 0: an empty
    slot. A value's scale is 1, as the norm after the read divides by the length anyway. A block without a
    slot in use changes nothing; zeros where there is none at all. Returns float32 [C].
    """
    qs = q_scale * inv_sqrt(q.size)
    denom: np.ndarray | np.float32 = F32(0)
    top, acc = None, np.zeros(q.size, np.float32)
    for start in range(0, len(keys), READ_BLOCK):
        some = slice(start, start + READ_BLOCK)
        there = usage[some] > 0
        if not there.any():
            continue
        scores = _dots(keys[some], q) * (scales[some] * qs)
        peak = scores[there].max()
        if top is None:
            top = peak
        elif peak > top:
            keep = exp_neg(np.asarray(top - peak, F32))
            acc, denom, top = acc * keep, denom * keep, peak
        w = rne(exp_neg(np.where(there, scores, NEVER) - top) * F32(PROB_ONE))
        denom = denom + F32(int(w.sum()))
        acc = acc + (w.astype(np.float64) @ values[some].astype(np.float64)).astype(np.float32)
    return acc if top is None else acc * (F32(1) / denom)


def keyed_slot(
    key: np.ndarray,
    scale: np.float32,
    keys: np.ndarray,
    scales: np.ndarray,
    usage: np.ndarray,
    fixed: int,
    match: np.float32,
) -> np.ndarray:
    """The slot for an episode with this key (int8 [C], scale): int32 [1].

    That whose key has the largest cosine, if it is ``match`` at least; else the least used. Of equals the
    first. The first ``fixed`` slots are never chosen, and an empty one has no cosine.
    """
    cosines = _dots(keys, key) * (scales * (scale * (F32(1) / F32(key.size))))
    cosines = np.where((np.arange(len(keys)) >= fixed) & (usage > 0), cosines, NEVER)
    best = int(np.argmax(cosines))
    least = fixed + int(np.argmin(usage[fixed:]))
    return np.array([best if cosines[best] >= match else least], np.int32)


def keyed_usage(usage: np.ndarray, slot: np.ndarray, fixed: int) -> np.ndarray:
    """Usage uint32 [K] after ``slot`` was written: it has all of it, every other slot in use one less (1 at
    least), so that the least used is the one written longest ago. Learned and empty slots keep theirs.
    """
    aged = np.where((np.arange(len(usage)) >= fixed) & (usage > 1), usage - np.uint32(1), usage)
    return set_row(aged, slot, np.array([USAGE_ONE], np.uint32))


def set_row(rows: np.ndarray, i: np.ndarray, row: np.ndarray) -> np.ndarray:
    """A copy in which row i (int32 [1]) is ``row``."""
    rows = rows.copy()
    rows[i] = row
    return rows


def pool_2x2(x: np.ndarray) -> np.ndarray:
    """2x2 average pooling of a square grid of vectors (paper 3.2): [g*g, D] -> [g*g/4, D]."""
    g = round(len(x) ** 0.5)
    x = x.reshape(g // 2, 2, g // 2, 2, -1)
    return (((x[:, 0, :, 0] + x[:, 0, :, 1]) + (x[:, 1, :, 0] + x[:, 1, :, 1])) * F32(0.25)).reshape(
        -1, x.shape[-1]
    )


def ink(patches: np.ndarray) -> np.ndarray:
    """A square picture as patches of 16 x 16 pixels, float32 [g*g, 768] with 1 for white -> how far every
    number is from white, row by row of the picture: float32 [16g * 16g * 3].
    """
    g = math.isqrt(len(patches))
    return (F32(1) - patches).reshape(g, g, PATCH, -1).swapaxes(1, 2).reshape(-1)


@lru_cache
def windows(side: int) -> np.ndarray:
    """The cells that a 3x3 convolution sees around every cell of a map: int32 [side*side, 9], row by row;
    side*side stands for those outside. The cells around the four of a 2x2 square come one after the other.
    """
    at = np.full((side + 2, side + 2), side * side, np.int32)
    at[1:-1, 1:-1] = np.arange(side * side).reshape(side, side)
    around = np.lib.stride_tricks.sliding_window_view(at, (3, 3))
    return around.reshape(side // 2, 2, side // 2, 2, 9).swapaxes(1, 2).reshape(-1, 9)


def convolve(trits: np.ndarray, codes: np.ndarray, side: int) -> np.ndarray:
    """3x3 ternary convolution of a square map, zero outside. trits float32 [N, 9C] (row, column, channel),
    codes int8 [side*side*C] -> int32 [side*side, N], in the order of :func:`windows`. Exact like ``gemv``.
    """
    cells = codes.reshape(side * side, -1)
    seen = np.concatenate([cells, np.zeros_like(cells[:1])])[windows(side)].reshape(side * side, -1)
    assert seen.shape[1] * 127 < 1 << 24
    return (seen.astype(np.float32) @ trits.T).astype(np.int32)


def max_pool(acc: np.ndarray) -> np.ndarray:
    """The largest of every 2x2 square of a map in the order of :func:`windows`: int32 [n, N] -> [n/4, N]."""
    return acc.reshape(len(acc) // 4, 4, -1).max(1)


def flat(v: np.ndarray) -> np.ndarray:
    """A map as one vector."""
    return v.reshape(-1)


def pixels(p: np.ndarray) -> np.ndarray:
    """uint8 pixels -> float32 in [-1, 1]: (2 p - 255) / 255."""
    return (F32(2) * p.astype(np.float32) - F32(255)) / F32(255)


def as_features(vectors: np.ndarray) -> np.ndarray:
    """An image as float32: features as they are, uint8 patches as the model reads them."""
    return pixels(vectors) if vectors.dtype == np.uint8 else vectors
