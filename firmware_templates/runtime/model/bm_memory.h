/* SPDX-License-Identifier: MIT-0 */
/* The episodic memory: read, write and forgetting, over rows that may lie anywhere (bm_tier.h). */
#ifndef BM_MEMORY_H
#define BM_MEMORY_H

#include <stdint.h>

#include "bm_tier.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint32_t slots, width;
    bm_tier rows;
} bm_memory;

/* Rows in memory that the processor addresses: both planes [slots][BM_PAD(width)], scales [slots], usage [slots]. */
typedef struct {
    int8_t *high, *low;
    float *scales;
    uint32_t *usage;
    uint32_t slots, width;
} bm_memory_rows;

/* The tier of such rows; `rows` must stay. A tier without begin and commit is read-only. */
bm_tier bm_tier_of_rows(bm_memory_rows *rows, int read_only);

/* M_r = softmax(M q / sqrt(C))^T M (paper eq. 2), streamed block by block. q codes [BM_PAD(width)]; out [width]. */
bm_status bm_memory_read(const bm_memory *m, const int8_t *q, float q_scale, float *out);

typedef struct {
    float write_rate, forget_rate;
    uint32_t forget_below;   /* usage, Q24 */
    int outer;               /* 0: M += a W (q - M); 1: M += a W q (paper eq. 1) */
} bm_write_rule;

/* What the model knows of a write that the memory does not. */
typedef struct {
    /* Learned write scores of slots first .. first + n - 1; the first of the three times that they are asked for has pass = 0. */
    void (*scores)(void *context, uint32_t first, uint32_t n, uint32_t pass, float *scores);
    /* Called with the write weights as they become known; may be NULL. */
    void (*weights)(void *context, uint32_t first, uint32_t n, const int32_t *w);
    void *context;
} bm_write_source;

/* Write an episode with query q into the memory and forget what nothing reaches. row: scratch float [width]. */
bm_status bm_memory_write(const bm_memory *m, const bm_write_rule *rule, const bm_write_source *source,
    const int8_t *q, float q_scale, float *row);

/* -- keys apart from values (bm_memory_keyed.c): the high plane holds the keys, whose scales these are, the low plane the
 * values; a slot of usage 0 is empty. */

/* M_r = softmax(keys q / sqrt(C))^T values over the slots in use, zeros if there is none. As bm_memory_read. */
bm_status bm_memory_ask(const bm_memory *m, const int8_t *q, float q_scale, float *out);

typedef struct {
    uint32_t fixed; /* slots, the first ones, that are never written */
    float match; /* cosine from which two keys stand for one thing */
} bm_keep_rule;

#define BM_USAGE_ONE (1u << 24) /* usage of the slot that was written last */

/* The slot that an episode with this key would be written into. key: codes [BM_PAD(width)]. */
bm_status bm_memory_slot(
    const bm_memory *m, const bm_keep_rule *rule, const int8_t *key, float key_scale, uint32_t *slot);

/* Write an episode whole into one slot: that whose key matches, else the least used. key, value: codes [BM_PAD(width)].
 * kept, unless NULL: is told the slot before anything is changed. */
bm_status bm_memory_keep(const bm_memory *m, const bm_keep_rule *rule, const int8_t *key, float key_scale,
    const int8_t *value, void (*kept)(void *context, uint32_t slot), void *context);

#ifdef __cplusplus
}
#endif
#endif
