/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `m0`: Cortex-M0 and M0+, whose only product is 32 x 32 -> 32. The work is done by bm_m0_gemv.S (which draws the
 * layout) and bm_m0_attend.S, in registers that a compiler for these cores leaves unused; here is what calls them, and plain C for
 * what is left over or not aligned: these cores fault where a word is. bm_m0_float.S has the floats of the model.
 */
#include "bm_kernels.h"
#include "bm_rest.h"

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'

#include <string.h>

#define CHUNK 64u /* k of which tables are made at a time; K_BLOCK in codegen/kernels.py */
#define TABLE_WORDS 45u /* of a table: that of four k */
#define BIAS 1024 /* of each entry, which is never negative by that */

/* The tables of the CHUNK codes at x, which is aligned to 4. */
void bm_m0_tables(const int8_t *x, uint32_t *tables);
/* y[i] += the entries that CHUNK / 4 words of each four rows name; skip: bytes from a group's last word to the next's first. */
void bm_m0_rows(const uint8_t *w, const uint32_t *tables, int32_t *y, const int32_t *end, uint32_t skip);
/* Four rows of dot products. len: more than 0. */
void bm_m0_dots4(const int8_t *a, uint32_t stride, const int8_t *q, int32_t *y, uint32_t len);
/* Eight columns of a weighted sum. v and stride: multiples of 4; n: more than 0. */
void bm_m0_wsum8(const int32_t *w, const int8_t *v, uint32_t stride, int32_t *y, uint32_t n);

#define MISALIGNED(value) ((uintptr_t)(value) & 3u)

uint8_t bm_packed_zero(void) { return 2 + 6 + 20 + 60; }

int bm_kernels_supported(void) { return 1; }

/* Bound: an entry is less than 2 BIAS, so at any time |y| <= 127 K + BIAS K / 4 + 2 BIAS K / 4 < 2^31 for K <= 4096. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t width = (k + CHUNK - 1u) / CHUNK * CHUNK, rows = (n + 3u) & ~3u;
    const int32_t start = -xsum - BIAS * (int32_t)(width / 4u); /* sum (code - 1) x = sum code x - sum x */
    uint32_t tables[CHUNK / 4u * TABLE_WORDS], aligned[CHUNK / 4u];
    if (!n) return;
    for (uint32_t i = 0; i < rows; i += 4u) y[i] = y[i + 1u] = y[i + 2u] = y[i + 3u] = start;
    for (uint32_t at = 0; at < width; at += CHUNK) {
        const int8_t *codes = x + at;
        if (MISALIGNED(x)) codes = memcpy(aligned, codes, CHUNK);
        bm_m0_tables(codes, tables);
        bm_m0_rows(w + at, tables, y, y + rows, width - CHUNK);
    }
}

/* Bound: 127^2 * len < 2^31 for len <= 133,000. */
int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len)
{
    int32_t acc = 0;
    for (uint32_t k = 0; k < len; k++) acc += a[k] * b[k];
    return acc;
}

/* The bound is that of bm_dot_s8. */
void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t i = 0;
    for (; i + 4u <= n; i += 4u, a += 4u * (size_t)stride) bm_m0_dots4(a, stride, q, y + i, len);
    for (; i < n; i++, a += stride) y[i] = bm_dot_s8(a, q, len);
}

/* Bound: 2^14 * 127 * n < 2^31 for n <= 1032. */
void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    if (!MISALIGNED(v) && !MISALIGNED(stride) && n)
        for (; k + 8u <= len; k += 8u) bm_m0_wsum8(w, v + k, stride, y + k, n);
    bm_wsum_rest(w, v, stride, n, k, len, y);
}

#else
#error "m0 kernels: compile for a Cortex-M, or generate the project with --kernels portable"
#endif
