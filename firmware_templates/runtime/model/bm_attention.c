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

/* Weighted values of one head, in pieces that keep the stack small. */
static void weighted_values(
    const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, float scale, float *out)
{
    int32_t acc[64];
    for (uint32_t k = 0; k < len; k += 64u) {
        const uint32_t piece = len - k < 64u ? len - k : 64u;
        bm_wsum_s8(w, v + k, stride, n, piece, acc);
        bm_scale_acc(acc, scale, piece, out + k);
    }
}

void bm_attend(const bm_cache *kv, uint32_t n, const int8_t *q, float q_scale, uint32_t n_heads,
    uint32_t head_dim, uint32_t first_head, uint32_t end_head, float *scratch_e, int32_t *scratch_w,
    float *out)
{
    const uint32_t stride = BM_CACHE_ROW(kv->width), group = n_heads * head_dim / kv->width;
    const float scaled = q_scale * bm_inv_sqrt(head_dim);
    float top;
    const float fold = value_weight(kv->v_scale, n, &top);
    for (uint32_t h = first_head; h < end_head; h++) {
        const uint32_t at = h * head_dim, shared = h / group * head_dim;
        bm_dots_s8(kv->k + shared, stride, q + at, n, head_dim, scratch_w);
        const int32_t denominator = soft_weights(kv, n, scaled, fold, scratch_e, scratch_w);
        weighted_values(scratch_w, kv->v + shared, stride, n, head_dim, top / (float)denominator, out + at);
    }
}
