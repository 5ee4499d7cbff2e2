/* The ternary vocabulary head, a piece at a time: its input is the last step's, its integer logits go to a visitor. */
#include "bm_internal.h"

#include <string.h>

#if BM_HEAD_T5
#include "bm_gemv_t5.h"

#define TABLE(s) ((int16_t *)(void *)bm_arena_at(s, BM_AT_HEAD_TABLE))

typedef struct {
    bm_state *s;
    uint32_t first, rows;
} piece;

static void piece_part(void *job, uint32_t part, uint32_t parts)
{
    const piece *p = job;
    const bm_rows r = bm_part_rows(p->rows, part, parts);
    const uint8_t *w = bm_at(p->s, BM_OFF_HEAD_W) + (size_t)(p->first + r.first) * BM_T5_STEPS(BM_D);
    if (r.first < r.end) bm_gemv_t5s8(w, TABLE(p->s), r.end - r.first, BM_D, p->s->logits + r.first);
}

/* Once per token; every piece uses it. */
static void head_begin(bm_state *s)
{
    bm_t5_table(s->head, BM_D, TABLE(s));
}

static void head_piece(bm_state *s, uint32_t first, uint32_t n)
{
    piece p = {s, first, n};
    if (s->split && n * BM_D >= BM_SPLIT_WEIGHTS) s->split(piece_part, &p);
    else piece_part(&p, 0, 1);
}
#else
static void head_begin(bm_state *s)
{
    (void)s;
}

static void head_piece(bm_state *s, uint32_t first, uint32_t n)
{
    const uint8_t *w = bm_at(s, BM_OFF_HEAD_W) + (size_t)first * BM_ROW_BYTES(BM_D);
    bm_product(s, w, n, BM_D, s->head, s->head_sum, s->logits);
}
#endif

/* BM_HEAD_ROWS is a multiple of 32, so a piece starts at a whole group of rows of any packing. */
void bm_logits(bm_state *s, bm_logits_fn visit, void *context)
{
    BM_MARK(s, BM_PART_OTHER);
    head_begin(s);
    for (uint32_t first = 0; first < BM_VOCAB; first += BM_HEAD_ROWS) {
        const uint32_t n = BM_VOCAB - first < BM_HEAD_ROWS ? BM_VOCAB - first : BM_HEAD_ROWS;
        head_piece(s, first, n);
        BM_MARK(s, BM_PART_HEAD);
        visit(context, first, s->logits, n);
        BM_MARK(s, BM_PART_PICK);
    }
}

static void feed(void *context, uint32_t first, const int32_t *acc, uint32_t n)
{
    bm_sampler_feed(context, first, acc, n);
}

uint32_t bm_pick(bm_state *s, bm_sampler *sampler)
{
    bm_sampler_begin(sampler);
    bm_logits(s, feed, sampler);
    return bm_sampler_end(sampler, s->logit_scale);
}

#ifdef BM_TAPS
static void keep(void *context, uint32_t first, const int32_t *acc, uint32_t n)
{
    memcpy((int32_t *)context + first, acc, n * sizeof *acc);
}

void bm_tap_logits(bm_state *s, uint32_t id)
{
    static int32_t all[BM_VOCAB];
    bm_logits(s, keep, all);
    BM_TAP(s, id, all, BM_VOCAB);
}
#endif
