/* SPDX-License-Identifier: MIT-0 */
/* Choosing the next token in integers (bitmar_tiny/golden/sampler.py): the same pick on every machine. */
#ifndef BM_SAMPLER_H
#define BM_SAMPLER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BM_MAX_TOP_K 256u
#define BM_COLDEST \
    9.5367431640625e-7f /* 2^-20: a lower temperature is 0, since its reciprocal could overflow */

/* The best of the logits seen so far. */
typedef struct {
    uint32_t k, count;              /* how many are wanted, and known */
    uint32_t id[BM_MAX_TOP_K];      /* by (logit descending, id ascending) */
    int32_t acc[BM_MAX_TOP_K];      /* and their integer logits */
} bm_candidates;

typedef struct {
    float temperature;              /* 0: greedy, the lowest id wins a tie */
    uint32_t top_k;                 /* 1 .. BM_MAX_TOP_K */
    uint64_t state;                 /* PCG-XSH-RR 64/32 (O'Neill 2014) */
    bm_candidates best;
} bm_sampler;

void bm_sampler_init(bm_sampler *s, float temperature, uint32_t top_k, uint64_t seed);
/* Next 32-bit draw. */
uint32_t bm_sampler_draw(bm_sampler *s);
/* Candidates that a pick wants. */
uint32_t bm_sampler_wants(const bm_sampler *s);
/* One pick: begin, feed all integer logits in ascending pieces (acc[n] of ids first, first + 1, ...), end.
 * Only the best k are kept, so no array of the whole vocabulary is needed. Float logit = acc * scale.
 * Pieces can be fed to several candidates, each its own range of ids, which are then added in the order of the ranges. */
void bm_candidates_begin(bm_candidates *c, uint32_t k);
void bm_candidates_feed(bm_candidates *c, uint32_t first, const int32_t *acc, uint32_t n);
void bm_candidates_add(bm_candidates *c, const bm_candidates *more);
/* One logit; ids in any order. */
void bm_candidates_put(bm_candidates *c, uint32_t id, int32_t acc);
uint32_t bm_sampler_end(bm_sampler *s, float scale);

#ifdef __cplusplus
}
#endif
#endif
