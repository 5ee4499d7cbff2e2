/* SPDX-License-Identifier: MIT-0 */
/* Episodic memory: read, addressing, write and forgetting (numerics.py: memory_read, address; model.py: end_episode).
 *
 * Reads touch the high bytes of the codes alone. Nothing here is as long as the memory: rows come a block at a time.
 */
#include <string.h>

#include "bm_kernels.h"
#include "bm_memory_internal.h"
#include "bm_numerics.h"

void bm_add_rows(const int32_t *w, const int8_t *rows, uint32_t stride, uint32_t n, uint32_t width,
    float top_scale, float *sum)
{
    int32_t acc[64];
    for (uint32_t k = 0; k < width; k += 64u) {
        const uint32_t piece = width - k < 64u ? width - k : 64u;
        bm_wsum_s8(w, rows + k, stride, n, piece, acc);
        bm_add_scaled(acc, top_scale, piece, sum + k);
    }
}

void bm_rescale(bm_reading *r, float peak, uint32_t width, int first)
{
    if (first) {
        r->top = peak;
    } else if (peak > r->top) {
        const float keep = bm_exp_neg(r->top - peak);
        for (uint32_t k = 0; k < width; k++) r->sum[k] = r->sum[k] * keep;
        r->denominator = r->denominator * keep;
        r->top = peak;
    }
}

static void read_block(bm_reading *r, const int8_t *rows, const float *scales, uint32_t n, uint32_t width,
    const int8_t *q, float q_scale, int first)
{
    float scores[BM_READ_BLOCK], scale[BM_READ_BLOCK], top_scale = 0.0f, fold = 0.0f;
    int32_t w[BM_READ_BLOCK];
    const uint32_t stride = BM_PAD(width);
    bm_dots_s8(rows, stride, q, n, width, w);
    for (uint32_t i = 0; i < n; i++) {
        scale[i] = scales[i] * 256.0f;
        if (scale[i] > top_scale) top_scale = scale[i];
    }
    bm_rescale(r, bm_scores(w, scale, q_scale, n, scores), width, first);
    if (top_scale < BM_TINY) top_scale = 0.0f;
    else fold = (float)BM_PROB_ONE / top_scale;
    r->denominator = r->denominator + (float)bm_soft_weights(scores, r->top, scale, fold, n, w);
    bm_add_rows(w, rows, stride, n, width, top_scale, r->sum);
}

bm_status bm_memory_read(const bm_memory *m, const int8_t *q, float q_scale, float *out)
{
    bm_reading r = {0.0f, 0.0f, out};
    const float scaled = q_scale * bm_inv_sqrt(m->width);
    bm_block_rows rows;
    memset(out, 0, m->width * sizeof *out);
    for (uint32_t block = 0; block < bm_memory_blocks(m); block++) {
        const bm_status status = m->rows.get(m->rows.context, block, BM_TIER_READ, &rows);
        if (status != BM_OK) return status;
        read_block(&r, rows.high, rows.scales, rows.n, m->width, q, scaled, block == 0);
    }
    const float inverse = 1.0f / r.denominator;
    for (uint32_t k = 0; k < m->width; k++) out[k] = out[k] * inverse;
    return BM_OK;
}

/* A softmax as 8-bit integer weights: the largest score, then the sum of the weights, then the weights themselves, each in
 * a pass over all blocks. Bound: 255 n < 2^32 for n <= 2^24. */
typedef struct {
    float top;
    uint32_t total;
} address;

static void address_top(address *a, const float *scores, uint32_t n, int first)
{
    if (first) a->top = scores[0];
    for (uint32_t i = 0; i < n; i++)
        if (scores[i] > a->top) a->top = scores[i];
}

static void address_weights(const address *a, const float *scores, uint32_t n, int32_t *w)
{
    for (uint32_t i = 0; i < n; i++) w[i] = bm_rne(bm_exp_neg(scores[i] - a->top) * 255.0f);
}

static void address_add(address *a, const float *scores, uint32_t n, int32_t *w)
{
    address_weights(a, scores, n, w);
    for (uint32_t i = 0; i < n; i++) a->total += (uint32_t)w[i];
}

typedef struct {
    const bm_memory *m;
    const bm_write_rule *rule;
    const bm_write_source *source;
    const int8_t *q;
    float q_scale, *row;
    address written, recalled;
    bm_block_rows rows;
    float learned[BM_READ_BLOCK], content[BM_READ_BLOCK]; /* scores of the block */
} writing;

/* Both scores of a block; content scores are those of a read. */
static bm_status score_block(writing *e, uint32_t block, uint32_t pass)
{
    int32_t dots[BM_READ_BLOCK];
    const bm_tier *tier = &e->m->rows;
    const bm_status status = tier->get(
        tier->context, block, pass == 2u ? BM_TIER_CHANGE : BM_TIER_READ, &e->rows);
    if (status != BM_OK) return status;
    const float scaled = e->q_scale * bm_inv_sqrt(e->m->width);
    bm_dots_s8(e->rows.high, BM_PAD(e->m->width), e->q, e->rows.n, e->m->width, dots);
    for (uint32_t i = 0; i < e->rows.n; i++)
        e->content[i] = (float)dots[i] * (e->rows.scales[i] * 256.0f * scaled);
    e->source->scores(e->source->context, block * BM_READ_BLOCK, e->rows.n, pass, e->learned);
    return BM_OK;
}

/* row -> 16-bit codes in two planes; returns the new scale. (c + 128) >> 8 by division of a non-negative number,
 * since >> of a negative one is the compiler's choice. */
static float store_row(const float *row, uint32_t width, int8_t *high, int8_t *low)
{
    float top = 0.0f;
    for (uint32_t k = 0; k < width; k++) {
        const float a = row[k] < 0.0f ? -row[k] : row[k];
        if (a > top) top = a;
    }
    const float inv = top < BM_TINY ? 0.0f : (float)BM_CODE16_MAX / top;
    for (uint32_t k = 0; k < width; k++) {
        const int32_t code = bm_rne(row[k] * inv);
        const int32_t h = (code + 128 + 32768) / 256 - 128;
        high[k] = (int8_t)h;
        low[k] = (int8_t)(code - 256 * h);
    }
    return top < BM_TINY ? 0.0f : top / (float)BM_CODE16_MAX;
}

/* Row i of the block: M += rate (q - M), or M += rate q. */
static void update_row(writing *e, uint32_t i, float rate)
{
    const uint32_t width = e->m->width;
    int8_t *high = e->rows.high + i * BM_PAD(width), *low = e->rows.low + i * BM_PAD(width);
    for (uint32_t k = 0; k < width; k++) {
        const float old = (float)(256 * high[k] + low[k]) * e->rows.scales[i];
        const float query = (float)e->q[k] * e->q_scale;
        const float change = rate * (e->rule->outer ? query : query - old);
        e->row[k] = old + change;
    }
    e->rows.scales[i] = store_row(e->row, width, high, low);
}

static bm_status update_block(writing *e, uint32_t block)
{
    int32_t w[BM_READ_BLOCK], r[BM_READ_BLOCK];
    const bm_block_rows *rows = &e->rows;
    int changed = 0;
    address_weights(&e->written, e->learned, rows->n, w);
    address_weights(&e->recalled, e->content, rows->n, r);
    for (uint32_t i = 0; i < rows->n; i++) {
        if (w[i]) update_row(e, i, e->rule->write_rate * ((float)w[i] / (float)e->written.total));
        changed |= w[i] != 0;
        const uint32_t written = ((uint32_t)w[i] << 24) / e->written.total,
                       recalled = ((uint32_t)r[i] << 24) / e->recalled.total;
        const uint32_t used = written > recalled ? written : recalled;
        rows->usage[i] = rows->usage[i] - (rows->usage[i] >> 5) + (used >> 5);
        if (rows->usage[i] < e->rule->forget_below)
            rows->scales[i] = rows->scales[i] * (1.0f - e->rule->forget_rate);
        if (rows->scales[i] < BM_TINY) rows->scales[i] = 0.0f;
    }
    return e->m->rows.put(e->m->rows.context, block, changed);
}

static bm_status work_on(writing *e, uint32_t block, uint32_t pass)
{
    int32_t w[BM_READ_BLOCK];
    const bm_status status = score_block(e, block, pass);
    if (status != BM_OK) return status;
    if (pass == 0) {
        address_top(&e->written, e->learned, e->rows.n, block == 0);
        address_top(&e->recalled, e->content, e->rows.n, block == 0);
    } else if (pass == 1u) {
        address_add(&e->recalled, e->content, e->rows.n, w);
        address_add(&e->written, e->learned, e->rows.n, w);
        if (e->source->weights) e->source->weights(e->source->context, block * BM_READ_BLOCK, e->rows.n, w);
    } else {
        return update_block(e, block);
    }
    return BM_OK;
}

bm_status bm_memory_write(const bm_memory *m, const bm_write_rule *rule, const bm_write_source *source,
    const int8_t *q, float q_scale, float *row)
{
    writing e = {.m = m, .rule = rule, .source = source, .q = q, .q_scale = q_scale, .row = row};
    bm_status status = BM_OK;
    for (uint32_t pass = 0; pass < 3u && status == BM_OK; pass++) {
        if (pass == 2u) status = m->rows.begin(m->rows.context);
        for (uint32_t block = 0; block < bm_memory_blocks(m) && status == BM_OK; block++)
            status = work_on(&e, block, pass);
    }
    return status == BM_OK ? m->rows.commit(m->rows.context) : status;
}

static bm_status rows_get(void *context, uint32_t block, int how, bm_block_rows *rows)
{
    const bm_memory_rows *m = context;
    const uint32_t first = block * BM_READ_BLOCK, left = m->slots - first;
    (void)how;
    rows->high = m->high + (size_t)first * BM_PAD(m->width);
    rows->low = m->low + (size_t)first * BM_PAD(m->width);
    rows->scales = m->scales + first;
    rows->usage = m->usage + first;
    rows->n = left < BM_READ_BLOCK ? left : BM_READ_BLOCK;
    return BM_OK;
}

static bm_status rows_put(void *context, uint32_t block, int rows_changed)
{
    (void)context;
    (void)block;
    (void)rows_changed;
    return BM_OK;
}

static bm_status rows_nothing(void *context)
{
    (void)context;
    return BM_OK;
}

bm_tier bm_tier_of_rows(bm_memory_rows *rows, int read_only)
{
    const bm_tier tier = {
        rows_get, rows_put, read_only ? NULL : rows_nothing, read_only ? NULL : rows_nothing, rows, NULL};
    return tier;
}
