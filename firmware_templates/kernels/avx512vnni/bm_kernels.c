/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `avx512vnni`: x86-64 with AVX-512 F, BW, VL and VNNI.
 *
 * Layout (codegen/pack.py): tiles of 16 rows x 16 k = 64 bytes, a tile's k blocks one after the other:
 *
 *     byte 4 r + j of a tile, plane p (bits 2p, 2p+1) = code of row r, k = 4 p + j,   code = w + 1
 *
 * Output-stationary: each 32-bit lane belongs to one row, so there is no horizontal sum. vpdpbusd multiplies four
 * unsigned bytes by four signed ones and adds them to the lane without saturation. A plane is masked but not
 * shifted, so it stands for 4^p times its code; every plane has its own accumulator and is shifted once, at the end.
 */
#include "bm_kernels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__AVX512BW__)

#define BM_DPBUSD _mm256_dpbusd_epi32
#include "bm_x86.h"

int bm_kernels_supported(void)
{
    const unsigned foundation = (unsigned)bit_AVX512F | (unsigned)bit_AVX512BW | (unsigned)bit_AVX512VL;
    const bm_x86_features f = bm_x86_detect(BM_ZMM);
    return (f.ebx & foundation) == foundation && (f.ecx & bit_AVX512VNNI);
}

static inline __m512i broadcast4(const int8_t *x)
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return _mm512_set1_epi32(v);
}

/* Accumulators of one tile by plane. */
typedef struct {
    __m512i p0, p1, p2, p3;
} sums;

#define AHEAD 1024 /* bytes: hides the latency of the third cache level, where the head lies */

static inline sums add_tile(sums t, const uint8_t *w, __m512i x0, __m512i x1, __m512i x2, __m512i x3)
{
    _mm_prefetch((const char *)(w + AHEAD), _MM_HINT_T0);
    const __m512i codes = _mm512_loadu_si512(w);
    t.p0 = _mm512_dpbusd_epi32(t.p0, _mm512_and_si512(codes, _mm512_set1_epi8(0x03)), x0);
    t.p1 = _mm512_dpbusd_epi32(t.p1, _mm512_and_si512(codes, _mm512_set1_epi8(0x0C)), x1);
    t.p2 = _mm512_dpbusd_epi32(t.p2, _mm512_and_si512(codes, _mm512_set1_epi8(0x30)), x2);
    t.p3 = _mm512_dpbusd_epi32(t.p3, _mm512_and_si512(codes, _mm512_set1_epi8((char)0xC0)), x3);
    return t;
}

/* Lanes of plane p are multiples of 4^p, so the shifts are exact. */
static inline __m512i combine(sums t)
{
    return _mm512_add_epi32(_mm512_add_epi32(t.p0, _mm512_srai_epi32(t.p1, 2)),
        _mm512_add_epi32(_mm512_srai_epi32(t.p2, 4), _mm512_srai_epi32(t.p3, 6)));
}

/* Bound: plane 3 grows fastest, 128 * 127 for each of its K / 4 codes: 2^24 for K = 4096. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u * 4u;
    const size_t tile = (size_t)blocks * 64u;
    const __m512i zero = _mm512_setzero_si512();
    for (uint32_t i = 0; i < n; i += 32u, w += 2u * tile) {
        sums a = {_mm512_set1_epi32(-xsum), zero, zero, zero}, b = a;
        for (uint32_t c = 0; c < blocks; c++) {
            const int8_t *xc = x + 16u * c;
            const __m512i x0 = broadcast4(xc), x1 = broadcast4(xc + 4);
            const __m512i x2 = broadcast4(xc + 8), x3 = broadcast4(xc + 12);
            a = add_tile(a, w + 64u * c, x0, x1, x2, x3);
            b = add_tile(b, w + tile + 64u * c, x0, x1, x2, x3);
        }
        _mm512_storeu_si512(y + i, combine(a));
        _mm512_storeu_si512(y + i + 16, combine(b));
    }
}

int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len) { return bm_dot(a, b, len); }

void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{ bm_dots(a, stride, q, n, len, y); }

/* Two rows' bytes, widened, against their pair of 16-bit weights. The unpacks work on 128-bit quarters. */
static inline void add_two_rows(__m512i acc[2], __m256i first, __m256i second, __m512i weights)
{
    acc[0] = _mm512_dpwssd_epi32(acc[0], _mm512_cvtepi8_epi16(_mm256_unpacklo_epi8(first, second)), weights);
    acc[1] = _mm512_dpwssd_epi32(acc[1], _mm512_cvtepi8_epi16(_mm256_unpackhi_epi8(first, second)), weights);
}

/* 32 columns; w <= 2^14 fits 16 bits. Bound: 2^14 * 127 * n < 2^31 for n <= 1032. acc[0] holds columns 0-7 and
 * 16-23, acc[1] columns 8-15 and 24-31. */
static void wsum32(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y)
{
    __m512i even[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()}, odd[2] = {even[0], even[0]};
    uint32_t i = 0;
    for (; i + 4u <= n; i += 4u, v += 4u * (size_t)stride) {
        add_two_rows(even, bm_load(v), bm_load(v + stride), _mm512_set1_epi32(w[i] | w[i + 1u] << 16));
        add_two_rows(odd, bm_load(v + 2u * (size_t)stride), bm_load(v + 3u * (size_t)stride),
            _mm512_set1_epi32(w[i + 2u] | w[i + 3u] << 16));
    }
    for (; i < n; i++, v += stride)
        add_two_rows(even, bm_load(v), _mm256_setzero_si256(), _mm512_set1_epi32(w[i]));
    const __m512i a = _mm512_add_epi32(even[0], odd[0]), b = _mm512_add_epi32(even[1], odd[1]);
    _mm256_storeu_si256((__m256i *)(void *)y, _mm512_castsi512_si256(a));
    _mm256_storeu_si256((__m256i *)(void *)(y + 8), _mm512_castsi512_si256(b));
    _mm256_storeu_si256((__m256i *)(void *)(y + 16), _mm512_extracti64x4_epi64(a, 1));
    _mm256_storeu_si256((__m256i *)(void *)(y + 24), _mm512_extracti64x4_epi64(b, 1));
}

void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + 32u <= len; k += 32u) wsum32(w, v + k, stride, n, y + k);
    bm_wsum_rest(w, v, stride, n, k, len, y);
}

#else
#error "avx512vnni kernels: compile with -mavx512vnni, or generate the project with --kernels portable"
#endif
