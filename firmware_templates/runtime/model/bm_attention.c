/* SPDX-License-Identifier: MIT-0 */
/* Softmax attention over an int8 cache (numerics.py: attend). Every sum is an integer sum. */
#include "bm_kernels.h"
#include "bm_numerics.h"

/* Largest value scale of n slots, and what folds it into integer weights: 2^14 / top (0 if all are tiny). */
static float value_weight(const float *v_scale, uint32_t n, float *top)
{
    *top = bm_max_abs(v_scale, n);
    if (*top < BM_TINY) {
        *top = 0.0f;
        return 0.0f;
    }
    return (float)BM_PROB_ONE / *top;
}

/* dots -> integer weights in w; returns the denominator. Bound: 2^14 n < 2^31. */
static int32_t soft_weights(
    const bm_cache *kv, uint32_t n, float q_scale, float fold, float *scores, int32_t *w)
{
    const float top = bm_scores(w, kv->k_scale, q_scale, n, scores);
    return bm_soft_weights(scores, top, kv->v_scale, fold, n, w);
}

BM_WEAK void bm_dots_heads(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len,
    uint32_t heads, int32_t *y, uint32_t apart)
{
    for (; heads; heads--, a += len, q += len, y += apart) bm_dots_s8(a, stride, q, n, len, y);
}

BM_WEAK void bm_wsum_heads(const int32_t *w, uint32_t apart, const int8_t *v, uint32_t stride, uint32_t n,
    uint32_t len, uint32_t heads, int32_t *y)
{
    for (; heads; heads--, w += apart, v += len, y += len) bm_wsum_s8(w, v, stride, n, len, y);
}

#define COLUMNS 128u /* of weighted values at a time: they keep the stack small */
#define TOGETHER 8u  /* heads at most */

/* Weighted values of `heads` heads, or of one that is wider than COLUMNS, in pieces. */
static void weighted_values(const bm_scratch *scratch, const int8_t *v, uint32_t stride, uint32_t n,
    uint32_t len, uint32_t heads, const float *scale, float *out)
{
    BM_ALIGNED int32_t acc[COLUMNS];
    for (uint32_t k = 0; k < len; k += COLUMNS) {
        const uint32_t piece = len - k < COLUMNS ? len - k : COLUMNS;
        bm_wsum_heads(scratch->weights, scratch->apart, v + k, stride, n, piece, heads, acc);
        for (uint32_t h = 0; h < heads; h++)
            bm_scale_acc(acc + h * piece, scale[h], piece, out + h * len + k);
    }
}

/* Heads that fit: side by side in the cache, so not where some share their keys and values. */
static uint32_t together(const bm_scratch *scratch, uint32_t group, uint32_t head_dim, uint32_t heads)
{
    uint32_t most = COLUMNS / head_dim < TOGETHER ? COLUMNS / head_dim : TOGETHER;
    most = most < scratch->heads ? most : scratch->heads;
    most = most < heads ? most : heads;
    return group == 1u && most ? most : 1u;
}

void bm_attend(const bm_cache *kv, uint32_t n, const int8_t *q, float q_scale, uint32_t n_heads,
    uint32_t head_dim, uint32_t first_head, uint32_t end_head, const bm_scratch *scratch, float *out)
{
    const uint32_t stride = BM_CACHE_ROW(kv->width), group = n_heads * head_dim / kv->width;
    const float scaled = q_scale * bm_inv_sqrt(head_dim);
    float top, scale[TOGETHER];
    const float fold = value_weight(kv->v_scale, n, &top);
    for (uint32_t h = first_head, heads; h < end_head; h += heads) {
        const uint32_t at = h * head_dim, shared = h / group * head_dim;
        heads = together(scratch, group, head_dim, end_head - h);
        bm_dots_heads(kv->k + shared, stride, q + at, n, head_dim, heads, scratch->weights, scratch->apart);
        for (uint32_t i = 0; i < heads; i++)
            scale[i] = top / (float)soft_weights(
                                 kv, n, scaled, fold, scratch->scores, scratch->weights + i * scratch->apart);
        weighted_values(scratch, kv->v + shared, stride, n, head_dim, heads, scale, out + at);
    }
}
