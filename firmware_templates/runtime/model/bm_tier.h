/* SPDX-License-Identifier: MIT-0 */
/* Where the rows of the episodic memory lie: RAM, flash, or a store on a card. The model reads and writes them through
 * this interface, block by block and in order, so that every tier gives the same bits.
 */
#ifndef BM_TIER_H
#define BM_TIER_H

#include <stdint.h>

#include "bm_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rows BM_READ_BLOCK * block, ... of the memory: at most BM_READ_BLOCK. */
typedef struct {
    int8_t *high,
        *low; /* [n][BM_PAD(width)] the two bytes of the codes, code = 256 * high + low; or keys and values */
    float *scales; /* [n] value = code * scale */
    uint32_t *usage; /* [n] Q24 */
    uint32_t n;
} bm_block_rows;

enum {
    BM_TIER_READ, /* high, scales and usage are valid and are not changed */
    BM_TIER_READ_ALL, /* all are valid and are not changed */
    BM_TIER_CHANGE /* all are valid and may be changed in place, between begin and commit */
};

/* Bytes that went over a device since it was opened. */
typedef struct {
    uint64_t read, written;
} bm_traffic;

typedef struct {
    /* The rows of a block, valid until the next get. */
    bm_status (*get)(void *context, uint32_t block, int how, bm_block_rows *rows);
    /* The block that was got last, with BM_TIER_CHANGE, has changed: its usage and scales, and its codes if rows_changed. */
    bm_status (*put)(void *context, uint32_t block, int rows_changed);
    /* Around the changes of one episode: after a commit all of them hold, before it none. */
    bm_status (*begin)(void *context);
    bm_status (*commit)(void *context);
    void *context;
    const bm_traffic *traffic; /* NULL: the processor addresses the rows */
} bm_tier;

#ifdef __cplusplus
}
#endif
#endif
