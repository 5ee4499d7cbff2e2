# SPDX-License-Identifier: Apache-2.0
"""golden/numerics.py over graph values, function by function under the same names; read them side by side.

Differences of form, none of value: vectors are rows [rows, n] with scales [rows, 1]; ``if`` is a choice
between two computed values, of which the other may be infinite; int64 sums are split so that int32, or
float32 below 2**24, holds every part exactly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from ..golden import numerics as nm
from .builder import (
    Builder,
    Value,
    absolute,
    both,
    concat,
    floor,
    matmul,
    maximum,
    primitive,
    rint,
    sqrt,
    where,
)
from .builder import minimum as minimum

F32 = np.float32
NEVER = nm.NEVER
#: 2**-k: the smallest that exp_neg needs is that of the clamped argument.
_POW2 = np.array([2.0**-k for k in range(int(-np.rint(nm._EXP_MIN * nm._LOG2E)) + 1)], F32)
#: Splits a weight in [0, 2**14] into two halves of at most 128, whose sums over 1032 slots stay below 2**24.
_HALF = 128


@primitive
def exp_neg(x: Value) -> Value:
    x = maximum(x, nm._EXP_MIN)
    n = rint(x * nm._LOG2E)
    r = x - n * nm._LN2_HI
    r = r - n * nm._LN2_LO
    p = r * nm._EXP_POLY[0] + nm._EXP_POLY[1]
    for c in nm._EXP_POLY[2:]:
        p = p * r + c
    p = (p * (r * r) + r) + 1.0
    return p * x.builder.constant(_POW2).row((n * -1.0).astype("int32"))


def _quantize_to(v: Value, full: int) -> tuple[Value, Value]:
    m = absolute(v).max()
    tiny = m < nm.TINY
    codes = rint(v * where(tiny, 0.0, F32(full) / m))
    return codes, where(tiny, 0.0, m / F32(full))


@primitive
def quantize(v: Value) -> tuple[Value, Value]:
    codes, scale = _quantize_to(v, 127)
    return codes.astype("int8"), scale


@primitive
def quantize16(v: Value) -> tuple[Value, Value]:
    return _quantize_to(v, nm.CODE16_MAX)  # codes stay float32


@primitive
def rms_scale(codes: Value) -> Value:
    n = codes.shape[-1]
    c = codes.astype("float32" if n * 127 * 127 < 1 << 24 else "int32")
    total = (c * c).sum()
    return where(total.eq(0), 0.0, 1.0 / sqrt(total.astype("float32") / F32(n)))


@primitive
def _norm_quantize(v: Value) -> tuple[Value, Value]:
    codes, _ = quantize(v)
    return codes, rms_scale(codes)


def norm_quantize(v: Value, gain: Value | None = None) -> tuple[Value, Value]:
    return _norm_quantize(v if gain is None else v * gain)


def gemv(name: str, codes: Value) -> Value:
    return codes.builder.gemv(name, codes)


def split(acc: Value, sizes: Sequence[int]) -> list[Value]:
    ends = list(itertools.accumulate(sizes))
    return [acc.columns(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def stack(scales: Sequence[Value]) -> Value:
    return concat(list(scales), 0)


def row(codes: Value, scales: Value, i: Value) -> Value:
    return rows(codes.row(i), scales.row(i))


def rows(codes: Value, scales: Value) -> Value:
    """All rows of a table."""
    return codes.astype("float32") * scales.reshape(codes.shape[0], 1)


@primitive
def scale_acc(acc: Value, a: Value, b: Value) -> Value:
    return acc.astype("float32") * acc.builder.unfused(a * b)


def activation(acc: Value, kind: str) -> Value:
    a = maximum(acc, 0).astype("float32")
    return a * a if kind == "relu2" else a


def _weighted(w: Value, codes: Value) -> Value:
    """Weights (integers in [0, 2**14]) [..., m, n] times int8 rows [..., n, d], exactly, as float32 of the
    int32 sum.
    """
    high = floor(w * F32(1 / _HALF))
    low = w - high * F32(_HALF)
    v = codes.astype("float32")
    acc = matmul(high, v).astype("int32") * _HALF + matmul(low, v).astype("int32")
    return acc.astype("float32")


def _value_weights(v_scale: Value) -> tuple[Value, Value]:
    v_max = v_scale.max()
    tiny = v_max < nm.TINY
    return where(tiny, 0.0, v_max), v_scale * where(tiny, 0.0, F32(nm.PROB_ONE) / v_max)


@primitive
def attend(
    q: Value,
    q_scale: Value,
    k: Value,
    k_scale: Value,
    v: Value,
    v_scale: Value,
    n_heads: int,
    used: Value | None = None,
) -> Value:
    """``used`` int32 [1]: slots in use, from 0 on (default: all). q [1, d]; k, v [n, w], as in golden; scales
    [n] -> [1, d].
    """
    (n, width), d, b = k.shape, q.shape[1], q.builder
    dh, group = d // n_heads, d // width
    head_of = b.constant(np.arange(width, dtype=np.int32)[None] // dh)
    own = head_of.eq(np.arange(n_heads)[:, None] // group).astype(
        "float32"
    )  # [h, w]: the columns of each head
    query = q.astype("float32")
    if group > 1:
        query = concat([query.reshape(n_heads, dh)] * (n_heads // group), 1)
    heads = query * own  # one query a head, zero elsewhere: no transpose of k
    dots = matmul(heads, k.astype("float32"), transpose_b=True)  # [h, n]
    v_scale = v_scale.reshape(1, n)
    scores = dots * (k_scale.reshape(1, n) * (q_scale * nm.inv_sqrt(dh)))
    if used is not None:
        valid = b.constant(np.arange(n, dtype=np.int32)[None]) < used
        scores, v_scale = where(valid, scores, NEVER), where(valid, v_scale, 0.0)
    e = exp_neg(scores - scores.max())
    denom = rint(e * F32(nm.PROB_ONE)).astype("int32").sum()  # [h, 1]
    v_max, r = _value_weights(v_scale)
    o = _weighted(rint(e * r), v) * (v_max / denom.astype("float32"))
    if group > 1:
        return (o * own).reshape(n_heads, n_heads // group, dh).sum(1).reshape(1, d)
    return (o * own).sum(0)  # [h, d] -> each column from its own head


@primitive
def memory_read(q: Value, q_scale: Value, codes: Value, scales: Value) -> Value:
    """All blocks of READ_BLOCK rows side by side; only the running sums are rescaled block by block."""
    (slots, c), b = codes.shape, q.builder
    n = min(nm.READ_BLOCK, slots)
    blocks = -(-slots // n)
    if blocks * n > slots:  # the last block is filled up with slots that score NEVER
        codes = concat([codes, b.constant(np.zeros((blocks * n - slots, c), np.int8))], 0)
        scales = concat([scales, b.constant(np.zeros(blocks * n - slots, F32))], 0)
    scores = memory_scores(q, q_scale, codes, scales).reshape(blocks, n)
    if blocks * n > slots:
        scores = where(
            b.constant(np.arange(blocks * n, dtype=np.int32).reshape(blocks, n)) < slots, scores, NEVER
        )
    peaks = scores.max()  # [blocks, 1]
    tops = [peaks.rows(0, 1)]
    for i in range(1, blocks):
        tops.append(maximum(tops[-1], peaks.rows(i, i + 1)))
    top = concat(tops, 0)
    keep = exp_neg(concat(tops[:1] + tops[:-1], 0) - top)
    e = exp_neg(scores - top)
    denom = rint(e * F32(nm.PROB_ONE)).sum()
    v_max, r = _value_weights(scales.reshape(blocks, n))
    part = (
        _weighted(rint(e * r).reshape(blocks, 1, n), codes.reshape(blocks, n, c)).reshape(blocks, c) * v_max
    )
    sums = concat([part, denom], 1)  # [blocks, C + 1]: the sum and its denominator
    acc = sums.rows(0, 1)
    for i in range(1, blocks):
        acc = acc * keep.rows(i, i + 1) + sums.rows(i, i + 1)
    acc = acc.reshape(c + 1, 1)
    return (acc.rows(0, c) * b.unfused(1.0 / acc.rows(c, c + 1))).reshape(1, c)


@primitive
def keyed_read(q: Value, q_scale: Value, keys: Value, scales: Value, values: Value, usage: Value) -> Value:
    """As :func:`memory_read`: all blocks side by side, an empty slot like those that fill up the last one."""
    (slots, c), b = keys.shape, q.builder
    n = min(nm.READ_BLOCK, slots)
    blocks = -(-slots // n)
    there = (b.constant(np.zeros(1, np.int32)) < usage).reshape(1, slots)
    scores = where(there, memory_scores(q, q_scale, keys, scales), NEVER).reshape(slots)
    if blocks * n > slots:
        values = concat([values, b.constant(np.zeros((blocks * n - slots, c), np.int8))], 0)
        scores = concat([scores, b.constant(np.full(blocks * n - slots, NEVER, F32))], 0)
    scores = scores.reshape(blocks, n)
    peaks = scores.max()  # [blocks, 1]
    tops = [peaks.rows(0, 1)]
    for i in range(1, blocks):
        tops.append(maximum(tops[-1], peaks.rows(i, i + 1)))
    top = concat(tops, 0)
    keep = exp_neg(concat(tops[:1] + tops[:-1], 0) - top)
    w = where(scores < NEVER * F32(0.5), 0.0, rint(exp_neg(scores - top) * F32(nm.PROB_ONE)))
    part = _weighted(w.reshape(blocks, 1, n), values.reshape(blocks, n, c)).reshape(blocks, c)
    sums = concat([part, w.sum()], 1)  # [blocks, C + 1]: the sum and its denominator
    acc = sums.rows(0, 1)
    for i in range(1, blocks):
        acc = acc * keep.rows(i, i + 1) + sums.rows(i, i + 1)
    acc = acc.reshape(c + 1, 1)
    total = acc.rows(c, c + 1)
    inverse = where(total.eq(0), 0.0, 1.0 / total)
    return (acc.rows(0, c) * b.unfused(inverse)).reshape(1, c)


@primitive
def keyed_slot(
    key: Value, scale: Value, keys: Value, scales: Value, usage: Value, fixed: int, match: np.float32
) -> Value:
    """int32 [1]. Of equals the first: the largest of the numbers that count down."""
    (k, c), b = keys.shape, key.builder
    down, free = b.constant(np.arange(k, 0, -1, dtype=np.int32)[None]), _free(b, k, fixed)
    used = usage.reshape(1, k)
    dots = matmul(key.astype("float32"), keys.astype("float32"), transpose_b=True)
    cosines = dots * (scales.reshape(1, k) * (scale * (F32(1) / F32(c))))
    cosines = where(both(free, b.constant(np.zeros((1, 1), np.int32)) < used), cosines, NEVER)
    best = cosines.max()
    wear = where(free, used.astype("float32") * -1.0, NEVER)  # at most 2**24: exact
    like = where(cosines.eq(best), down, 0).astype("float32").max()
    least = where(wear.eq(wear.max()), down, 0).astype("float32").max()
    chosen = where(best < match, least, like).astype("int32")
    return (b.constant(np.full((1, 1), k, np.int32)) - chosen).reshape(1)


def keyed_usage(usage: Value, slot: Value, fixed: int) -> Value:
    k, b = usage.shape[0], usage.builder
    ages = both(_free(b, k, fixed).reshape(k), b.constant(np.ones(1, np.int32)) < usage)
    aged = where(ages, usage - 1, usage)
    return set_row(aged, slot, b.constant(np.full(1, nm.USAGE_ONE, np.int32)))


def _free(b: Builder, slots: int, fixed: int) -> Value:
    """Slots that may be written: bool [1, K]."""
    return b.constant(np.full((1, 1), fixed - 1, np.int32)) < b.constant(
        np.arange(slots, dtype=np.int32)[None]
    )


def set_row(rows: Value, i: Value, row: Value) -> Value:
    return rows.with_row(i, row.reshape(1, *rows.shape[1:]))


def codes_of(high: Value, low: Value) -> Value:
    """16-bit codes, in float32."""
    return codes16(high, low)


@primitive
def address(scores: Value) -> tuple[Value, Value]:
    """[1, K] -> weights int32 [1, K] in [0, 255], their sum int32 [1, 1]."""
    w = rint(exp_neg(scores - scores.max()) * 255.0).astype("int32")
    return w, w.sum()


@primitive
def memory_scores(q: Value, q_scale: Value, codes: Value, scales: Value) -> Value:
    dots = matmul(q.astype("float32"), codes.astype("float32"), transpose_b=True)
    return dots * (scales.reshape(1, codes.shape[0]) * (q_scale * nm.inv_sqrt(q.shape[-1])))


def write_rows(
    codes: Value, scales: Value, w: Value, total: Value, q: Value, rate: np.float32, bounded: bool
) -> tuple[Value, Value]:
    """Every slot is computed; one of weight 0 keeps what it holds."""
    k = codes.shape[0]
    share = (w.astype("float32") / total.astype("float32")).reshape(k, 1) * rate
    m = codes * scales.reshape(k, 1)
    new_codes, new_scales = quantize16(m + share * (q - m if bounded else q))
    untouched = w.eq(0).reshape(k, 1)
    return where(untouched, codes, new_codes), where(untouched, scales.reshape(k, 1), new_scales).reshape(k)


def share_q24(w: Value, total: Value) -> Value:
    """int32 [K]."""
    return _share_q24(w, total).reshape(w.shape[-1])


@primitive
def _share_q24(w: Value, total: Value) -> Value:
    """(w << 24) // total for 0 <= w <= total, all int32: long division, a few bits at a time."""
    bits = 31 - int(255 * w.shape[-1]).bit_length()  # total <= 255 K
    quotient, rest, done = w * 0, w, 0
    while done < 24:
        step = min(bits, 24 - done)
        rest = rest * (1 << step)
        digit = rest // total
        quotient, rest, done = quotient * (1 << step) + digit, rest - digit * total, done + step
    return quotient


def codes16(high: Value, low: Value) -> Value:
    """16-bit codes, in float32."""
    return high.astype("float32") * 256.0 + low.astype("float32")


def planes(codes: Value) -> tuple[Value, Value]:
    high = high_bytes(codes)
    return high.astype("int8"), (codes - high * 256.0).astype("int8")


def high_bytes(codes: Value) -> Value:
    """16-bit codes in float32 -> their rounded high bytes, also float32: floor((c + 128) / 256)."""
    return floor((codes + 128.0) * F32(1 / 256))


def pool_2x2(x: Value) -> Value:
    count, width = x.shape
    g = round(count**0.5)
    b = x.builder

    def at(r, c):
        return np.arange(count, dtype=np.int32).reshape(g // 2, 2, g // 2, 2)[:, r, :, c].ravel()

    a = {(r, c): x.row(b.constant(at(r, c))) for r in (0, 1) for c in (0, 1)}
    return ((a[0, 0] + a[0, 1]) + (a[1, 0] + a[1, 1])) * 0.25


def ink(patches: Value) -> Value:
    """[1, n]"""
    n, width = patches.shape
    g, row = math.isqrt(n), width // nm.PATCH
    order = np.arange(n * nm.PATCH, dtype=np.int32).reshape(g, g, nm.PATCH).swapaxes(1, 2).ravel()
    rows = patches.reshape(n * nm.PATCH, row).row(patches.builder.constant(order))
    return flat(rows * F32(-1) + F32(1))


def convolve(name: str, codes: Value, side: int) -> Value:
    cells, b = codes.reshape(side * side, codes.shape[-1] // side**2), codes.builder
    outside = b.constant(np.zeros((1, cells.shape[1]), np.int8))
    seen = concat([cells, outside], 0).row(b.constant(nm.windows(side).ravel()))
    return gemv(name, seen.reshape(side * side, 9 * cells.shape[1]))


def max_pool(acc: Value) -> Value:
    n, channels = acc.shape
    return acc.reshape(n // 4, 4, channels).max(1).reshape(n // 4, channels)


def flat(v: Value) -> Value:
    return v.reshape(1, v.shape[0] * v.shape[1])
