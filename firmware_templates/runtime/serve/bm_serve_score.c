/* SPDX-License-Identifier: MIT-0 */
/* How likely given tokens are: what the log-likelihood of each needs, and no rounding.
 *
 * The host wants log(sum over the vocabulary of exp(logit)). Which token has which logit does not matter to it, only how many
 * have each: integer logits are counted, and the counts take a few kilobytes where the logits take hundreds.
 */
#include "bm_serve_internal.h"

#include <string.h>

/* The logits of one position. */
typedef struct {
    bm_server *v;
    int32_t low;                 /* counts[i]: how many logits are low + i */
    int32_t least, most;
    uint32_t best;               /* the first token whose logit is `most` */
    uint32_t token;              /* that was asked for, */
    int32_t logit;               /* and its logit */
} tally;

static void count(void *context, uint32_t first, const int32_t *acc, uint32_t n)
{
    tally *t = context;
    uint32_t *counts = t->v->counts;
    const uint32_t bins = t->v->bins;
    int32_t least = t->least, most = t->most;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t bin = (uint32_t)acc[i] - (uint32_t)t->low;
        if (bin < bins) counts[bin]++;
        if (acc[i] < least) least = acc[i];
        if (acc[i] > most) {
            most = acc[i];
            t->best = first + i;
        }
    }
    if (t->token - first < n) t->logit = acc[t->token - first];
    t->least = least;
    t->most = most;
}

static void tally_from(tally *t, int32_t low)
{
    t->low = low;
    memset(t->v->counts, 0, t->v->bins * sizeof *t->v->counts);
    bm_logits(t->v->s, count, t);
}

/* Counts of the logits `from` .. `to`, which lie in the table. */
static void send_counts(const tally *t, int32_t from, int32_t to)
{
    bm_server *v = t->v;
    const uint32_t *counts = v->counts + (from - t->low), n = (uint32_t)(to - from) + 1u;
    uint32_t largest = 0;
    uint8_t fields[BM_BYTES_COUNTS], chunk[64];
    for (uint32_t i = 0; i < n; i++)
        if (counts[i] > largest) largest = counts[i];
    const uint32_t bytes = largest < 0x100u ? 1u : largest < 0x10000u ? 2u : 4u;
    bm_put_u32(fields, (uint32_t)from);
    fields[4] = (uint8_t)bytes;
    bm_serve_head(v, BM_MESSAGE_COUNTS, (uint32_t)sizeof fields + n * bytes);
    bm_link_write(&v->link, fields, sizeof fields);
    for (uint32_t i = 0, filled = 0; i < n; i++) {
        for (uint32_t k = 0; k < bytes; k++) chunk[filled++] = (uint8_t)(counts[i] >> 8u * k);
        if (filled == sizeof chunk || i + 1u == n) {
            bm_link_write(&v->link, chunk, filled);
            filled = 0;
        }
    }
}

/* A table that is too small for all logits is filled several times. */
static void score_token(bm_server *v, uint32_t token)
{
    const int32_t bins = (int32_t)v->bins;
    tally t = {v, 0, INT32_MAX, INT32_MIN, 0, token, 0};
    uint8_t fields[BM_BYTES_SCORED];
    uint32_t scale = 0;
    tally_from(&t, -(bins / 2));
    if (t.least >= t.low && t.most - t.low < bins) {
        send_counts(&t, t.least, t.most);
    } else {
        for (int32_t low = t.least; low <= t.most && !v->link.broken; low += bins) {
            tally_from(&t, low);
            send_counts(&t, low, t.most - low < bins ? t.most : low + bins - 1);
        }
    }
    memcpy(&scale, &v->s->logit_scale, sizeof scale);
    bm_put_u32(bm_put_u32(bm_put_u32(fields, t.best), (uint32_t)t.logit), scale);
    bm_serve_head(v, BM_MESSAGE_SCORED, sizeof fields);
    bm_link_write(&v->link, fields, sizeof fields);
}

static void keep(bm_server *v)
{
    v->kept->state = *v->s;
    memcpy(v->kept->arena, v->arena, sizeof v->kept->arena);
}

static void restore(bm_server *v)
{
    *v->s = v->kept->state;
    memcpy(v->arena, v->kept->arena, sizeof v->kept->arena);
}

static int take_u32(bm_server *v, uint32_t *to)
{
    uint8_t b[4];
    const int bad = bm_serve_take(v, b, sizeof b);
    if (!bad) *to = bm_get_u32(b);
    return bad;
}

/* `n` ids of the message: scored, if `scored` counts them, and taken, but for the last of a continuation. */
static int32_t take_ids(bm_server *v, uint32_t n, uint32_t *scored)
{
    int32_t status = BM_OK;
    for (uint32_t token = 0; n && status == BM_OK; n--) {
        if (take_u32(v, &token) != 0) return BM_RESULT_MALFORMED;
        bm_link_pump(&v->link);                  /* acknowledges before the work begins */
        if (token >= BM_VOCAB) return BM_ERR_TOKEN;
        if (scored) {
            score_token(v, token);
            ++*scored;
        }
        if (!scored || n > 1u) status = bm_step(v->s, token);
    }
    return status;
}

void bm_serve_score(bm_server *v)
{
    uint32_t n = 0, scored = 0;
    if (!v->counts) {
        bm_serve_result(v, BM_RESULT_UNABLE, 0);
        return;
    }
    int32_t status = take_u32(v, &n) == 0 ? take_ids(v, n, NULL) : BM_RESULT_MALFORMED;
    if (status == BM_OK && (v->s->t == 0 || v->left == 0)) status = BM_RESULT_MALFORMED;
    for (int first = 1, kept = 0; v->left && status == BM_OK; first = 0) {
        if (take_u32(v, &n) != 0 || n == 0 || n > v->left / 4u) {
            status = BM_RESULT_MALFORMED;
        } else if (kept) {
            restore(v);
        } else if (!first) {
            status = BM_RESULT_UNABLE;           /* nothing was kept for a second continuation */
        } else if (v->kept && n < v->left / 4u) {
            keep(v);
            kept = 1;
        }
        if (status == BM_OK) status = take_ids(v, n, &scored);
    }
    bm_serve_result(v, status, scored);
}
