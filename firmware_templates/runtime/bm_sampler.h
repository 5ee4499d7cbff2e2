/* Choosing the next token in integers (bitmar_tiny/golden/sampler.py): the same pick on every machine. */
#ifndef BM_SAMPLER_H
#define BM_SAMPLER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BM_MAX_TOP_K 256u

typedef struct {
    float temperature;              /* 0: greedy, the lowest id wins a tie */
    uint32_t top_k;                 /* 1 .. BM_MAX_TOP_K */
    uint64_t state;                 /* PCG-XSH-RR 64/32 (O'Neill 2014) */
    uint32_t best[BM_MAX_TOP_K];    /* scratch: candidates by (logit descending, id ascending) */
} bm_sampler;

void bm_sampler_init(bm_sampler *s, float temperature, uint32_t top_k, uint64_t seed);
/* Next 32-bit draw. */
uint32_t bm_sampler_draw(bm_sampler *s);
/* Pick from integer logits acc[n]; float logit = acc * scale. */
int32_t bm_sampler_pick(bm_sampler *s, const int32_t *acc, uint32_t n, float scale);

#ifdef __cplusplus
}
#endif
#endif
