/* SPDX-License-Identifier: Apache-2.0 */
/* Calls the products of a head that leaves out what cannot win; see driver.h. */
#include "bm_gemv_skip.h"
#include "bm_kernels.h"
#include "driver.h"

#define MAX_STEPS BM_SKIP_STEPS(4096u)

static int8_t ordered[4096] BM_ALIGNED;
static int32_t sum[MAX_STEPS], rest[MAX_STEPS], least[MAX_STEPS];
static bm_candidates best;

/* a: tile, x [16 steps], floor [steps] or empty, y [16]; u: steps. */
static void tile(call *c) { c->result[0] = bm_gemv_skip(c->a[0], c->a[1], c->a[2], c->u[0], c->a[3]); }

/* a: weights, codes, order, places, y; u: rows, width, and of how many y is wanted. */
static void logits(call *c)
{
    const bm_skip_input in = {ordered, sum, rest, BM_SKIP_STEPS(c->u[1])};
    bm_skip_begin(&in, c->a[1], c->a[2], c->u[1]);
    bm_skip_logits(&in, c->a[0], c->a[3], c->u[0], c->u[2], c->a[4]);
}

/* The same, but the candidates: a[4] ids, a[5] logits; u[2]: how many, u[3]: rows of the first of two pieces. */
static void pick(call *c)
{
    const bm_skip_input in = {ordered, sum, rest, BM_SKIP_STEPS(c->u[1])};
    const uint32_t cut = c->u[3];
    const uint8_t *w = c->a[0], *places = c->a[3];
    bm_skip_begin(&in, c->a[1], c->a[2], c->u[1]);
    bm_candidates_begin(&best, c->u[2]);
    c->result[0] = bm_skip_feed(&in, w, places, 0, cut, &best, least);
    w += (size_t)cut / BM_SKIP_ROWS * in.steps * BM_SKIP_BYTES;
    c->result[0] += bm_skip_feed(&in, w, places + cut, cut, c->u[0] - cut, &best, least);
    c->result[1] = best.count;
    memcpy(c->a[4], best.id, best.count * sizeof *best.id);
    memcpy(c->a[5], best.acc, best.count * sizeof *best.acc);
}

static const entry functions[] = {{"tile", tile}, {"logits", logits}, {"pick", pick}};

int DRIVER_MAIN(void) { return driver_serve(functions, sizeof functions / sizeof *functions); }
