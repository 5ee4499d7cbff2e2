/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `neondot`: ARMv8.2-A with the dot product, as on the Cortex-A76.
 *
 * Layout (codegen/pack.py): tiles of 4 rows x 16 k = 16 bytes, a tile's k blocks one after the other:
 *
 *     byte 4 r + j of a tile, plane p (bits 2p, 2p+1) = code of row r, k = 4 p + j,   code = w + 1
 *
 * Output-stationary: each 32-bit lane belongs to one row. sdot by lane multiplies every row's four bytes with the four
 * bytes of x that lane p holds, so 16 k of x are one load. Planes 1 and 2 are masked in place and stand for 4 and 16
 * times their code; plane 3 would reach 128, beyond int8, and is shifted down instead, which needs no mask.
 */
#include "bm_kernels.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

#define BM_DOT_PRODUCT
#include "bm_neon.h"

/* Field DP of the identification register, which Linux (4.11 and later) lets programs read, too. */
int bm_kernels_supported(void)
{
    uint64_t features;
    __asm__("mrs %0, ID_AA64ISAR0_EL1" : "=r"(features));
    return (features >> 44 & 15u) != 0;
}

/* sums.p0 also takes plane 3: both stand for their code. */
typedef struct {
    int32x4_t p0, p1, p2;
} sums;

static inline int8x16_t masked(uint8x16_t w, uint8_t mask)
{ return vreinterpretq_s8_u8(vandq_u8(w, vdupq_n_u8(mask))); }

static inline sums add_tile(sums t, const uint8_t *w, int8x16_t x)
{
    const uint8x16_t codes = vld1q_u8(w);
    t.p0 = vdotq_laneq_s32(t.p0, masked(codes, 0x03), x, 0);
    t.p1 = vdotq_laneq_s32(t.p1, masked(codes, 0x0C), x, 1);
    t.p2 = vdotq_laneq_s32(t.p2, masked(codes, 0x30), x, 2);
    t.p0 = vdotq_laneq_s32(t.p0, vreinterpretq_s8_u8(vshrq_n_u8(codes, 6)), x, 3);
    return t;
}

/* Lanes of plane p are multiples of 4^p, so the shifts are exact. */
static inline int32x4_t combine(sums t) { return vsraq_n_s32(vsraq_n_s32(t.p0, t.p1, 2), t.p2, 4); }

/* Four tiles, 16 rows, share the load of x. Bound: plane 2 grows fastest, 32 * 127 for each of its K / 4 codes:
 * 2^22 for K = 4096. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u * 4u;
    const size_t tile = (size_t)blocks * 16u;
    const int32x4_t zero = vdupq_n_s32(0);
    for (uint32_t i = 0; i < n; i += 16u, w += 4u * tile) {
        sums a = {vdupq_n_s32(-xsum), zero, zero}, b = a, c = a, d = a;
        for (uint32_t j = 0; j < blocks; j++) {
            const int8x16_t xj = vld1q_s8(x + 16u * j);
            const uint8_t *wj = w + 16u * j;
            a = add_tile(a, wj, xj);
            b = add_tile(b, wj + tile, xj);
            c = add_tile(c, wj + 2u * tile, xj);
            d = add_tile(d, wj + 3u * tile, xj);
        }
        vst1q_s32(y + i, combine(a));
        vst1q_s32(y + i + 4, combine(b));
        vst1q_s32(y + i + 8, combine(c));
        vst1q_s32(y + i + 12, combine(d));
    }
}

int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len) { return bm_dot(a, b, len); }

void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{ bm_dots(a, stride, q, n, len, y); }

void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{ bm_wsum(w, v, stride, n, len, y); }

#else
#error "neondot kernels: compile for aarch64 with +dotprod, or generate the project with --kernels portable"
#endif
