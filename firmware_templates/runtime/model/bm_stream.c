/* SPDX-License-Identifier: MIT-0 */
/* The way of every platform, and the choice among all (bm_stream.h). */
#include "bm_internal.h"

#include <string.h>

#include "bm_crc32.h"

#if BM_STREAM_ROWS
#define TRIAL (1u << 18) /* bytes of the head: several times what a cache holds, and 2.5 ms at 105 MB/s */
#define CHECKED 64u /* candidates that must be the same by every way */
#define TRIAL_ROWS (TRIAL / BM_HEAD_ROW / BM_ROW_GROUP * BM_ROW_GROUP)

static struct {
    uint8_t *into;
    const uint8_t *from;
    uint32_t bytes;
} asked[BM_THREADS];

static const uint8_t *copy_start(uint32_t thread, uint8_t *into, const uint8_t *from, uint32_t bytes)
{
    asked[thread].into = into;
    asked[thread].from = from;
    asked[thread].bytes = bytes;
#ifdef BM_TAPS
    memset(
        into, 0x5A, bytes); /* so that verification sees who does not wait, or still reads what lay there */
#endif
    return into;
}

static void copy_wait(uint32_t thread)
{ memcpy(asked[thread].into, asked[thread].from, asked[thread].bytes); }

const bm_stream bm_stream_copy = {"copy", copy_start, copy_wait};

/* The last rows bring what fills their group. */
static void ask(bm_state *s, bm_stream_block *b, uint32_t first, uint32_t n)
{
    const uint32_t skipped = first * BM_HEAD_ROW;
    const uint32_t bytes = first + n == BM_VOCAB ? BM_HEAD_BYTES - skipped : n * BM_HEAD_ROW;
    uint8_t *into = bm_arena_at(s, BM_AT_STREAM) + (2u * b->thread + b->buffer) * BM_STREAM_BYTES;
    if (n == 0) return;
    b->at = s->stream->start(b->thread, into, bm_head_weights(s) + skipped, bytes);
    b->buffer ^= 1u;
}

void bm_stream_begin(bm_state *s, bm_stream_block *b, uint32_t thread, uint32_t first, uint32_t n)
{
    b->thread = thread;
    b->buffer = 0;
    ask(s, b, first, n);
}

const uint8_t *bm_stream_next(bm_state *s, bm_stream_block *b, uint32_t first, uint32_t n)
{
    const uint8_t *at = b->at;
    s->stream->wait(b->thread);
    ask(s, b, first, n);
    return at;
}

const uint8_t *bm_head_weights(const bm_state *s) { return bm_at(s, BM_OFF_HEAD_W); }

/* The best of the first `rows` tokens by the way that s has now. Returns the ticks that they took. */
static uint32_t best_of(
    bm_state *s, uint32_t rows, uint32_t k, bm_candidates *best, bm_clock_fn clock, void *user)
{
    memset(best, 0, sizeof *best);
    bm_candidates_begin(best, k);
    const uint64_t since = clock(user);
    bm_head_best(s, rows, best);
    return (uint32_t)(clock(user) - since);
}

/* " name=number" behind the text; returns its new end. */
static char *say(char *p, const char *name, uint32_t number)
{
    char digits[10];
    uint32_t n = 0;
    *p++ = ' ';
    while (*name) *p++ = *name++;
    *p++ = '=';
    do digits[n++] = (char)('0' + number % 10u);
    while (number /= 10u);
    while (n) *p++ = digits[--n];
    *p = 0;
    return p;
}

void bm_stream_choose(bm_state *s, const bm_stream *const *ways, uint32_t count, bm_clock_fn clock,
    void *user, uint32_t clock_hz)
{
    const uint32_t rows = TRIAL_ROWS < BM_VOCAB ? TRIAL_ROWS : BM_VOCAB;
    uint32_t kb_s[BM_STREAM_WAYS + 1u], right = 0, taken = 0; /* way 0: read where they lie */
    bm_candidates best;
    for (uint32_t k = 0; k < BM_D; k++) {
        s->head[k] = (int8_t)((int32_t)((k * 37u + 11u) % 255u) - 127);
        s->head_sum += s->head[k];
    }
    for (uint32_t i = 0; i <= count; i++) {
        s->stream = i ? ways[i - 1u] : NULL;
        (void)best_of(s, rows, CHECKED, &best, clock, user);
        const uint32_t found = bm_crc32(0, (const uint8_t *)&best, sizeof best);
        if (i == 0) right = found;
        const uint32_t us = best_of(s, rows, 1u, &best, clock, user) / (clock_hz / 1000000u);
        kb_s[i] = found == right ? rows * BM_HEAD_ROW * 1000u / (us ? us : 1u) : 0;
        if (kb_s[i] > kb_s[taken]) taken = i;
    }
    s->stream = taken ? ways[taken - 1u] : NULL;
    memset(s->head, 0, BM_D);
    s->head_sum = 0;
    char *end = s->streams;
    for (uint32_t i = 0; i <= count; i++) { /* the one that is taken comes first */
        const uint32_t way = i == 0 ? taken : i <= taken ? i - 1u : i;
        end = say(end, way ? ways[way - 1u]->name : "read", kb_s[way]);
    }
}
#endif
