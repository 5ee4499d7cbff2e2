/* SPDX-License-Identifier: MIT-0 */
/* What the x86 kernel families share. Include after <immintrin.h>-capable flags are known to be on. */
#ifndef BM_X86_H
#define BM_X86_H

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#include "bm_rest.h"

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

#if defined(BM_DPBUSD_256)
/* acc += four products of unsigned and signed bytes in each 32-bit lane. The instruction itself: around the intrinsic gcc 12
 * copies every accumulator, which is a third of a loop's instructions. */
static inline __m256i bm_dpbusd(__m256i acc, __m256i u, __m256i s)
{
    __asm__(BM_DPBUSD_256 : "+" BM_REGISTER(acc) : BM_REGISTER(u), BM_REGISTER(s));
    return acc;
}
#endif

static inline int32_t bm_sum8(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
    return _mm_cvtsi128_si32(s);
}

/* -- weighted sums ------------------------------------------------------------------------------
 * A weight up to 2^14 is 128 * high + low: two bytes, high <= 128, low <= 127. The bytes of four rows are interleaved, so that
 * a 32-bit lane is a column of four rows and one instruction adds four products to it. */

#define BM_PIECE 64u /* rows whose weights are split at a time */

/* 16 weights -> 16 bytes `high`, 16 bytes `low`. */
static inline void bm_split16(const int32_t *w, uint8_t *bytes)
{
    const __m256i a = bm_load(w), b = bm_load(w + 8), seven = _mm256_set1_epi32(127);
    const __m256i high = _mm256_packs_epi32(_mm256_srli_epi32(a, 7), _mm256_srli_epi32(b, 7));
    const __m256i low = _mm256_packs_epi32(_mm256_and_si256(a, seven), _mm256_and_si256(b, seven));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); /* the packs work on 128-bit halves */
    _mm256_storeu_si256(
        (__m256i *)(void *)bytes, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(high, low), order));
}

/* n <= BM_PIECE weights, 16 at a time; the last 16 are filled up with zeros. */
static inline void bm_split(const int32_t *w, uint32_t n, uint8_t *bytes)
{
    for (; n >= 16u; n -= 16u, w += 16, bytes += 32) bm_split16(w, bytes);
    if (n) {
        int32_t last[16] = {0};
        memcpy(last, w, n * sizeof *w);
        bm_split16(last, bytes);
    }
}

/* Bytes `high` of rows i .. i + 3; those of `low` are 16 further on. */
static inline const int8_t *bm_split_at(const uint8_t *bytes, uint32_t i)
{ return (const int8_t *)bytes + i / 16u * 32u + i % 16u; }

/* Lanes of 32-bit sums. Bound: |sum w v| <= 2^14 * 127 * n < 2^31 for n <= 1032, and so are 128 * high and low. */
#if defined(BM_DPBUSD_256)
typedef struct {
    __m256i high, low;
} bm_weighed;

static inline bm_weighed bm_weigh(bm_weighed s, __m256i high, __m256i low, __m256i v)
{
    s.high = bm_dpbusd(s.high, high, v);
    s.low = bm_dpbusd(s.low, low, v);
    return s;
}

static inline __m256i bm_weighed_sum(bm_weighed s)
{ return _mm256_add_epi32(_mm256_slli_epi32(s.high, 7), s.low); }
#else
typedef struct {
    __m256i sum;
} bm_weighed;

/* Pairs of products reach 2 * 128 * 127 = 32512 <= 32767. */
static inline bm_weighed bm_weigh(bm_weighed s, __m256i high, __m256i low, __m256i v)
{
    const __m256i a = _mm256_madd_epi16(_mm256_maddubs_epi16(high, v), _mm256_set1_epi16(128));
    const __m256i b = _mm256_madd_epi16(_mm256_maddubs_epi16(low, v), _mm256_set1_epi16(1));
    s.sum = _mm256_add_epi32(_mm256_add_epi32(s.sum, a), b);
    return s;
}

static inline __m256i bm_weighed_sum(bm_weighed s) { return s.sum; }
#endif

/* Columns 4 c .. 4 c + 3 and 16 + 4 c .. of 32: the unpacks work on 128-bit halves. */
static inline void bm_store_halves(int32_t *y, __m256i sum)
{
    _mm_storeu_si128((__m128i *)(void *)y, _mm256_castsi256_si128(sum));
    _mm_storeu_si128((__m128i *)(void *)(y + 16), _mm256_extracti128_si256(sum, 1));
}

typedef struct {
    bm_weighed c[4];
} bm_columns;

/* 32 columns of four rows. */
static inline bm_columns bm_add_rows(
    bm_columns s, const uint8_t *bytes, uint32_t i, const int8_t *v, size_t stride)
{
    const __m256i high = bm_broadcast4(bm_split_at(bytes, i)),
                  low = bm_broadcast4(bm_split_at(bytes, i) + 16);
    const __m256i r0 = bm_load(v), r1 = bm_load(v + stride);
    const __m256i r2 = bm_load(v + 2u * stride), r3 = bm_load(v + 3u * stride);
    const __m256i a = _mm256_unpacklo_epi8(r0, r1), b = _mm256_unpacklo_epi8(r2, r3);
    const __m256i c = _mm256_unpackhi_epi8(r0, r1), d = _mm256_unpackhi_epi8(r2, r3);
    s.c[0] = bm_weigh(s.c[0], high, low, _mm256_unpacklo_epi16(a, b));
    s.c[1] = bm_weigh(s.c[1], high, low, _mm256_unpackhi_epi16(a, b));
    s.c[2] = bm_weigh(s.c[2], high, low, _mm256_unpacklo_epi16(c, d));
    s.c[3] = bm_weigh(s.c[3], high, low, _mm256_unpackhi_epi16(c, d));
    return s;
}

/* The last rows, fewer than `most`, with rows of zeros behind them. */
static inline void bm_last_rows(
    const int8_t *v, size_t stride, uint32_t n, uint32_t most, uint32_t width, int8_t *rows)
{
    memset(rows, 0, most * width);
    for (uint32_t j = 0; j < n; j++) memcpy(rows + width * j, v + j * stride, width);
}

static inline void bm_wsum32(const int32_t *w, const int8_t *v, size_t stride, uint32_t n, int32_t *y)
{
    uint8_t bytes[2u * BM_PIECE];
    int8_t last[4u * 32u];
    bm_columns s;
    memset(&s, 0, sizeof s);
    for (uint32_t from = 0; from < n; from += BM_PIECE) {
        const uint32_t rows = n - from < BM_PIECE ? n - from : BM_PIECE;
        uint32_t i = 0;
        bm_split(w + from, rows, bytes);
        for (; i + 4u <= rows; i += 4u, v += 4u * stride) { s = bm_add_rows(s, bytes, i, v, stride); }
        if (i < rows) {
            bm_last_rows(v, stride, rows - i, 4u, 32u, last);
            s = bm_add_rows(s, bytes, i, last, 32u);
        }
    }
    for (uint32_t j = 0; j < 4u; j++) bm_store_halves(y + 4u * j, bm_weighed_sum(s.c[j]));
}

/* acc += 8 columns of two rows, whose bytes are interleaved, against their pair of 16-bit weights. */
static inline __m256i bm_add_pairs(__m256i acc, __m128i interleaved, __m256i weights)
{ return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_cvtepi8_epi16(interleaved), weights)); }

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

/* Columns of any number: those that no register is filled with one by one. */
static inline void bm_wsum(
    const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + 32u <= len; k += 32u) bm_wsum32(w, v + k, stride, n, y + k);
    for (; k + 16u <= len; k += 16u) bm_wsum16(w, v + k, stride, n, y + k);
    bm_wsum_rest(w, v, stride, n, k, len, y);
}

/* -- dot products -------------------------------------------------------------------------------- */

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

#if defined(BM_DPBUSD_256)
/* vpdpbusd takes one unsigned operand: a + 128, whose surplus is what lanes start below zero: 128 * sum of b.
 * Bound: 255 * 127 * 4096 < 2^27 on the way. */
static inline __m256i bm_lanes_start(const int8_t *b, uint32_t len)
{
    __m256i acc = _mm256_setzero_si256();
    for (uint32_t k = 0; k < len; k += 32u)
        acc = bm_dpbusd(acc, _mm256_set1_epi8((char)0x80), bm_load(b + k));
    return _mm256_sub_epi32(_mm256_setzero_si256(), acc);
}

static inline __m256i bm_add_lanes(__m256i acc, __m256i a, __m256i b)
{ return bm_dpbusd(acc, _mm256_xor_si256(a, _mm256_set1_epi8((char)0x80)), b); }
#else
static inline __m256i bm_lanes_start(const int8_t *b, uint32_t len)
{
    (void)b, (void)len;
    return _mm256_setzero_si256();
}

/* |b| * (a with b's sign): pairs reach 2 * 127^2 = 32258 <= 32767, since no code is -128. */
static inline __m256i bm_add_lanes(__m256i acc, __m256i a, __m256i b)
{
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(b), _mm256_sign_epi8(a, b));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif

static inline __m256i bm_lanes(__m256i acc, const int8_t *a, const int8_t *b, uint32_t len)
{
    for (uint32_t k = 0; k < len; k += 32u) acc = bm_add_lanes(acc, bm_load(a + k), bm_load(b + k));
    return acc;
}

static inline int32_t bm_dot(const int8_t *a, const int8_t *b, uint32_t len)
{
    const uint32_t whole = len & ~31u;
    int32_t sum = bm_sum8(bm_lanes(bm_lanes_start(b, whole), a, b, whole));
    for (uint32_t k = whole; k < len; k++) sum += a[k] * b[k];
    return sum;
}

/* Two rows, each lane of the first half of a 128-bit lane plus one of the second: a, a, b, b. */
static inline __m256i bm_two_rows(
    __m256i start, const int8_t *a, size_t stride, const int8_t *q, uint32_t len)
{
    const __m256i s = bm_lanes(start, a, q, len), t = bm_lanes(start, a + stride, q, len);
    return _mm256_add_epi32(_mm256_blend_epi32(s, t, 0xCC), _mm256_alignr_epi8(t, s, 8));
}

/* Eight rows share one tree of horizontal sums. Returns the rows done. */
static inline uint32_t bm_dots8(
    const int8_t *a, size_t stride, const int8_t *restrict q, uint32_t n, uint32_t len, int32_t *restrict y)
{
    const __m256i start = bm_lanes_start(q, len);
    uint32_t i = 0;
    for (; i + 8u <= n; i += 8u, a += 8u * stride) {
        const __m256i sum = bm_sum_rows(bm_two_rows(start, a, stride, q, len),
            bm_two_rows(start, a + 2u * stride, stride, q, len),
            bm_two_rows(start, a + 4u * stride, stride, q, len),
            bm_two_rows(start, a + 6u * stride, stride, q, len));
        _mm256_storeu_si256((__m256i *)(void *)(y + i), sum);
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
