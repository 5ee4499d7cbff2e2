/* SPDX-License-Identifier: MIT-0 */
/* What the Arm kernel families share. */
#ifndef BM_NEON_H
#define BM_NEON_H

#include <arm_neon.h>

#include "bm_rest.h"

/* 16 columns; w <= 2^14 fits 16 bits. Bound: 2^14 * 127 * n < 2^31 for n <= 1032. */
static inline void bm_wsum16(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y)
{
    int32x4_t a = vdupq_n_s32(0), b = a, c = a, d = a;
    for (uint32_t i = 0; i < n; i++, v += stride) {
        const int8x16_t row = vld1q_s8(v);
        const int16x8_t low = vmovl_s8(vget_low_s8(row)), high = vmovl_high_s8(row);
        const int16_t weight = (int16_t)w[i];
        a = vmlal_n_s16(a, vget_low_s16(low), weight);
        b = vmlal_high_n_s16(b, low, weight);
        c = vmlal_n_s16(c, vget_low_s16(high), weight);
        d = vmlal_high_n_s16(d, high, weight);
    }
    vst1q_s32(y, a);
    vst1q_s32(y + 4, b);
    vst1q_s32(y + 8, c);
    vst1q_s32(y + 12, d);
}

static inline void bm_wsum(
    const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + 16u <= len; k += 16u) bm_wsum16(w, v + k, stride, n, y + k);
    bm_wsum_rest(w, v, stride, n, k, len, y);
}

/* len a multiple of 16: four partial sums of a . b. Bound: 127^2 * 4096 < 2^27. Without the dot product a pair of
 * products reaches 2 * 127^2 = 32258 <= 32767, since no code is -128; then it is widened. */
static inline int32x4_t bm_lanes(const int8_t *a, const int8_t *b, uint32_t len)
{
    int32x4_t acc = vdupq_n_s32(0);
    for (uint32_t k = 0; k < len; k += 16u) {
        const int8x16_t va = vld1q_s8(a + k), vb = vld1q_s8(b + k);
#if defined(BM_DOT_PRODUCT)
        acc = vdotq_s32(acc, va, vb);
#else
        acc = vpadalq_s16(acc, vmlal_high_s8(vmull_s8(vget_low_s8(va), vget_low_s8(vb)), va, vb));
#endif
    }
    return acc;
}

static inline int32_t bm_dot(const int8_t *a, const int8_t *b, uint32_t len)
{
    const uint32_t whole = len & ~15u;
    int32_t sum = vaddvq_s32(bm_lanes(a, b, whole));
    for (uint32_t k = whole; k < len; k++) sum += a[k] * b[k];
    return sum;
}

/* Four rows share one tree of horizontal sums; widths that are no multiple of 16 go row by row. */
static inline void bm_dots(
    const int8_t *a, size_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t i = 0;
    for (; len % 16u == 0 && i + 4u <= n; i += 4u, a += 4u * stride) {
        const int32x4_t low = vpaddq_s32(bm_lanes(a, q, len), bm_lanes(a + stride, q, len));
        const int32x4_t high = vpaddq_s32(
            bm_lanes(a + 2u * stride, q, len), bm_lanes(a + 3u * stride, q, len));
        vst1q_s32(y + i, vpaddq_s32(low, high));
    }
    for (; i < n; i++, a += stride) y[i] = bm_dot(a, q, len);
}

#endif
