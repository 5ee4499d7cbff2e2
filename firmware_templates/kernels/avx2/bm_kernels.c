/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `avx2`: x86-64 with AVX2.
 *
 * Layout (codegen/pack.py, "stationary8"): tiles of 8 rows x 16 k = 32 bytes, a tile's k blocks one after the other:
 *
 *     byte 4 r + j of a tile, plane p (bits 2p, 2p+1) = code of row r, k = 4 p + j,   code = w + 1
 *
 * Output-stationary: each 32-bit lane belongs to one row, so there is no horizontal sum. Four bytes of x are
 * broadcast to all rows. Two tiles (16 rows) share the broadcasts.
 */
#include "bm_kernels.h"

#if defined(__AVX2__)

#include "bm_x86.h"

#define FLUSH 8u /* k blocks per 16-bit accumulation */

int bm_kernels_supported(void) { return (bm_x86_detect(BM_YMM).ebx & bit_AVX2) != 0; }

/* Codes (0..2) of one mask times x, pairs summed to 16 bits, for the planes of both halves of a byte. */
static __m256i planes(__m256i low, __m256i high, __m256i mask, __m256i x_low, __m256i x_high)
{
    return _mm256_add_epi16(_mm256_maddubs_epi16(_mm256_and_si256(low, mask), x_low),
        _mm256_maddubs_epi16(_mm256_and_si256(high, mask), x_high));
}

/* 16-bit sums of one tile: s of planes 0 and 2; f of planes 1 and 3, which are masked in place and so stand for
 * four times their code. That leaves one shift per 32 bytes. */
typedef struct {
    __m256i s, f;
} sums;

static sums add_tile(sums t, __m256i w, __m256i x0, __m256i x1, __m256i x2, __m256i x3)
{
    const __m256i high = _mm256_srli_epi16(w, 4);
    t.s = _mm256_add_epi16(t.s, planes(w, high, _mm256_set1_epi8(3), x0, x2));
    t.f = _mm256_add_epi16(t.f, planes(w, high, _mm256_set1_epi8(12), x1, x3));
    return t;
}

/* acc += s + f / 4, widened; f's lanes are multiples of 4, so the shift is exact. */
static __m256i flush(__m256i acc, sums t)
{
    const __m256i one = _mm256_set1_epi16(1);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_add_epi16(t.s, _mm256_srai_epi16(t.f, 2)), one));
}

/* Bounds of the 16-bit lanes, whose sums may come in any order:
 *   f grows per block by at most 2 planes * 2 pairs * 8 * 127 = 4064; 8 blocks * 4064 = 32512 <= 32767;
 *   s + f / 4 in flush: 8 blocks * 4 planes * 2 pairs * 2 * 127 = 16256 <= 32767.
 * The 32-bit lanes: 2 * 127 * K < 2^31 for K <= 4096. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u * 4u;
    const size_t tile = (size_t)blocks * 32u;
    for (uint32_t i = 0; i < n; i += 16u, w += 2u * tile) {
        __m256i a = _mm256_set1_epi32(-xsum), b = a;
        for (uint32_t from = 0; from < blocks; from += FLUSH) {
            const uint32_t to = from + FLUSH < blocks ? from + FLUSH : blocks;
            sums ta = {_mm256_setzero_si256(), _mm256_setzero_si256()}, tb = ta;
            for (uint32_t c = from; c < to; c++) {
                const int8_t *xc = x + 16u * c;
                const __m256i x0 = bm_broadcast4(xc), x1 = bm_broadcast4(xc + 4);
                const __m256i x2 = bm_broadcast4(xc + 8), x3 = bm_broadcast4(xc + 12);
                ta = add_tile(ta, bm_load(w + 32u * c), x0, x1, x2, x3);
                tb = add_tile(tb, bm_load(w + tile + 32u * c), x0, x1, x2, x3);
            }
            a = flush(a, ta);
            b = flush(b, tb);
        }
        _mm256_storeu_si256((__m256i *)(void *)(y + i), a);
        _mm256_storeu_si256((__m256i *)(void *)(y + i + 8), b);
    }
}

int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len) { return bm_dot(a, b, len); }

void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{ bm_dots(a, stride, q, n, len, y); }

void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{ bm_wsum(w, v, stride, n, len, y); }

#define BM_VECTOR 32
#include "bm_x86_exp.h"

#else
#error "avx2 kernels: compile for x86-64 with -mavx2, or generate the project with --kernels portable"
#endif
