/* SPDX-License-Identifier: MIT-0 */
/* Ternary products for picks that leave out rows which cannot win: where reading weights decides, and not multiplying them.
 * Exact. bm_gemv_skip.c draws the layout, holds the proof and has the tile of all families that have none of their own.
 */
#ifndef BM_GEMV_SKIP_H
#define BM_GEMV_SKIP_H

#include <stdint.h>

#include "bm_compiler.h"
#include "bm_sampler.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_SKIP_ROWS 16u /* of a tile */
#define BM_SKIP_STEP 16u /* k of a step */
#define BM_SKIP_WINDOW 64u /* rows that lie in an order of their own */
#define BM_SKIP_STEPS(k) (((k) + BM_SKIP_STEP - 1u) / BM_SKIP_STEP)
#define BM_SKIP_BYTES 64u /* of a step */

/* One input of the head. x: its codes in the order of the columns, then zeros; sum[i]: of the codes of steps 0 .. i;
 * rest[i]: of the absolute codes of the steps after i. */
typedef struct {
    int8_t *x; /* [16 * steps] */
    int32_t *sum, *rest; /* [steps] */
    uint32_t steps;
} bm_skip_input;

/* `order`: uint16 little-endian [k], the column that is multiplied first, second, ... */
void bm_skip_begin(const bm_skip_input *in, const int8_t *codes, const uint8_t *order, uint32_t k);

/* The products of one tile, step after step, until no row is above floor[step] (in the kernel's own sums, of codes w + 1); all
 * steps without a floor. Returns how many were done: where that is all of them y [16] holds these sums, else nothing. */
uint32_t bm_gemv_skip(const uint8_t *tile, const int8_t *x, const int32_t *floor, uint32_t steps, int32_t *y);
uint32_t bm_gemv_skip_plain(
    const uint8_t *tile, const int8_t *x, const int32_t *floor, uint32_t steps, int32_t *y);

/* y [n] = the logits of the first n ids of the `rows` rows at `w`, with their places in the windows at `places`. */
void bm_skip_logits(
    const bm_skip_input *in, const uint8_t *w, const uint8_t *places, uint32_t rows, uint32_t n, int32_t *y);

/* Feed the logits of ids first .. first + n - 1, whose rows and places are at `w` and `places`, to the candidates: all that
 * can be among them. first, and n but at the end: multiples of a window. `floor`: scratch [steps]. Returns how many steps
 * were read. */
uint32_t bm_skip_feed(const bm_skip_input *in, const uint8_t *w, const uint8_t *places, uint32_t first,
    uint32_t n, bm_candidates *c, int32_t *floor);

#ifdef __cplusplus
}
#endif
#endif
