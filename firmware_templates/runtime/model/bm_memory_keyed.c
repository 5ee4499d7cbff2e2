/* SPDX-License-Identifier: MIT-0 */
/* The keyed memory: keys apart from values, slots by use (numerics.py: keyed_read, keyed_slot, keyed_usage). */
#include <string.h>

#include "bm_kernels.h"
#include "bm_memory_internal.h"

#define NEVER (-1e30f) /* the score of an empty slot: its exponential rounds to weight 0 */

/* Scores of a block in place of its dots, NEVER where a slot is empty; whether any is in use. top: the largest. */
static int score_slots(
    const bm_block_rows *rows, const int32_t *dots, float scaled, float *scores, float *top)
{
    int any = 0;
    bm_scores(dots, rows->scales, scaled, rows->n, scores);
    for (uint32_t i = 0; i < rows->n; i++) {
        if (!rows->usage[i]) scores[i] = NEVER;
        else if (!any++ || scores[i] > *top) *top = scores[i];
    }
    return any;
}

/* A value's scale is 1, since the norm after the read divides by the length anyway. */
static int ask_block(
    bm_reading *r, const bm_block_rows *rows, uint32_t width, const int8_t *q, float scaled, int first)
{
    float scores[BM_READ_BLOCK], ones[BM_READ_BLOCK], peak = 0.0f;
    int32_t w[BM_READ_BLOCK];
    bm_dots_s8(rows->high, BM_PAD(width), q, rows->n, width, w);
    if (!score_slots(rows, w, scaled, scores, &peak)) return 0;
    bm_rescale(r, peak, width, first);
    for (uint32_t i = 0; i < rows->n; i++) ones[i] = 1.0f;
    r->denominator = r->denominator +
                     (float)bm_soft_weights(scores, r->top, ones, (float)BM_PROB_ONE, rows->n, w);
    bm_add_rows(w, rows->low, BM_PAD(width), rows->n, width, 1.0f, r->sum);
    return 1;
}

bm_status bm_memory_ask(const bm_memory *m, const int8_t *q, float q_scale, float *out)
{
    bm_reading r = {0.0f, 0.0f, out};
    const float scaled = q_scale * bm_inv_sqrt(m->width);
    int any = 0;
    bm_block_rows rows;
    memset(out, 0, m->width * sizeof *out);
    for (uint32_t block = 0; block < bm_memory_blocks(m); block++) {
        const bm_status status = m->rows.get(m->rows.context, block, BM_TIER_READ_ALL, &rows);
        if (status != BM_OK) return status;
        any |= ask_block(&r, &rows, m->width, q, scaled, !any);
    }
    if (!any) return BM_OK;
    const float inverse = 1.0f / r.denominator;
    for (uint32_t k = 0; k < m->width; k++) out[k] = out[k] * inverse;
    return BM_OK;
}

typedef struct {
    float best; /* the largest cosine, of slot `like` */
    uint32_t like, least, usage; /* usage: that of slot `least` */
    int any; /* one was compared */
} search;

static void search_block(search *f, const bm_keep_rule *rule, const bm_block_rows *rows, uint32_t first,
    const int32_t *dots, float scaled)
{
    for (uint32_t i = 0; i < rows->n; i++) {
        const float cosine = (float)dots[i] * (rows->scales[i] * scaled);
        if (first + i < rule->fixed) continue;
        if (rows->usage[i] < f->usage) {
            f->usage = rows->usage[i];
            f->least = first + i;
        }
        if (rows->usage[i] && (!f->any++ || cosine > f->best)) {
            f->best = cosine;
            f->like = first + i;
        }
    }
}

bm_status bm_memory_slot(
    const bm_memory *m, const bm_keep_rule *rule, const int8_t *key, float key_scale, uint32_t *slot)
{
    search f = {0.0f, 0, 0, 0xFFFFFFFFu, 0};
    const float scaled = key_scale * (1.0f / (float)m->width);
    int32_t dots[BM_READ_BLOCK];
    bm_block_rows rows;
    for (uint32_t block = 0; block < bm_memory_blocks(m); block++) {
        const bm_status status = m->rows.get(m->rows.context, block, BM_TIER_READ, &rows);
        if (status != BM_OK) return status;
        bm_dots_s8(rows.high, BM_PAD(m->width), key, rows.n, m->width, dots);
        search_block(&f, rule, &rows, block * BM_READ_BLOCK, dots, scaled);
    }
    *slot = f.any && f.best >= rule->match ? f.like : f.least;
    return BM_OK;
}

/* The slot written has all of the usage, every other one in use one less: the least used was written longest ago. */
static void age(const bm_keep_rule *rule, const bm_block_rows *rows, uint32_t first, uint32_t slot)
{
    for (uint32_t i = 0; i < rows->n; i++) {
        if (first + i == slot) rows->usage[i] = BM_USAGE_ONE;
        else if (first + i >= rule->fixed && rows->usage[i] > 1u) rows->usage[i]--;
    }
}

/* Put a key and a value into row i; whether they are others than there were. */
static int put_codes(
    const bm_block_rows *rows, uint32_t i, uint32_t width, const int8_t *key, const int8_t *value)
{
    int8_t *high = rows->high + i * BM_PAD(width), *low = rows->low + i * BM_PAD(width);
    if (memcmp(high, key, width) == 0 && memcmp(low, value, width) == 0) return 0;
    memcpy(high, key, width);
    memcpy(low, value, width);
    return 1;
}

bm_status bm_memory_keep(const bm_memory *m, const bm_keep_rule *rule, const int8_t *key, float key_scale,
    const int8_t *value, void (*kept)(void *context, uint32_t slot), void *context)
{
    uint32_t slot;
    bm_block_rows rows;
    bm_status status = bm_memory_slot(m, rule, key, key_scale, &slot);
    if (status != BM_OK) return status;
    if (kept) kept(context, slot);
    status = m->rows.begin(m->rows.context);
    for (uint32_t block = 0; block < bm_memory_blocks(m) && status == BM_OK; block++) {
        status = m->rows.get(m->rows.context, block, BM_TIER_CHANGE, &rows);
        if (status != BM_OK) return status;
        const uint32_t i = slot % BM_READ_BLOCK;
        int changed = 0;
        if (slot / BM_READ_BLOCK == block) {
            changed = put_codes(&rows, i, m->width, key, value);
            rows.scales[i] = key_scale;
        }
        age(rule, &rows, block * BM_READ_BLOCK, slot);
        status = m->rows.put(m->rows.context, block, changed);
    }
    return status == BM_OK ? m->rows.commit(m->rows.context) : status;
}
