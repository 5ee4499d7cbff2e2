/* Choosing the next token in integers (bitmar_tiny/golden/sampler.py): the same pick on every machine. */
#ifndef BM_SAMPLER_H
#define BM_SAMPLER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BM_MAX_TOP_K 256u
#define BM_COLDEST 9.5367431640625e-7f /* 2^-20: a lower temperature is 0, since its reciprocal could overflow */

typedef struct {
    float temperature;              /* 0: greedy, the lowest id wins a tie */
    uint32_t top_k;                 /* 1 .. BM_MAX_TOP_K */
    uint64_t state;                 /* PCG-XSH-RR 64/32 (O'Neill 2014) */
    uint32_t k, count;              /* how many candidates are wanted, and known */
    uint32_t best[BM_MAX_TOP_K];    /* candidates by (logit descending, id ascending) */
    int32_t best_acc[BM_MAX_TOP_K]; /* and their integer logits */
} bm_sampler;

void bm_sampler_init(bm_sampler *s, float temperature, uint32_t top_k, uint64_t seed);
/* Next 32-bit draw. */
uint32_t bm_sampler_draw(bm_sampler *s);
/* One pick: begin, feed all integer logits in ascending pieces (acc[n] of ids first, first + 1, ...), end.
 * Only the best k are kept, so no array of the whole vocabulary is needed. Float logit = acc * scale. */
void bm_sampler_begin(bm_sampler *s);
void bm_sampler_feed(bm_sampler *s, uint32_t first, const int32_t *acc, uint32_t n);
uint32_t bm_sampler_end(bm_sampler *s, float scale);

#ifdef __cplusplus
}
#endif
#endif
