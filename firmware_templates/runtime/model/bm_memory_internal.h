/* SPDX-License-Identifier: MIT-0 */
/* Shared by the two rules of the memory: bm_memory.c and bm_memory_keyed.c. */
#ifndef BM_MEMORY_INTERNAL_H
#define BM_MEMORY_INTERNAL_H

#include "bm_memory.h"
#include "bm_numerics.h"

/* A streamed read: the running state is rescaled in row order, as golden does it. */
typedef struct {
    float top, denominator;
    float *sum; /* [width] */
} bm_reading;

/* Before a block whose largest score is `peak` is added. first: nothing was added yet. */
void bm_rescale(bm_reading *r, float peak, uint32_t width, int first);

/* sum += top_scale * (w^T M) for one block, in pieces that keep the stack small. */
void bm_add_rows(const int32_t *w, const int8_t *rows, uint32_t stride, uint32_t n, uint32_t width,
    float top_scale, float *sum);

static inline uint32_t bm_memory_blocks(const bm_memory *m)
{ return (m->slots + BM_READ_BLOCK - 1u) / BM_READ_BLOCK; }

#endif
