/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `helium`: Armv8.1-M with MVE, as on the Cortex-M55. Integers only.
 *
 * Layout (codegen/pack.py), that of `neon`: groups of 4 rows; per group blocks of 64 k; per block 16 bytes of each row:
 *
 *     byte j of a row's 16, plane p (bits 2p, 2p+1) = code of k = 16 p + j,   code = w + 1
 *
 * vmladava multiplies 16 pairs of bytes and adds all products to a register of the core, so there is no horizontal sum.
 * There are eight vector registers: four hold x for four rows, one the mask, two a row's codes. Planes are therefore
 * shifted down, which needs one mask, and not masked in place, which needs three; a row has one sum, and not one a plane.
 * Tails are predicated: a lane that is off reads nothing and counts as zero.
 */
#include "bm_kernels.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)

#include <arm_mve.h>

#define MVFR1 (*(const volatile uint32_t *)(uintptr_t)0xE000EF44u) /* media and floating-point features */
#define CPACR (*(const volatile uint32_t *)(uintptr_t)0xE000ED88u) /* access to coprocessors */

/* Field MVE says whether the processor has it, field CP10 whether the start-up code has switched it on (Armv8-M Architecture
 * Reference Manual, DDI 0553). */
int bm_kernels_supported(void) { return (MVFR1 >> 8 & 15u) != 0 && (CPACR >> 20 & 3u) == 3u; }

/* acc += 64 codes of one row times x. */
static inline int32_t add_row(
    int32_t acc, const uint8_t *w, int8x16_t x0, int8x16_t x1, int8x16_t x2, int8x16_t x3)
{
    const uint8x16_t codes = vldrbq_u8(w), three = vdupq_n_u8(3);
    acc = vmladavaq_s8(acc, vreinterpretq_s8_u8(vandq_u8(codes, three)), x0);
    acc = vmladavaq_s8(acc, vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(codes, 2), three)), x1);
    acc = vmladavaq_s8(acc, vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(codes, 4), three)), x2);
    return vmladavaq_s8(acc, vreinterpretq_s8_u8(vshrq_n_u8(codes, 6)), x3);
}

/* Bound: codes reach 2, so |acc| <= (1 + 2) * 127 * K: 1.6 * 10^6 < 2^31 for K = 4096. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u;
    for (uint32_t i = 0; i < n; i += 4u) {
        int32_t a = -xsum, b = a, c = a, d = a; /* sum (code - 1) x = sum code x - sum x */
        const int8_t *xb = x;
        for (uint32_t block = 0; block < blocks; block++, w += 64, xb += 64) {
            const int8x16_t x0 = vldrbq_s8(xb), x1 = vldrbq_s8(xb + 16);
            const int8x16_t x2 = vldrbq_s8(xb + 32), x3 = vldrbq_s8(xb + 48);
            a = add_row(a, w, x0, x1, x2, x3);
            b = add_row(b, w + 16, x0, x1, x2, x3);
            c = add_row(c, w + 32, x0, x1, x2, x3);
            d = add_row(d, w + 48, x0, x1, x2, x3);
        }
        y[i] = a;
        y[i + 1u] = b;
        y[i + 2u] = c;
        y[i + 3u] = d;
    }
}

/* Bound: 127^2 * len < 2^31 for len <= 133,000. */
int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len)
{
    int32_t acc = 0;
    uint32_t k = 0;
    for (; k + 16u <= len; k += 16u) acc = vmladavaq_s8(acc, vldrbq_s8(a + k), vldrbq_s8(b + k));
    if (k < len) {
        const mve_pred16_t rest = vctp8q(len - k);
        acc = vmladavaq_s8(acc, vldrbq_z_s8(a + k, rest), vldrbq_z_s8(b + k, rest));
    }
    return acc;
}

/* Four rows share the load of q. The bound is that of bm_dot_s8. */
void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t i = 0;
    for (; i + 4u <= n; i += 4u, a += 4u * (size_t)stride) {
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (uint32_t k = 0; k < len; k += 16u) {
            const mve_pred16_t left = vctp8q(len - k);
            const int8x16_t qk = vldrbq_z_s8(q + k, left);
            s0 = vmladavaq_s8(s0, vldrbq_z_s8(a + k, left), qk);
            s1 = vmladavaq_s8(s1, vldrbq_z_s8(a + stride + k, left), qk);
            s2 = vmladavaq_s8(s2, vldrbq_z_s8(a + 2u * (size_t)stride + k, left), qk);
            s3 = vmladavaq_s8(s3, vldrbq_z_s8(a + 3u * (size_t)stride + k, left), qk);
        }
        y[i] = s0;
        y[i + 1u] = s1;
        y[i + 2u] = s2;
        y[i + 3u] = s3;
    }
    for (; i < n; i++, a += stride) y[i] = bm_dot_s8(a, q, len);
}

/* Sixteen columns, down the rows; bytes are widened as they are loaded. Bound: 2^14 * 127 * n < 2^31 for n <= 1032. */
static void wsum16(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y)
{
    int32x4_t a = vdupq_n_s32(0), b = a, c = a, d = a;
    for (uint32_t i = 0; i < n; i++, v += stride) {
        a = vmlaq_n_s32(a, vldrbq_s32(v), w[i]);
        b = vmlaq_n_s32(b, vldrbq_s32(v + 4), w[i]);
        c = vmlaq_n_s32(c, vldrbq_s32(v + 8), w[i]);
        d = vmlaq_n_s32(d, vldrbq_s32(v + 12), w[i]);
    }
    vstrwq_s32(y, a);
    vstrwq_s32(y + 4, b);
    vstrwq_s32(y + 8, c);
    vstrwq_s32(y + 12, d);
}

void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + 16u <= len; k += 16u) wsum16(w, v + k, stride, n, y + k);
    for (; k < len; k += 4u) {
        const mve_pred16_t left = vctp32q(len - k);
        int32x4_t acc = vdupq_n_s32(0);
        for (uint32_t i = 0; i < n; i++)
            acc = vmlaq_n_s32(acc, vldrbq_z_s32(v + (size_t)i * stride + k, left), w[i]);
        vstrwq_p_s32(y + k, acc, left);
    }
}

#else
#error "helium kernels: compile for Armv8.1-M with MVE, or generate the project with --kernels portable"
#endif
