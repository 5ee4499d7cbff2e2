/* Kernel family `portable`: plain C99, for any processor; written so that a compiler can vectorise it.
 *
 * Layout (codegen/pack.py, "planar"): row after row, each in blocks of 64 k = 16 bytes:
 *
 *     byte j of a block, plane p (bits 2p, 2p+1) = code of k = 16 p + j,   code = w + 1 in {0, 1, 2}
 *
 * Bound: |sum of codes * x| <= 2 * 127 * K < 2^31 for K <= 4096, and so is every partial sum.
 */
#include "bm_kernels.h"

#define BLOCK 64u

int bm_supported__portable(void)
{
    return 1;
}

/* Dot product of one packed block with 64 activations. */
static int32_t block_dot(const uint8_t *w, const int8_t *x)
{
    int32_t acc = 0;
    for (uint32_t j = 0; j < 16u; j++) {
        const int32_t byte = w[j];
        acc += (byte & 3) * x[j] + (byte >> 2 & 3) * x[16u + j] + (byte >> 4 & 3) * x[32u + j] + (byte >> 6) * x[48u + j];
    }
    return acc;
}

void bm_gemv_t2s8__portable(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + BLOCK - 1u) / BLOCK;
    for (uint32_t i = 0; i < n; i++) {
        int32_t acc = -xsum;                      /* sum (code - 1) x = sum code x - sum x */
        for (uint32_t b = 0; b < blocks; b++, w += 16u) acc += block_dot(w, x + b * BLOCK);
        y[i] = acc;
    }
}

int32_t bm_dot_s8__portable(const int8_t *a, const int8_t *b, uint32_t len)
{
    int32_t acc = 0;
    for (uint32_t k = 0; k < len; k++) acc += a[k] * b[k];
    return acc;
}

void bm_dots_s8__portable(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    for (uint32_t i = 0; i < n; i++, a += stride) y[i] = bm_dot_s8__portable(a, q, len);
}

/* Bound: 2^14 * 127 * n < 2^31 for n <= 1032. */
void bm_wsum_s8__portable(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    for (uint32_t k = 0; k < len; k++) y[k] = 0;
    for (uint32_t i = 0; i < n; i++, v += stride)
        for (uint32_t k = 0; k < len; k++) y[k] += w[i] * v[k];
}
