/* SPDX-License-Identifier: MIT-0 */
/* The ternary vocabulary head: its input is the last step's, its integer logits go to a visitor or to the sampler, a piece
 * at a time.
 */
#include "bm_internal.h"

#if BM_HEAD_T5
#include "bm_gemv_t5.h"

#define TABLE(s) ((int16_t *)(void *)bm_arena_at(s, BM_AT_HEAD_TABLE))

/* Once per token; every piece uses it. */
static void head_begin(bm_state *s) { bm_t5_table(s->head, BM_D, TABLE(s)); }

static void head_piece(bm_state *s, uint32_t first, uint32_t n, int32_t *acc)
{ bm_gemv_t5s8(bm_at(s, BM_OFF_HEAD_W) + (size_t)first * BM_T5_STEPS(BM_D), TABLE(s), n, BM_D, acc); }
#else
static void head_begin(bm_state *s) { (void)s; }

static void head_piece(bm_state *s, uint32_t first, uint32_t n, int32_t *acc)
{
    bm_gemv_t2s8(
        bm_at(s, BM_OFF_HEAD_W) + (size_t)first * BM_ROW_BYTES(BM_D), s->head, s->head_sum, n, BM_D, acc);
}
#endif

void bm_head_rows(bm_state *s, uint32_t n, int32_t *acc)
{
    head_begin(s);
    head_piece(s, 0, n, acc);
}

/* BM_HEAD_ROWS is a multiple of BM_ROW_GROUP, so a piece starts at a whole group of rows of the packing. */
void bm_logits(bm_state *s, bm_logits_fn visit, void *context)
{
    BM_MARK(s, BM_PART_OTHER);
    head_begin(s);
    for (uint32_t first = 0; first < BM_VOCAB; first += BM_HEAD_ROWS) {
        const uint32_t n = BM_VOCAB - first < BM_HEAD_ROWS ? BM_VOCAB - first : BM_HEAD_ROWS;
        head_piece(s, first, n, s->logits);
        BM_MARK(s, BM_PART_HEAD);
        visit(context, first, s->logits, n);
        BM_MARK(s, BM_PART_PICK);
    }
}

static void feed(void *context, uint32_t first, const int32_t *acc, uint32_t n)
{ bm_candidates_feed(context, first, acc, n); }

#define PIECE \
    (BM_HEAD_ROWS / BM_THREADS / BM_ROW_GROUP * BM_ROW_GROUP) /* of the logits' buffer for each thread */
#if BM_THREADS > 1 && BM_HEAD_ROWS / BM_THREADS >= BM_ROW_GROUP
/* Every thread computes its own range of the vocabulary and keeps its best: they meet once per token. */
static void pick_part(void *job, uint32_t part, uint32_t parts)
{
    bm_state *s = job;
    if (part >= BM_THREADS) return;
    const bm_rows range = bm_part_rows(BM_VOCAB, part, parts < BM_THREADS ? parts : BM_THREADS);
    bm_candidates *c = s->candidates + part;
    int32_t *acc = s->logits + part * PIECE;
    for (uint32_t first = range.first; first < range.end; first += PIECE) {
        const uint32_t n = range.end - first < PIECE ? range.end - first : PIECE;
        head_piece(s, first, n, acc);
        bm_candidates_feed(c, first, acc, n);
    }
}

static void pick_split(bm_state *s, bm_candidates *best)
{
    BM_MARK(s, BM_PART_OTHER);
    head_begin(s);
    for (uint32_t i = 0; i < BM_THREADS; i++) bm_candidates_begin(s->candidates + i, best->k);
    s->split(pick_part, s);
    for (uint32_t i = 0; i < BM_THREADS; i++) bm_candidates_add(best, s->candidates + i);
    BM_MARK(s, BM_PART_HEAD);
}
#else
static void pick_split(bm_state *s, bm_candidates *best) { bm_logits(s, feed, best); }
#endif

uint32_t bm_pick(bm_state *s, bm_sampler *sampler)
{
    bm_candidates_begin(&sampler->best, bm_sampler_wants(sampler));
    if (s->split && BM_VOCAB * BM_D >= BM_SPLIT_WEIGHTS) pick_split(s, &sampler->best);
    else bm_logits(s, feed, &sampler->best);
    return bm_sampler_end(sampler, s->logit_scale);
}

#ifdef BM_TAPS
typedef struct {
    bm_state *s;
    uint32_t id;
} tapped;

static void tap_piece(void *context, uint32_t first, const int32_t *acc, uint32_t n)
{
    const tapped *t = context;
    BM_TAP_PART(t->s, t->id, acc, 1u, 4u * n, 0u, first + n < BM_VOCAB);
}

void bm_tap_logits(bm_state *s, uint32_t id)
{
    tapped t = {s, id};
    if (s->tap) bm_logits(s, tap_piece, &t);
}
#endif
