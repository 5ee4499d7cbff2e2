/* SPDX-License-Identifier: MIT-0 */
/* The transformer block, fusion and memory conditioning: what the generated step calls.
 * Names and order as in bitmar_tiny/golden/model.py.
 */
#include "bm_internal.h"

#include <string.h>

typedef struct {
    const uint8_t *w;
    const int8_t *codes;
    int32_t *acc;
    uint32_t rows, width;
    int32_t sum;
} product;

bm_rows bm_part_rows(uint32_t rows, uint32_t part, uint32_t parts)
{
    const uint32_t groups = BM_PACKED_ROWS(rows) / BM_ROW_GROUP;
    const uint32_t last = groups * (part + 1u) / parts * BM_ROW_GROUP;
    const bm_rows r = {groups * part / parts * BM_ROW_GROUP, last < rows ? last : rows};
    return r;
}

static void product_part(void *job, uint32_t part, uint32_t parts)
{
    const product *p = job;
    const bm_rows r = bm_part_rows(p->rows, part, parts);
    const uint8_t *w = p->w + (size_t)r.first * BM_ROW_BYTES(p->width);
    if (r.first < r.end) bm_gemv_t2s8(w, p->codes, p->sum, r.end - r.first, p->width, p->acc + r.first);
}

void bm_product(bm_state *s, const uint8_t *w, uint32_t rows, uint32_t width, const int8_t *codes,
    int32_t sum, int32_t *acc)
{
    product p = {w, codes, acc, rows, width, sum};
    if (s->split && rows * width >= BM_SPLIT_WEIGHTS) s->split(product_part, &p);
    else bm_gemv_t2s8(w, codes, sum, rows, width, acc);
}

void bm_linear(bm_state *s, uint32_t w, uint32_t rows, uint32_t width, const int8_t *codes, int32_t sum)
{
    BM_MARK(s, BM_PART_OTHER);
    bm_product(s, bm_at(s, w), rows, width, codes, sum, s->acc);
    BM_MARK(s, BM_PART_GEMV);
}

void bm_embed(bm_state *s, uint32_t token)
{
    const float scale = BM_F32(s, BM_OFF_TOKEN_SCALES)[token];
#if BM_TOKEN_BITS == 4
    const uint8_t *pairs = bm_at(s, BM_OFF_TOKEN_CODES) + (size_t)token * ((BM_D + 1u) / 2u);
    for (uint32_t k = 0; k < BM_D; k++) s->codes[k] = (int8_t)((pairs[k / 2u] >> (k % 2u * 4u) & 15) - 8);
    bm_row(s->codes, scale, BM_D, s->x);
#else
    bm_row(BM_I8(s, BM_OFF_TOKEN_CODES) + (size_t)token * BM_D, scale, BM_D, s->x);
#endif
}

/* Physical slot of token t: sinks stay, the window is a ring (paper 3.1). */
static uint32_t ring_slot(uint32_t t) { return t < BM_SINKS ? t : BM_SINKS + (t - BM_SINKS) % BM_WINDOW; }

bm_cache bm_cache_at(bm_state *s, uint32_t place, uint32_t slots)
{
    const uint32_t plane = slots * BM_CACHE_ROW(BM_KV_WIDTH);
    bm_cache kv;
    kv.k = (int8_t *)(void *)bm_arena_at(s, place);
    kv.v = kv.k + plane;
    kv.k_scale = (float *)(void *)(kv.v + plane);
    kv.v_scale = kv.k_scale + slots;
    kv.width = BM_KV_WIDTH;
    return kv;
}

float bm_cache_row(bm_state *s, const int32_t *acc, float scale, int8_t *row)
{
    bm_scale_acc(acc, scale, BM_KV_WIDTH, s->vec);
    const float row_scale = bm_quantize(s->vec, BM_KV_WIDTH, s->q).scale;
    memcpy(row, s->q, BM_KV_WIDTH);
    return row_scale;
}

/* acc [D + 2 KV_WIDTH] -> q codes in s->q, k and v codes straight into their cache slot. Returns q's scale. */
static float split_qkv(
    bm_state *s, const bm_layer *layer, const bm_cache *kv, uint32_t i, float norm, uint32_t tap)
{
    const float *scale = BM_F32(s, layer->scales);
    int8_t *k = kv->k + i * BM_CACHE_ROW(kv->width), *v = kv->v + i * BM_CACHE_ROW(kv->width);
    float scales[3];
    scales[1] = kv->k_scale[i] = bm_cache_row(s, s->acc + BM_D, norm * scale[1], k);
    scales[2] = kv->v_scale[i] = bm_cache_row(s, s->acc + BM_D + kv->width, norm * scale[2], v);
    bm_scale_acc(s->acc, norm * scale[0], BM_D, s->vec);
    scales[0] = bm_quantize(s->vec, BM_D, s->q).scale;
    BM_TAP(s, tap + BM_TAP_Q_CODES, s->q, BM_D);
    BM_TAP(s, tap + BM_TAP_K_CODES, k, kv->width);
    BM_TAP(s, tap + BM_TAP_V_CODES, v, kv->width);
    BM_TAP(s, tap + BM_TAP_QKV_SCALES, scales, 3u);
    return scales[0];
}

static void tap_cache(bm_state *s, const bm_cache *kv, uint32_t tap)
{
    BM_TAP_ROWS(s, tap + BM_TAP_CACHE_K, kv->k, BM_CONTEXT, kv->width, BM_CACHE_ROW(kv->width));
    BM_TAP(s, tap + BM_TAP_CACHE_K_SCALE, kv->k_scale, BM_CONTEXT);
    BM_TAP_ROWS(s, tap + BM_TAP_CACHE_V, kv->v, BM_CONTEXT, kv->width, BM_CACHE_ROW(kv->width));
    BM_TAP(s, tap + BM_TAP_CACHE_V_SCALE, kv->v_scale, BM_CONTEXT);
    (void)s;
    (void)kv;
}

typedef struct {
    bm_state *s;
    const bm_cache *kv;
    uint32_t n;
    float q_scale;
} attention;

/* Some of the heads, with a scratch of its own. */
static void attend_part(void *job, uint32_t part, uint32_t parts)
{
    const attention *a = job;
    const uint32_t most = BM_THREADS < BM_HEADS ? BM_THREADS : BM_HEADS, shares = parts < most ? parts : most;
    if (part >= shares) return;
    const bm_scratch scratch = {a->s->scores + part * BM_SCORES,
        a->s->weights + most / shares * part * BM_SCORES, most / shares, BM_SCORES};
    bm_attend(a->kv, a->n, a->s->q, a->q_scale, BM_HEADS, BM_HEAD_DIM, BM_HEADS * part / shares,
        BM_HEADS * (part + 1u) / shares, &scratch, a->s->out);
}

/* s->out = attention of the query in s->q over n slots, by all threads there are if it is worth it. */
static void attend(bm_state *s, const bm_cache *kv, uint32_t n, float q_scale)
{
    attention a = {s, kv, n, q_scale};
    if (s->split && n * BM_D >= BM_SPLIT_KEYS) s->split(attend_part, &a);
    else attend_part(&a, 0, 1);
}

void bm_block(bm_state *s, const bm_layer *layer, uint32_t tap)
{
    const float *scale = BM_F32(s, layer->scales);
    const bm_cache kv = bm_cache_at(s, layer->kv, BM_CONTEXT);
    const uint32_t used = s->t + 1u < BM_CONTEXT ? s->t + 1u : BM_CONTEXT;

    /* attention: x += W_o attend(norm(x)) */
    bm_q8 h = bm_norm_quantize(s->x, BM_F32(s, layer->attn_norm), BM_D, s->codes);
    BM_TAP(s, tap + BM_TAP_ATTN_CODES, s->codes, BM_D);
    bm_linear(s, layer->wqkv, BM_D + 2u * BM_KV_WIDTH, BM_D, s->codes, h.sum);
    BM_TAP(s, tap + BM_TAP_QKV_ACC, s->acc, BM_D + 2u * BM_KV_WIDTH);
    const float q_scale = split_qkv(s, layer, &kv, ring_slot(s->t), h.scale, tap);
    tap_cache(s, &kv, tap);
    BM_MARK(s, BM_PART_OTHER);
    attend(s, &kv, used, q_scale);
    BM_MARK(s, BM_PART_ATTENTION);
    BM_TAP(s, tap + BM_TAP_ATTN_OUT, s->out, BM_D);
    h = bm_norm_quantize(s->out, NULL, BM_D, s->codes);
    bm_linear(s, layer->wo, BM_D, BM_D, s->codes, h.sum);
    bm_add_scaled(s->acc, h.scale * scale[3], BM_D, s->x);
    BM_TAP(s, tap + BM_TAP_ATTN_X, s->x, BM_D);

    /* feed-forward: x += W_2 act(W_1 norm(x)); the scale of W_1 cancels in the hidden norm */
    h = bm_norm_quantize(s->x, BM_F32(s, layer->ffn_norm), BM_D, s->codes);
    BM_TAP(s, tap + BM_TAP_FFN_CODES, s->codes, BM_D);
    bm_linear(s, layer->w1, BM_FFN, BM_D, s->codes, h.sum);
    BM_TAP(s, tap + BM_TAP_FFN_ACC, s->acc, BM_FFN);
    h = bm_act_quantize(s->acc, BM_RELU2, BM_FFN, s->hidden);
    BM_TAP(s, tap + BM_TAP_FFN_HIDDEN, s->hidden, BM_FFN);
    bm_linear(s, layer->w2, BM_D, BM_FFN, s->hidden, h.sum);
    bm_add_scaled(s->acc, h.scale * scale[4], BM_D, s->x);
    BM_TAP(s, tap + BM_TAP_FFN_X, s->x, BM_D);
}

static void fusion_layer(bm_state *s, const bm_fusion *layer)
{
    const float *scale = BM_F32(s, layer->scales);
    const bm_cache image = bm_cache_at(s, layer->image, BM_IMAGE_TOKENS);
    bm_q8 h = bm_norm_quantize(s->fused, BM_F32(s, layer->norm), BM_D, s->codes);
    BM_TAP(s, layer->tap + BM_TAP_FUSION_CODES, s->codes, BM_D);
    bm_linear(s, layer->wq, BM_D, BM_D, s->codes, h.sum);
    bm_scale_acc(s->acc, h.scale * scale[0], BM_D, s->vec);
    const float q_scale = bm_quantize(s->vec, BM_D, s->q).scale;
    BM_TAP(s, layer->tap + BM_TAP_FUSION_Q_CODES, s->q, BM_D);
    attend(s, &image, BM_IMAGE_TOKENS, q_scale);
    BM_TAP(s, layer->tap + BM_TAP_FUSION_OUT, s->out, BM_D);
    h = bm_norm_quantize(s->out, NULL, BM_D, s->codes);
    bm_linear(s, layer->wo, BM_D, BM_D, s->codes, h.sum);
    bm_add_scaled(s->acc, h.scale * scale[3], BM_D, s->fused);
    BM_TAP(s, layer->tap + BM_TAP_FUSION_X, s->fused, BM_D);
}

void bm_fuse(bm_state *s)
{
    for (uint32_t i = 0; i < BM_D; i++) s->fused[i] = s->x[i];
    for (uint32_t i = 0; s->has_image && i < BM_FUSION_LAYERS; i++) fusion_layer(s, &bm_fusion_layers[i]);
    BM_TAP(s, BM_TAP_FUSED, s->fused, BM_D);
}

void bm_pool(bm_state *s)
{
    bm_norm_quantize(s->fused, BM_F32(s, BM_OFF_MEMORY_NORM), BM_D, s->codes);
    BM_TAP(s, BM_TAP_POOL_CODES, s->codes, BM_D);
    if (s->t < BM_POOL_MAX)
        for (uint32_t i = 0; i < BM_D; i++) s->pooled[i] += s->codes[i];
    BM_TAP(s, BM_TAP_POOL_SUM, s->pooled, BM_D);
}

bm_q8 bm_query(bm_state *s)
{
    bm_scale_acc(s->pooled, 1.0f, BM_D, s->vec);
    return bm_norm_quantize(s->vec, NULL, BM_D, s->q);
}

#if BM_KEYED
const int32_t *bm_source(const bm_state *s) { return s->has_image ? s->seen : s->pooled; }

bm_q8 bm_project(bm_state *s, const int32_t *sums, uint32_t w, uint32_t scale, uint32_t tap, int8_t *codes)
{
    bm_scale_acc(sums, 1.0f, BM_D, s->vec);
    const bm_q8 h = bm_norm_quantize(s->vec, NULL, BM_D, s->codes);
    BM_TAP(s, tap, s->codes, BM_D);
    bm_linear(s, w, BM_D, BM_D, s->codes, h.sum);
    BM_TAP(s, tap + 1u, s->acc, BM_D);
    bm_scale_acc(s->acc, h.scale * BM_F32(s, scale)[0], BM_D, s->vec);
    const bm_q8 projected = bm_norm_quantize(s->vec, NULL, BM_D, codes);
    BM_TAP(s, tap + 2u, codes, BM_D);
    return projected;
}

/* s->out = what lies under the keys that are like the query. */
static bm_status ask_memory(bm_state *s)
{
    const bm_q8 q = bm_project(
        s, bm_source(s), BM_OFF_MEMORY_WK, BM_OFF_MEMORY_WK_SCALE, BM_TAP_READ_SOURCE, s->q);
    BM_MARK(s, BM_PART_OTHER);
    return bm_memory_ask(&s->memory, s->q, q.scale * BM_F32(s, BM_OFF_MEMORY_SHARPNESS)[0], s->out);
}
#else
static bm_status ask_memory(bm_state *s)
{
    const bm_q8 q = bm_query(s);
    BM_TAP(s, BM_TAP_READ_QUERY, s->q, BM_D);
    BM_MARK(s, BM_PART_OTHER);
    return bm_memory_read(&s->memory, s->q, q.scale, s->out);
}
#endif

bm_status bm_read(bm_state *s, bm_q8 *r)
{
    const bm_status status = ask_memory(s);
    BM_MARK(s, BM_PART_MEMORY);
    if (status != BM_OK) return status;
    BM_TAP(s, BM_TAP_READ_VECTOR, s->out, BM_D);
    *r = bm_norm_quantize(s->out, NULL, BM_D, s->codes);
    return BM_OK;
}

void bm_condition(bm_state *s, uint32_t layer, uint32_t wm, uint32_t scale, bm_q8 r, uint32_t tap)
{
    float *cond = s->cond + layer * BM_D;
    bm_linear(s, wm, BM_D, BM_D, s->codes, r.sum);
    bm_scale_acc(s->acc, r.scale * BM_F32(s, scale)[0], BM_D, cond);
    BM_TAP(s, tap, cond, BM_D);
}
