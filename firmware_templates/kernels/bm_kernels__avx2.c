/* Kernel family `avx2`: x86-64 with AVX2. Compile this file with -mavx2.
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

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#define FLUSH 16u /* k blocks per 16-bit accumulation */

/* AVX2 in the processor, and its registers saved by the operating system. */
int bm_supported__avx2(void)
{
    unsigned a, b, c, d, xcr0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    __asm__ __volatile__("xgetbv" : "=a"(xcr0), "=d"(d) : "c"(0));
    if ((xcr0 & 6u) != 6u || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    return (b & bit_AVX2) != 0;
}

static __m256i broadcast4(const int8_t *x)
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return _mm256_set1_epi32(v);
}

static __m256i load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* One 32-byte tile: codes (0..2) times x, pairs summed to 16 bits. |lane| <= 4 planes * 2 * 2 * 127 = 2032. */
static __m256i tile_dot(__m256i w, __m256i x0, __m256i x1, __m256i x2, __m256i x3)
{
    const __m256i three = _mm256_set1_epi8(3);
    const __m256i p0 = _mm256_maddubs_epi16(_mm256_and_si256(w, three), x0);
    const __m256i p1 = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(w, 2), three), x1);
    const __m256i p2 = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(w, 4), three), x2);
    const __m256i p3 = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(w, 6), three), x3);
    return _mm256_add_epi16(_mm256_add_epi16(p0, p1), _mm256_add_epi16(p2, p3));
}

/* Bound: 16 blocks * 2032 = 32512 <= 32767, so no 16-bit lane can wrap before it is widened. */
void bm_gemv_t2s8__avx2(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u * 4u;
    const size_t tile = (size_t)blocks * 32u;
    const __m256i one = _mm256_set1_epi16(1);
    for (uint32_t i = 0; i < n; i += 16u, w += 2u * tile) {
        __m256i a = _mm256_set1_epi32(-xsum), b = a;
        for (uint32_t from = 0; from < blocks; from += FLUSH) {
            const uint32_t to = from + FLUSH < blocks ? from + FLUSH : blocks;
            __m256i sa = _mm256_setzero_si256(), sb = sa;
            for (uint32_t c = from; c < to; c++) {
                const int8_t *xc = x + 16u * c;
                const __m256i x0 = broadcast4(xc), x1 = broadcast4(xc + 4), x2 = broadcast4(xc + 8), x3 = broadcast4(xc + 12);
                sa = _mm256_add_epi16(sa, tile_dot(load(w + 32u * c), x0, x1, x2, x3));
                sb = _mm256_add_epi16(sb, tile_dot(load(w + tile + 32u * c), x0, x1, x2, x3));
            }
            a = _mm256_add_epi32(a, _mm256_madd_epi16(sa, one));
            b = _mm256_add_epi32(b, _mm256_madd_epi16(sb, one));
        }
        _mm256_storeu_si256((__m256i *)(void *)(y + i), a);
        _mm256_storeu_si256((__m256i *)(void *)(y + i + 8), b);
    }
}

/* |a| * (b with a's sign): pairs reach 2 * 127^2 = 32258 <= 32767, since no code is -128. */
static __m256i dot32(__m256i a, __m256i b)
{
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

static int32_t sum8(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
    return _mm_cvtsi128_si32(s);
}

int32_t bm_dot_s8__avx2(const int8_t *a, const int8_t *b, uint32_t len)
{
    __m256i acc = _mm256_setzero_si256();
    uint32_t k = 0;
    for (; k + 32u <= len; k += 32u) acc = _mm256_add_epi32(acc, dot32(load(a + k), load(b + k)));
    int32_t sum = sum8(acc);
    for (; k < len; k++) sum += a[k] * b[k];
    return sum;
}

void bm_dots_s8__avx2(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    for (uint32_t i = 0; i < n; i++, a += stride) y[i] = bm_dot_s8__avx2(a, q, len);
}

/* 8 columns: rows i and i+1 interleaved as 16-bit pairs against (w[i], w[i+1]); w <= 2^14 fits 16 bits.
 * Bound: 2^14 * 127 * n < 2^31 for n <= 1032. */
static void wsum8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y)
{
    __m256i acc = _mm256_setzero_si256();
    for (uint32_t i = 0; i < n; i += 2u) {
        const int8_t *first = v + (size_t)i * stride, *second = i + 1u < n ? first + stride : first;
        const int32_t w1 = i + 1u < n ? w[i + 1u] : 0;
        const __m128i a = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)first));
        const __m128i b = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)second));
        const __m256i pairs = _mm256_set_m128i(_mm_unpackhi_epi16(a, b), _mm_unpacklo_epi16(a, b));
        acc = _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi32(w[i] | w1 << 16)));
    }
    _mm256_storeu_si256((__m256i *)(void *)y, acc);
}

void bm_wsum_s8__avx2(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + 8u <= len; k += 8u) wsum8(w, v + k, stride, n, y + k);
    for (; k < len; k++) {
        int32_t acc = 0;
        for (uint32_t i = 0; i < n; i++) acc += w[i] * v[(size_t)i * stride + k];
        y[k] = acc;
    }
}

#endif
