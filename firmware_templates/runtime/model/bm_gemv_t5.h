/* SPDX-License-Identifier: MIT-0 */
/* Ternary products with five weights in a byte (1.6 bit instead of 2), for boards where bytes decide and not MACs.
 * Exact. bm_gemv_t5.c has the functions of all families that have none of their own, and draws the layout.
 */
#ifndef BM_GEMV_T5_H
#define BM_GEMV_T5_H

#include <stddef.h>
#include <stdint.h>

#include "bm_compiler.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_T5_CODES 243u /* 3^5: values of a byte */
#define BM_T5_STEPS(k) (((k) + 4u) / 5u) /* bytes of a row */
/* int16 entries of a table of sums. The last 13 keep any byte, even one above 242, inside it. */
#define BM_T5_TABLE(k) (BM_T5_CODES * BM_T5_STEPS(k) + 13u)

/* What the products want of x: the sums of five that bytes stand for, unless a family takes the bytes apart. x: codes [k];
 * table: int16 [BM_T5_TABLE(k)], or as many bytes as codegen/pack.py says for the family. */
void bm_t5_table(const int8_t *x, uint32_t k, int16_t *table);

/* y[i] = sum_k w[i][k] * x[k], exact. w: packed [n][k], from a row that is a multiple of 32; table: of x;
 * y: int32 [BM_PAD_ROWS(n)] (padding rows may be written). */
void bm_gemv_t5s8(const uint8_t *w, const int16_t *table, uint32_t n, uint32_t k, int32_t *y);

#ifdef __cplusplus
}
#endif
#endif
