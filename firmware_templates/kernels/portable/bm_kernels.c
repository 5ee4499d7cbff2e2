/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `portable`: plain C99, for any processor; written so that a compiler can vectorise it.
 *
 * Layout (codegen/pack.py, "planar"): row after row, each in blocks of 64 k = 16 bytes:
 *
 *     byte j of a block, plane p (bits 2p, 2p+1) = code of k = 16 p + j,   code = w + 1 in {0, 1, 2}
 *
 * The inner loops have a fixed trip count and no aliasing, so that a compiler vectorises them already at -O2.
 */
#include "bm_kernels.h"
#include "bm_rest.h"

#define LANES 16u
#define FLUSH 32u /* blocks per 16-bit accumulation */

int bm_kernels_supported(void) { return 1; }

/* lane[j] += codes of byte j times their four activations. |lane| grows by at most 4 planes * 2 * 127 = 1016. */
static void add_block(int16_t *restrict lane, const uint8_t *restrict w, const int8_t *restrict x)
{
    for (uint32_t j = 0; j < LANES; j++) {
        const int code0 = w[j] & 3, code1 = w[j] >> 2 & 3, code2 = w[j] >> 4 & 3, code3 = w[j] >> 6;
        lane[j] = (int16_t)(lane[j] + code0 * x[j] + code1 * x[16u + j] + code2 * x[32u + j] +
                            code3 * x[48u + j]);
    }
}

/* Bound: 32 blocks * 1016 = 32512 <= 32767, so no 16-bit lane can wrap before it is added up;
 * 2 * 127 * K < 2^31 for K <= 4096. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u;
    for (uint32_t i = 0; i < n; i++) {
        int32_t acc = -xsum;                      /* sum (code - 1) x = sum code x - sum x */
        for (uint32_t from = 0; from < blocks; from += FLUSH) {
            const uint32_t to = from + FLUSH < blocks ? from + FLUSH : blocks;
            int16_t lane[LANES] = {0};
            for (uint32_t b = from; b < to; b++, w += 16) add_block(lane, w, x + 64u * b);
            for (uint32_t j = 0; j < LANES; j++) acc += lane[j];
        }
        y[i] = acc;
    }
}

static inline void add_products(int32_t *restrict lane, const int8_t *restrict a, const int8_t *restrict b)
{
    for (uint32_t j = 0; j < LANES; j++) lane[j] += a[j] * b[j];
}

/* Bound: 127^2 * len < 2^31 for len <= 133,000. */
int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len)
{
    int32_t lane[LANES] = {0}, acc = 0;
    uint32_t k = 0;
    for (; k + LANES <= len; k += LANES) add_products(lane, a + k, b + k);
    for (uint32_t j = 0; j < LANES; j++) acc += lane[j];
    for (; k < len; k++) acc += a[k] * b[k];
    return acc;
}

void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    for (uint32_t i = 0; i < n; i++, a += stride) y[i] = bm_dot_s8(a, q, len);
}

static void add_row(int32_t *restrict lane, int32_t w, const int8_t *restrict v)
{
    for (uint32_t j = 0; j < LANES; j++) lane[j] += w * v[j];
}

/* Sixteen columns at a time, down the rows. Bound: 2^14 * 127 * n < 2^31 for n <= 1032. */
void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + LANES <= len; k += LANES) {
        int32_t lane[LANES] = {0};
        for (uint32_t i = 0; i < n; i++) add_row(lane, w[i], v + (size_t)i * stride + k);
        for (uint32_t j = 0; j < LANES; j++) y[k + j] = lane[j];
    }
    bm_wsum_rest(w, v, stride, n, k, len, y);
}
