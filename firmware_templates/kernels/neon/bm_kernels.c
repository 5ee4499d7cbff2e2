/* SPDX-License-Identifier: MIT-0 */
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

#include "bm_neon.h"

#define FLUSH 8u /* blocks per 16-bit accumulation */

int bm_kernels_supported(void) { return 1; /* part of every ARMv8-A */ }

/* 16-bit sums of one row: s of planes 0 and 2; f of planes 1 and 3, which are masked in place and so stand for
 * four times their code. That leaves one shift per 16 bytes; two chains also hide the latency of smlal. */
typedef struct {
    int16x8_t s, f;
} sums;

static inline int16x8_t multiply_add(int16x8_t acc, uint8x16_t codes, int8x16_t x)
{
    const int8x16_t c = vreinterpretq_s8_u8(codes);
    return vmlal_high_s8(vmlal_s8(acc, vget_low_s8(c), vget_low_s8(x)), c, x);
}

static inline sums add_row(sums t, uint8x16_t w, int8x16_t x0, int8x16_t x1, int8x16_t x2, int8x16_t x3)
{
    const uint8x16_t three = vdupq_n_u8(3), twelve = vdupq_n_u8(12), high = vshrq_n_u8(w, 4);
    t.s = multiply_add(t.s, vandq_u8(w, three), x0);
    t.f = multiply_add(t.f, vandq_u8(w, twelve), x1);
    t.s = multiply_add(t.s, vandq_u8(high, three), x2);
    t.f = multiply_add(t.f, vandq_u8(high, twelve), x3);
    return t;
}

/* acc += s + f / 4, widened; f's lanes are multiples of 4, so the shift is exact. */
static inline int32x4_t flush(int32x4_t acc, sums t) { return vpadalq_s16(acc, vsraq_n_s16(t.s, t.f, 2)); }

/* Bounds of the 16-bit lanes, whose sums may come in any order:
 *   f grows per block by at most 2 planes * 2 halves * 8 * 127 = 4064; 8 blocks * 4064 = 32512 <= 32767;
 *   s + f / 4 in flush: 8 blocks * 4 planes * 2 halves * 2 * 127 = 16256 <= 32767.
 * The 32-bit lanes: 2 * 127 * K < 2^31 for K <= 4096. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u;
    const sums zero = {vdupq_n_s16(0), vdupq_n_s16(0)};
    for (uint32_t i = 0; i < n; i += 4u) {
        int32x4_t a = vdupq_n_s32(0), b = a, c = a, d = a;
        for (uint32_t from = 0; from < blocks; from += FLUSH) {
            const uint32_t to = from + FLUSH < blocks ? from + FLUSH : blocks;
            sums ta = zero, tb = zero, tc = zero, td = zero;
            for (uint32_t block = from; block < to; block++, w += 64) {
                const int8_t *xb = x + 64u * block;
                const int8x16_t x0 = vld1q_s8(xb), x1 = vld1q_s8(xb + 16);
                const int8x16_t x2 = vld1q_s8(xb + 32), x3 = vld1q_s8(xb + 48);
                ta = add_row(ta, vld1q_u8(w), x0, x1, x2, x3);
                tb = add_row(tb, vld1q_u8(w + 16), x0, x1, x2, x3);
                tc = add_row(tc, vld1q_u8(w + 32), x0, x1, x2, x3);
                td = add_row(td, vld1q_u8(w + 48), x0, x1, x2, x3);
            }
            a = flush(a, ta);
            b = flush(b, tb);
            c = flush(c, tc);
            d = flush(d, td);
        }
        const int32x4_t rows = vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
        vst1q_s32(y + i, vsubq_s32(rows, vdupq_n_s32(xsum)));
    }
}

int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len) { return bm_dot(a, b, len); }

void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{ bm_dots(a, stride, q, n, len, y); }

void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{ bm_wsum(w, v, stride, n, len, y); }

#else
#error "neon kernels: compile for 64-bit Arm (aarch64), or generate the project with --kernels portable"
#endif
