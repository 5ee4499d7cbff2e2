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

static void head_piece(bm_state *s, const uint8_t *w, uint32_t first, uint32_t n, int32_t *acc)
{
    (void)first;
    bm_gemv_t5s8(w, TABLE(s), n, BM_D, acc);
}
#elif BM_HEAD_SKIP
#include "bm_gemv_skip.h"

#define STEPS BM_SKIP_STEPS(BM_D)

static bm_skip_input input(const bm_state *s)
{
    int8_t *x = (int8_t *)bm_arena_at(s, BM_AT_HEAD_SKIP);
    int32_t *sums = (int32_t *)(void *)(x + BM_SKIP_STEP * STEPS);
    const bm_skip_input in = {x, sums, sums + STEPS, STEPS};
    return in;
}

/* The rows and their places, from an id that begins a window. */
static const uint8_t *rows_from(const bm_state *s, uint32_t first)
{ return bm_at(s, BM_OFF_HEAD_W) + (size_t)first / BM_SKIP_ROWS * BM_SKIP_BYTES * STEPS; }

static const uint8_t *places_from(const bm_state *s, uint32_t first)
{ return bm_at(s, BM_OFF_HEAD_PLACES) + first; }

/* Once per token; every piece uses it. */
static void head_begin(bm_state *s)
{
    const bm_skip_input in = input(s);
    bm_skip_begin(&in, s->head, bm_at(s, BM_OFF_HEAD_ORDER), BM_D);
}

static void head_piece(bm_state *s, const uint8_t *w, uint32_t first, uint32_t n, int32_t *acc)
{
    const bm_skip_input in = input(s);
    bm_skip_logits(&in, w, places_from(s, first), BM_VOCAB - first, n, acc);
}
#else
static void head_begin(bm_state *s) { (void)s; }

static void head_piece(bm_state *s, const uint8_t *w, uint32_t first, uint32_t n, int32_t *acc)
{
    (void)first;
    bm_gemv_t2s8(w, s->head, s->head_sum, n, BM_D, acc);
}
#endif

#if !BM_HEAD_SKIP
static const uint8_t *rows_from(const bm_state *s, uint32_t first)
{ return bm_at(s, BM_OFF_HEAD_W) + (size_t)first * BM_HEAD_ROW; }
#endif

/* A range of rows, a piece at a time: n of them from `first` on, at w; n = 0 behind the last. */
typedef struct {
    bm_state *s;
    uint32_t first, n, end, most;
    const uint8_t *w;
#if BM_STREAM_ROWS
    bm_stream_block next;
#endif
} pieces;

static uint32_t rows_of_piece(const pieces *p, uint32_t first)
{ return p->end - first < p->most ? p->end - first : p->most; }

static void next_piece(pieces *p)
{
    p->first += p->n;
    p->n = rows_of_piece(p, p->first);
    if (p->n == 0) return;
    p->w = rows_from(p->s, p->first);
#if BM_STREAM_ROWS
    const uint32_t next = p->first + p->n;
    if (p->s->stream) p->w = bm_stream_next(p->s, &p->next, next, rows_of_piece(p, next));
#endif
}

static pieces pieces_of(bm_state *s, uint32_t thread, uint32_t first, uint32_t end, uint32_t most)
{
    pieces p = {.s = s, .first = first, .end = end, .most = most};
    (void)thread;
#if BM_STREAM_ROWS
    if (s->stream && most > BM_STREAM_ROWS) p.most = BM_STREAM_ROWS;
    if (s->stream) bm_stream_begin(s, &p.next, thread, first, rows_of_piece(&p, first));
#endif
    next_piece(&p);
    return p;
}

void bm_head_rows(bm_state *s, uint32_t n, int32_t *acc)
{
    head_begin(s);
    head_piece(s, rows_from(s, 0), 0, n, acc);
}

/* BM_HEAD_ROWS is a multiple of BM_ROW_GROUP, so a piece starts at a whole group of rows of the packing. */
static void visit_rows(bm_state *s, uint32_t rows, bm_logits_fn visit, void *context)
{
    BM_MARK(s, BM_PART_OTHER);
    head_begin(s);
    for (pieces p = pieces_of(s, 0, 0, rows, BM_HEAD_ROWS); p.n; next_piece(&p)) {
        head_piece(s, p.w, p.first, p.n, s->logits);
        BM_MARK(s, BM_PART_HEAD);
        visit(context, p.first, s->logits, p.n);
        BM_MARK(s, BM_PART_PICK);
    }
}

void bm_logits(bm_state *s, bm_logits_fn visit, void *context) { visit_rows(s, BM_VOCAB, visit, context); }

#if BM_HEAD_SKIP
/* The candidates among rows first .. end - 1. */
static void pick_range(bm_state *s, uint32_t first, uint32_t end, uint32_t part, bm_candidates *c)
{
    int32_t floor[STEPS];
    const bm_skip_input in = input(s);
    bm_skip_feed(&in, rows_from(s, first), places_from(s, first), first, end - first, c, floor);
    (void)part;
}

static void pick_alone(bm_state *s, uint32_t rows, bm_candidates *best)
{
    BM_MARK(s, BM_PART_OTHER);
    head_begin(s);
    pick_range(s, 0, rows, 0, best);
    BM_MARK(s, BM_PART_HEAD);
}
#else
static void feed(void *context, uint32_t first, const int32_t *acc, uint32_t n)
{ bm_candidates_feed(context, first, acc, n); }

static void pick_alone(bm_state *s, uint32_t rows, bm_candidates *best) { visit_rows(s, rows, feed, best); }
#endif

#if BM_THREADS > 1 && BM_HEAD_ROWS / BM_THREADS >= BM_ROW_GROUP
#if BM_HEAD_SKIP
/* Whole windows. */
static bm_rows pick_rows(uint32_t rows, uint32_t part, uint32_t parts)
{
    const uint32_t windows = (rows + BM_SKIP_WINDOW - 1u) / BM_SKIP_WINDOW;
    const uint32_t last = windows * (part + 1u) / parts * BM_SKIP_WINDOW;
    const bm_rows r = {windows * part / parts * BM_SKIP_WINDOW, last < rows ? last : rows};
    return r;
}
#else
static bm_rows pick_rows(uint32_t rows, uint32_t part, uint32_t parts)
{ return bm_part_rows(rows, part, parts); }

#define PIECE \
    (BM_HEAD_ROWS / BM_THREADS / BM_ROW_GROUP * BM_ROW_GROUP) /* of the logits' buffer for each thread */

/* The candidates among rows first .. end - 1, through this thread's part of the logits' buffer. */
static void pick_range(bm_state *s, uint32_t first, uint32_t end, uint32_t part, bm_candidates *c)
{
    int32_t *acc = s->logits + part * PIECE;
    for (pieces p = pieces_of(s, part, first, end, PIECE); p.n; next_piece(&p)) {
        head_piece(s, p.w, p.first, p.n, acc);
        bm_candidates_feed(c, p.first, acc, p.n);
    }
}
#endif

typedef struct {
    bm_state *s;
    uint32_t rows;
} split_head;

/* Every thread computes its own range of the vocabulary and keeps its best: they meet once per token. */
static void pick_part(void *job, uint32_t part, uint32_t parts)
{
    const split_head *head = job;
    bm_state *s = head->s;
    if (part >= BM_THREADS) return;
    const bm_rows range = pick_rows(head->rows, part, parts < BM_THREADS ? parts : BM_THREADS);
    pick_range(s, range.first, range.end, part, s->candidates + part);
}

static void pick_split(bm_state *s, uint32_t rows, bm_candidates *best)
{
    split_head head = {s, rows};
    BM_MARK(s, BM_PART_OTHER);
    head_begin(s);
    for (uint32_t i = 0; i < BM_THREADS; i++) bm_candidates_begin(s->candidates + i, best->k);
    s->split(pick_part, &head);
    for (uint32_t i = 0; i < BM_THREADS; i++) bm_candidates_add(best, s->candidates + i);
    BM_MARK(s, BM_PART_HEAD);
}
#else
static void pick_split(bm_state *s, uint32_t rows, bm_candidates *best) { pick_alone(s, rows, best); }
#endif

void bm_head_best(bm_state *s, uint32_t rows, bm_candidates *best)
{
    if (s->split && rows * BM_D >= BM_SPLIT_WEIGHTS) pick_split(s, rows, best);
    else pick_alone(s, rows, best);
}

uint32_t bm_pick(bm_state *s, bm_sampler *sampler)
{
    bm_candidates_begin(&sampler->best, bm_sampler_wants(sampler));
    bm_head_best(s, BM_VOCAB, &sampler->best);
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
