/* SPDX-License-Identifier: MIT-0 */
/* bm_soft_weights (bm_numerics.c) in registers of BM_VECTOR bytes: the very same IEEE operations in the same order for each
 * element, so the same bits. They are a chain of some 30 that depend on each other; several vectors go through it side by
 * side, because the processor sees too few instructions ahead to overlap one vector with the next by itself. */
#ifndef BM_X86_EXP_H
#define BM_X86_EXP_H

#include "bm_numerics.h"

typedef float bm_floats __attribute__((vector_size(BM_VECTOR)));
typedef uint32_t bm_words __attribute__((vector_size(BM_VECTOR)));

#define BM_LANES (BM_VECTOR / 4u)
#define BM_SIDE 4u /* vectors side by side */
#define BM_SOFT (BM_SIDE * BM_LANES)
#define BM_EACH for (uint32_t j = 0; j < BM_SIDE; j++)

#if BM_VECTOR == 64
#define BM_MAX(a, b) ((bm_floats)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define BM_NOW(v) __asm__("" : "+v"(v)) /* compilers would finish one chain before the next */
#else
#define BM_MAX(a, b) ((bm_floats)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define BM_NOW(v) __asm__("" : "+x"(v))
#endif

static inline bm_floats bm_floats_at(const float *p)
{
    bm_floats v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* x = e^x, x <= 0, clamped at -80. */
static inline void bm_exp_vectors(bm_floats x[BM_SIDE])
{
    const bm_floats least = (bm_floats){0} - 80.0f;
    bm_floats power[BM_SIDE], r[BM_SIDE], p[BM_SIDE];
    BM_EACH x[j] = BM_MAX(x[j], least);
    BM_EACH power[j] = x[j] * 1.44269504088896341f + 12582912.0f;
    BM_EACH p[j] = power[j] - 12582912.0f;
    BM_EACH r[j] = x[j] - p[j] * 0.693359375f;
    BM_EACH r[j] = r[j] - p[j] * -2.12194440e-4f;
#define BM_STEP(x) \
    BM_EACH \
    { \
        p[j] = x; \
        BM_NOW(p[j]); \
    }
    BM_STEP(1.9875691500e-4f * r[j] + 1.3981999507e-3f)
    BM_STEP(p[j] * r[j] + 8.3334519073e-3f)
    BM_STEP(p[j] * r[j] + 4.1665795894e-2f)
    BM_STEP(p[j] * r[j] + 1.6666665459e-1f)
    BM_STEP(p[j] * r[j] + 5.0000001201e-1f)
    BM_STEP((p[j] * (r[j] * r[j]) + r[j]) + 1.0f)
    BM_EACH x[j] = p[j] * (bm_floats)(((bm_words)power[j] + (127u - 0x4B400000u)) << 23);
}

/* 768 = 1.5 * 2^23 / 2^14: x + 768 has the mantissa of 2^14 x + 1.5 * 2^23, which rounds as rne does. */
#define BM_SHIFTED 0x44400000u /* 768.0f */

/* Weights of BM_SOFT elements; adds 2^14 x of each, rounded, plus BM_SHIFTED. */
static inline bm_words bm_soft_vectors(
    const float *scores, float top, const float *scale, float fold, int32_t *w, bm_words total)
{
    bm_floats x[BM_SIDE];
    BM_EACH x[j] = bm_floats_at(scores + j * BM_LANES) - top;
    bm_exp_vectors(x);
    BM_EACH
    {
        const bm_floats rounded = x[j] * (bm_floats_at(scale + j * BM_LANES) * fold) + 12582912.0f;
        const bm_words weight = (bm_words)rounded - 0x4B400000u;
        memcpy(w + j * BM_LANES, &weight, sizeof weight);
        total += (bm_words)(x[j] + 768.0f);
    }
    return total;
}

/* The last elements; those behind them are e^0, which counts as 2^14 exactly. */
static inline bm_words bm_soft_last(
    const float *scores, float top, const float *scale, float fold, uint32_t n, int32_t *w, bm_words total)
{
    float s[BM_SOFT], t[BM_SOFT];
    int32_t u[BM_SOFT];
    for (uint32_t i = 0; i < BM_SOFT; i++) {
        s[i] = i < n ? scores[i] : top;
        t[i] = i < n ? scale[i] : 0.0f;
    }
    total = bm_soft_vectors(s, top, t, fold, u, total);
    memcpy(w, u, n * sizeof *w);
    return total;
}

int32_t bm_soft_weights(
    const float *scores, float top, const float *scale, float fold, uint32_t n, int32_t *w)
{
    const uint32_t all = (n + BM_SOFT - 1u) / BM_SOFT * BM_SOFT;
    bm_words total = {0};
    uint32_t i = 0;
    for (; i + BM_SOFT <= n; i += BM_SOFT)
        total = bm_soft_vectors(scores + i, top, scale + i, fold, w + i, total);
    if (i < n) total = bm_soft_last(scores + i, top, scale + i, fold, n - i, w + i, total);
    uint32_t sum = 0u - all * BM_SHIFTED - (all - n) * (uint32_t)BM_PROB_ONE;
    for (uint32_t j = 0; j < BM_LANES; j++) sum += total[j];
    return (int32_t)sum;
}
#endif
