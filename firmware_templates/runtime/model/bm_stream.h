/* SPDX-License-Identifier: MIT-0 */
/* Weights of the head that come while those before are computed. Each thread has two buffers in the nearest memory: a kernel
 * works on one while a block is on its way to the other. Which way is the quickest is measured on the board, when it starts.
 */
#ifndef BM_STREAM_H
#define BM_STREAM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A way that a platform has. A thread asks for one block at a time. */
typedef struct {
    const char *name; /* at most 8 letters */
    /* Begin to bring bytes of `from` to `into`, aligned to 64. Returns where they will be: `into`, or `from` itself. */
    const uint8_t *(*start)(uint32_t thread, uint8_t *into, const uint8_t *from, uint32_t bytes);
    void (*wait)(uint32_t thread); /* until they are there */
} bm_stream;

/* The way of every platform: the processor copies them when they are waited for. */
extern const bm_stream bm_stream_copy;

#define BM_STREAM_WAYS 3u /* at most, and reading where the weights lie */
#define BM_STREAM_TEXT (20u * (BM_STREAM_WAYS + 1u) + 1u)

#ifdef __cplusplus
}
#endif
#endif
