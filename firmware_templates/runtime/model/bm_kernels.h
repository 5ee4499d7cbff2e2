/* SPDX-License-Identifier: MIT-0 */
/* The kernel interface. A program has one kernel family: the folder of kernels/ that its board's profile names implements it in
 * a bm_kernels.c of its own. Weights are packed for exactly that family ("store order = kernel order", codegen/pack.py).
 */
#ifndef BM_KERNELS_H
#define BM_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "bm_compiler.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_ALIGNED __attribute__((aligned(16))) /* what vector kernels want of their vectors */
#define BM_PAD_ROWS(n) (((n) + 31u) & ~31u) /* accumulators are padded to the tallest tile */

/* y[i] = sum_k w[i][k] * x[k], exact. w: packed ternary [n][k]; x: codes [BM_PAD(k)]; xsum = sum of x;
 * y: int32 [BM_PAD_ROWS(n)] (tiles may write the padding rows). */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y);

/* y[i] = sum_k a[i * stride + k] * q[k] for i < n, k < len. Exact for len * 127^2 < 2^31. */
void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y);

/* y[k] = sum_i w[i] * v[i * stride + k], 0 <= w <= 2^14. Exact for n <= 1032. */
void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y);

/* The same for heads that lie side by side, each len wide: dots y[h * apart + i] of a[i * stride + h * len + k] and
 * q[h * len + k], sums y[h * len + k] with the weights w[h * apart + i]. A family that has none of its own gets those of
 * bm_attention.c, a head at a time. */
void bm_dots_heads(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len,
    uint32_t heads, int32_t *y, uint32_t apart);
void bm_wsum_heads(const int32_t *w, uint32_t apart, const int8_t *v, uint32_t stride, uint32_t n,
    uint32_t len, uint32_t heads, int32_t *y);

/* sum_k a[k] * b[k]. */
int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len);

/* The byte of four weights 0; twice that is the byte of four weights 1. A family whose codes are not two bits each has its own. */
uint8_t bm_packed_zero(void);

/* 1 when this processor can run the family. */
int bm_kernels_supported(void);

#ifdef __cplusplus
}
#endif
#endif
