/* SPDX-License-Identifier: MIT-0 */
/* What the x86 kernel families share. Include after <immintrin.h>-capable flags are known to be on. */
#ifndef BM_X86_H
#define BM_X86_H

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#define BM_YMM 0x06u /* registers in XCR0 */
#define BM_ZMM 0xE6u /* opmask, upper halves and registers 16-31, too */

/* CPUID leaf 7, when the operating system saves the registers `needed` (bits of XCR0); else all zero. */
typedef struct {
    unsigned ebx, ecx, eax1; /* eax1: of subleaf 1 */
} bm_x86_features;

static inline bm_x86_features bm_x86_detect(unsigned needed)
{
    const bm_x86_features none = {0, 0, 0};
    bm_x86_features f;
    unsigned a, b, c, d, xcr0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return none;
    __asm__ __volatile__("xgetbv" : "=a"(xcr0), "=d"(d) : "c"(0));
    if ((xcr0 & needed) != needed || !__get_cpuid_count(7, 0, &a, &f.ebx, &f.ecx, &d)) return none;
    f.eax1 = __get_cpuid_count(7, 1, &a, &b, &c, &d) ? a : 0;
    return f;
}

static inline __m256i bm_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

static inline __m128i bm_load16(const void *p) { return _mm_loadu_si128((const __m128i *)p); }

static inline __m256i bm_broadcast4(const int8_t *x)
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return _mm256_set1_epi32(v);
}

static inline int32_t bm_sum8(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
    return _mm_cvtsi128_si32(s);
}

/* acc += pairs of 16-bit products. */
#ifndef BM_MADD16
#define BM_MADD16(acc, a, b) _mm256_add_epi32(acc, _mm256_madd_epi16(a, b))
#endif

/* acc += 8 columns of two rows, whose bytes are interleaved, against their pair of 16-bit weights. */
static inline __m256i bm_add_pairs(__m256i acc, __m128i interleaved, __m256i weights)
{ return BM_MADD16(acc, _mm256_cvtepi8_epi16(interleaved), weights); }

/* 32 columns; w <= 2^14 fits 16 bits. Bound: 2^14 * 127 * n < 2^31 for n <= 1032. The unpacks work on 128-bit
 * halves, so the accumulators hold columns 0-7, 8-15, 16-23 and 24-31 in this order: a, b, c, d. */
static inline void bm_wsum32(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (uint32_t i = 0; i < n; i += 2u, v += 2u * (size_t)stride) {
        const int two = i + 1u < n; /* an odd last row is paired with itself, weight 0 */
        const __m256i weights = _mm256_set1_epi32(w[i] | (two ? w[i + 1u] << 16 : 0));
        const __m256i first = bm_load(v), second = bm_load(two ? v + stride : v);
        const __m256i low = _mm256_unpacklo_epi8(first, second), high = _mm256_unpackhi_epi8(first, second);
        a = bm_add_pairs(a, _mm256_castsi256_si128(low), weights);
        b = bm_add_pairs(b, _mm256_castsi256_si128(high), weights);
        c = bm_add_pairs(c, _mm256_extracti128_si256(low, 1), weights);
        d = bm_add_pairs(d, _mm256_extracti128_si256(high, 1), weights);
    }
    _mm256_storeu_si256((__m256i *)(void *)y, a);
    _mm256_storeu_si256((__m256i *)(void *)(y + 8), b);
    _mm256_storeu_si256((__m256i *)(void *)(y + 16), c);
    _mm256_storeu_si256((__m256i *)(void *)(y + 24), d);
}

/* 16 columns, for narrow heads. */
static inline void bm_wsum16(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y)
{
    __m256i a = _mm256_setzero_si256(), b = a;
    for (uint32_t i = 0; i < n; i += 2u, v += 2u * (size_t)stride) {
        const int two = i + 1u < n;
        const __m256i weights = _mm256_set1_epi32(w[i] | (two ? w[i + 1u] << 16 : 0));
        const __m128i first = bm_load16(v), second = bm_load16(two ? v + stride : v);
        a = bm_add_pairs(a, _mm_unpacklo_epi8(first, second), weights);
        b = bm_add_pairs(b, _mm_unpackhi_epi8(first, second), weights);
    }
    _mm256_storeu_si256((__m256i *)(void *)y, a);
    _mm256_storeu_si256((__m256i *)(void *)(y + 8), b);
}

/* Columns that no 256-bit register is filled with. */
static inline void bm_wsum_rest(
    const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t k, uint32_t len, int32_t *y)
{
    for (; k + 16u <= len; k += 16u) bm_wsum16(w, v + k, stride, n, y + k);
    for (; k < len; k++) {
        int32_t acc = 0;
        for (uint32_t i = 0; i < n; i++) acc += w[i] * v[(size_t)i * stride + k];
        y[k] = acc;
    }
}

/* Sums of eight rows of eight lanes each, in order. */
static inline __m256i bm_sum_rows(__m256i ab, __m256i cd, __m256i ef, __m256i gh)
{
    const __m256i low = _mm256_hadd_epi32(ab, cd), high = _mm256_hadd_epi32(ef, gh);
    return _mm256_add_epi32(
        _mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31));
}

/* Two rows of 16 against q, widened: pairs reach 2 * 127^2. */
static inline __m256i bm_two16(const int8_t *a, size_t stride, __m256i q)
{
    return _mm256_hadd_epi32(_mm256_madd_epi16(_mm256_cvtepi8_epi16(bm_load16(a)), q),
        _mm256_madd_epi16(_mm256_cvtepi8_epi16(bm_load16(a + stride)), q));
}

/* Rows of 16, eight at a time, for narrow heads. Returns the rows done. */
static inline uint32_t bm_dots16(const int8_t *a, size_t stride, const int8_t *q, uint32_t n, int32_t *y)
{
    const __m256i wide = _mm256_cvtepi8_epi16(bm_load16(q));
    uint32_t i = 0;
    for (; i + 8u <= n; i += 8u, a += 8u * stride)
        _mm256_storeu_si256((__m256i *)(void *)(y + i),
            bm_sum_rows(bm_two16(a, stride, wide), bm_two16(a + 2u * stride, stride, wide),
                bm_two16(a + 4u * stride, stride, wide), bm_two16(a + 6u * stride, stride, wide)));
    return i;
}

#if defined(BM_DPBUSD)

/* vpdpbusd takes one unsigned operand: a + 128, whose surplus 128 * sum(b) is taken off at the end.
 * Bound: 255 * 127 * 4096 < 2^27 before that. */
static inline __m256i bm_lanes(const int8_t *a, const int8_t *b, uint32_t len)
{
    const __m256i flip = _mm256_set1_epi8((char)0x80);
    __m256i acc = _mm256_setzero_si256();
    for (uint32_t k = 0; k < len; k += 32u)
        acc = BM_DPBUSD(acc, _mm256_xor_si256(bm_load(a + k), flip), bm_load(b + k));
    return acc;
}

/* 128 * sum(b), len a multiple of 32. */
static inline int32_t bm_surplus(const int8_t *b, uint32_t len)
{
    __m256i acc = _mm256_setzero_si256();
    for (uint32_t k = 0; k < len; k += 32u)
        acc = BM_DPBUSD(acc, _mm256_set1_epi8((char)0x80), bm_load(b + k));
    return bm_sum8(acc);
}

static inline int32_t bm_dot(const int8_t *a, const int8_t *b, uint32_t len)
{
    const uint32_t whole = len & ~31u;
    int32_t sum = bm_sum8(bm_lanes(a, b, whole)) - bm_surplus(b, whole);
    for (uint32_t k = whole; k < len; k++) sum += a[k] * b[k];
    return sum;
}

/* Eight rows share one tree of horizontal sums. Returns the rows done. */
static inline uint32_t bm_dots8(
    const int8_t *a, size_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    const __m256i surplus = _mm256_set1_epi32(bm_surplus(q, len));
    uint32_t i = 0;
    for (; i + 8u <= n; i += 8u, a += 8u * stride) {
        const __m256i ab = _mm256_hadd_epi32(bm_lanes(a, q, len), bm_lanes(a + stride, q, len));
        const __m256i cd = _mm256_hadd_epi32(
            bm_lanes(a + 2u * stride, q, len), bm_lanes(a + 3u * stride, q, len));
        const __m256i ef = _mm256_hadd_epi32(
            bm_lanes(a + 4u * stride, q, len), bm_lanes(a + 5u * stride, q, len));
        const __m256i gh = _mm256_hadd_epi32(
            bm_lanes(a + 6u * stride, q, len), bm_lanes(a + 7u * stride, q, len));
        _mm256_storeu_si256(
            (__m256i *)(void *)(y + i), _mm256_sub_epi32(bm_sum_rows(ab, cd, ef, gh), surplus));
    }
    return i;
}

/* The usual head width is known to the compiler; widths other than 16 and multiples of 32 go row by row. */
static inline void bm_dots(
    const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t i = 0;
    if (len == 32u) i = bm_dots8(a, stride, q, n, 32u, y);
    else if (len == 16u) i = bm_dots16(a, stride, q, n, y);
    else if (len % 32u == 0) i = bm_dots8(a, stride, q, n, len, y);
    for (; i < n; i++) y[i] = bm_dot(a + (size_t)i * stride, q, len);
}

#endif
#endif
