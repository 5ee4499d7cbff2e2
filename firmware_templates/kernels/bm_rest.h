/* SPDX-License-Identifier: MIT-0 */
/* What is left of a product when a family has filled its registers, in plain C. */
#ifndef BM_REST_H
#define BM_REST_H

#include <stddef.h>
#include <stdint.h>

/* Columns k .. len - 1 of bm_wsum_s8, one by one. */
static inline void bm_wsum_rest(
    const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t k, uint32_t len, int32_t *y)
{
    for (; k < len; k++) {
        int32_t acc = 0;
        for (uint32_t i = 0; i < n; i++) acc += w[i] * v[(size_t)i * stride + k];
        y[k] = acc;
    }
}

#endif
