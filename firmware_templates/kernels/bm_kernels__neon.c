/* Kernel family `neon`: ARMv8.0-A without dot product, as on the in-order Cortex-A53.
 *
 * Layout (codegen/pack.py, "planar4"): groups of 4 rows; per group blocks of 64 k; per block 16 bytes of each row:
 *
 *     byte j of a row's 16, plane p (bits 2p, 2p+1) = code of k = 16 p + j,   code = w + 1
 *
 * The four quads of x are loaded once for four rows; smlal does 8 multiply-adds an instruction.
 */
#include "bm_kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define FLUSH 16u /* blocks per 16-bit accumulation */

int bm_supported__neon(void)
{
    return 1; /* part of every ARMv8-A */
}

/* acc += codes of 16 bytes times 64 activations. |lane| grows by at most 4 planes * 2 * 2 * 127 = 2032. */
static int16x8_t row_dot(int16x8_t acc, uint8x16_t w, int8x16_t x0, int8x16_t x1, int8x16_t x2, int8x16_t x3)
{
    const uint8x16_t three = vdupq_n_u8(3);
    const int8x16_t w0 = vreinterpretq_s8_u8(vandq_u8(w, three));
    const int8x16_t w1 = vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(w, 2), three));
    const int8x16_t w2 = vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(w, 4), three));
    const int8x16_t w3 = vreinterpretq_s8_u8(vshrq_n_u8(w, 6));
    acc = vmlal_s8(acc, vget_low_s8(w0), vget_low_s8(x0));
    acc = vmlal_high_s8(acc, w0, x0);
    acc = vmlal_s8(acc, vget_low_s8(w1), vget_low_s8(x1));
    acc = vmlal_high_s8(acc, w1, x1);
    acc = vmlal_s8(acc, vget_low_s8(w2), vget_low_s8(x2));
    acc = vmlal_high_s8(acc, w2, x2);
    acc = vmlal_s8(acc, vget_low_s8(w3), vget_low_s8(x3));
    return vmlal_high_s8(acc, w3, x3);
}

/* Bound: 16 blocks * 2032 = 32512 <= 32767, so no 16-bit lane can wrap before it is widened. */
void bm_gemv_t2s8__neon(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u;
    for (uint32_t i = 0; i < n; i += 4u) {
        int32x4_t t0 = vdupq_n_s32(0), t1 = t0, t2 = t0, t3 = t0;
        for (uint32_t from = 0; from < blocks; from += FLUSH) {
            const uint32_t to = from + FLUSH < blocks ? from + FLUSH : blocks;
            int16x8_t s0 = vdupq_n_s16(0), s1 = s0, s2 = s0, s3 = s0;
            for (uint32_t b = from; b < to; b++, w += 64) {
                const int8_t *xb = x + 64u * b;
                const int8x16_t x0 = vld1q_s8(xb), x1 = vld1q_s8(xb + 16), x2 = vld1q_s8(xb + 32), x3 = vld1q_s8(xb + 48);
                s0 = row_dot(s0, vld1q_u8(w), x0, x1, x2, x3);
                s1 = row_dot(s1, vld1q_u8(w + 16), x0, x1, x2, x3);
                s2 = row_dot(s2, vld1q_u8(w + 32), x0, x1, x2, x3);
                s3 = row_dot(s3, vld1q_u8(w + 48), x0, x1, x2, x3);
            }
            t0 = vpadalq_s16(t0, s0);
            t1 = vpadalq_s16(t1, s1);
            t2 = vpadalq_s16(t2, s2);
            t3 = vpadalq_s16(t3, s3);
        }
        const int32x4_t rows = vpaddq_s32(vpaddq_s32(t0, t1), vpaddq_s32(t2, t3));
        vst1q_s32(y + i, vsubq_s32(rows, vdupq_n_s32(xsum)));
    }
}

/* A product pair reaches 2 * 127^2 = 32258 <= 32767, since no code is -128; then it is widened. */
int32_t bm_dot_s8__neon(const int8_t *a, const int8_t *b, uint32_t len)
{
    int32x4_t acc = vdupq_n_s32(0);
    uint32_t k = 0;
    for (; k + 16u <= len; k += 16u) {
        const int8x16_t va = vld1q_s8(a + k), vb = vld1q_s8(b + k);
        const int16x8_t pair = vmull_s8(vget_low_s8(va), vget_low_s8(vb));
        acc = vpadalq_s16(acc, vmlal_high_s8(pair, va, vb));
    }
    int32_t sum = vaddvq_s32(acc);
    for (; k < len; k++) sum += a[k] * b[k];
    return sum;
}

void bm_dots_s8__neon(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    for (uint32_t i = 0; i < n; i++, a += stride) y[i] = bm_dot_s8__neon(a, q, len);
}

/* 8 columns in two quads; w <= 2^14 fits 16 bits. Bound: 2^14 * 127 * n < 2^31 for n <= 1032. */
void bm_wsum_s8__neon(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + 8u <= len; k += 8u) {
        int32x4_t low = vdupq_n_s32(0), high = low;
        for (uint32_t i = 0; i < n; i++) {
            const int16x8_t row = vmovl_s8(vld1_s8(v + (size_t)i * stride + k));
            low = vmlal_n_s16(low, vget_low_s16(row), (int16_t)w[i]);
            high = vmlal_high_n_s16(high, row, (int16_t)w[i]);
        }
        vst1q_s32(y + k, low);
        vst1q_s32(y + k + 4, high);
    }
    for (; k < len; k++) {
        int32_t acc = 0;
        for (uint32_t i = 0; i < n; i++) acc += w[i] * v[(size_t)i * stride + k];
        y[k] = acc;
    }
}

#endif
