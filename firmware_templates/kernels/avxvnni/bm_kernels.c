/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `avxvnni`: x86-64 with the 256-bit AVX-VNNI of processors without AVX-512. With the flags of
 * `avx512vnni` the same operations are encoded differently.
 *
 * Layout (codegen/pack.py), that of `avx2`: tiles of 8 rows x 16 k = 32 bytes, a tile's k blocks one after the other:
 *
 *     byte 4 r + j of a tile, plane p (bits 2p, 2p+1) = code of row r, k = 4 p + j,   code = w + 1
 *
 * Output-stationary and masked in place, as in `avx512vnni`, with half as wide a register.
 */
#include "bm_kernels.h"

#if defined(__AVXVNNI__) || (defined(__AVX512VNNI__) && defined(__AVX512VL__))

#if defined(__AVXVNNI__)
#define BM_DPBUSD_256 "%{vex%} vpdpbusd %2, %1, %0"
#define BM_REGISTER "x"
#else
#define BM_DPBUSD_256 "vpdpbusd %2, %1, %0"
#define BM_REGISTER "v"
#endif
#include "bm_x86.h"

int bm_kernels_supported(void)
{
#if defined(__AVXVNNI__)
    const bm_x86_features f = bm_x86_detect(BM_YMM);
    return (f.ebx & bit_AVX2) && (f.eax1 & 1u << 4);
#else
    const bm_x86_features f = bm_x86_detect(BM_ZMM);
    return (f.ebx & (unsigned)bit_AVX512VL) && (f.ecx & bit_AVX512VNNI);
#endif
}

/* Accumulators of one tile by plane. */
typedef struct {
    __m256i p0, p1, p2, p3;
} sums;

static inline sums add_tile(sums t, const uint8_t *w, __m256i x0, __m256i x1, __m256i x2, __m256i x3)
{
    const __m256i codes = bm_load(w);
    t.p0 = bm_dpbusd(t.p0, _mm256_and_si256(codes, _mm256_set1_epi8(0x03)), x0);
    t.p1 = bm_dpbusd(t.p1, _mm256_and_si256(codes, _mm256_set1_epi8(0x0C)), x1);
    t.p2 = bm_dpbusd(t.p2, _mm256_and_si256(codes, _mm256_set1_epi8(0x30)), x2);
    t.p3 = bm_dpbusd(t.p3, _mm256_and_si256(codes, _mm256_set1_epi8((char)0xC0)), x3);
    return t;
}

/* Lanes of plane p are multiples of 4^p, so the shifts are exact. */
static inline __m256i combine(sums t)
{
    return _mm256_add_epi32(_mm256_add_epi32(t.p0, _mm256_srai_epi32(t.p1, 2)),
        _mm256_add_epi32(_mm256_srai_epi32(t.p2, 4), _mm256_srai_epi32(t.p3, 6)));
}

/* Bound: plane 3 grows fastest, 128 * 127 for each of its K / 4 codes: 2^24 for K = 4096. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u * 4u;
    const size_t tile = (size_t)blocks * 32u;
    const __m256i zero = _mm256_setzero_si256();
    for (uint32_t i = 0; i < n; i += 16u, w += 2u * tile) {
        sums a = {_mm256_set1_epi32(-xsum), zero, zero, zero}, b = a;
        for (uint32_t c = 0; c < blocks; c++) {
            const int8_t *xc = x + 16u * c;
            const __m256i x0 = bm_broadcast4(xc), x1 = bm_broadcast4(xc + 4);
            const __m256i x2 = bm_broadcast4(xc + 8), x3 = bm_broadcast4(xc + 12);
            a = add_tile(a, w + 32u * c, x0, x1, x2, x3);
            b = add_tile(b, w + tile + 32u * c, x0, x1, x2, x3);
        }
        _mm256_storeu_si256((__m256i *)(void *)(y + i), combine(a));
        _mm256_storeu_si256((__m256i *)(void *)(y + i + 8), combine(b));
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
#error "avxvnni kernels: compile for x86-64 with -mavxvnni, or generate the project with --kernels portable"
#endif
