/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `avx512vnni`: x86-64 with AVX-512 F, BW, VL and VNNI.
 *
 * Layout (codegen/pack.py): tiles of 64 rows x 4 k = 64 bytes, a tile's k one after the other:
 *
 *     byte 4 r + j of a tile, plane p (bits 2p, 2p+1) = code of row 16 p + r, k = j,   code = w + 1
 *
 * Output-stationary: each 32-bit lane belongs to four rows, so there is no horizontal sum. vpdpbusd multiplies four
 * unsigned bytes by four signed ones and adds them to the lane without saturation. All planes of a byte are multiplied by the
 * same x, so planes need not be taken apart before the product: the sums of bytes masked to one, two, three and all four
 * planes differ by one plane's sum. The last needs no mask, which leaves 7 operations for 256 weights on the two ports that
 * Intel's processors have for 512 bits.
 */
#include "bm_kernels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__AVX512BW__)

#define BM_DPBUSD_256 "vpdpbusd %2, %1, %0"
#define BM_REGISTER "v"
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

static inline __m512i dot4(__m512i acc, __m512i u, __m512i s)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(u), "v"(s));
    return acc;
}

/* Sums of the bytes masked to as many planes. */
typedef struct {
    __m512i one, two, three, four;
} sums;

#define AHEAD 1024 /* bytes: hides the latency of the third cache level, where the head lies */

static inline sums add_tile(sums t, const uint8_t *w, const int8_t *x)
{
    const __m512i codes = _mm512_loadu_si512(w), four = broadcast4(x);
    _mm_prefetch((const char *)(w + AHEAD), _MM_HINT_T0);
    t.one = dot4(t.one, _mm512_and_si512(codes, _mm512_set1_epi8(0x03)), four);
    t.two = dot4(t.two, _mm512_and_si512(codes, _mm512_set1_epi8(0x0F)), four);
    t.three = dot4(t.three, _mm512_and_si512(codes, _mm512_set1_epi8(0x3F)), four);
    t.four = dot4(t.four, codes, four);
    return t;
}

static inline sums both(sums a, sums b)
{
    const sums s = {_mm512_add_epi32(a.one, b.one), _mm512_add_epi32(a.two, b.two),
        _mm512_add_epi32(a.three, b.three), _mm512_add_epi32(a.four, b.four)};
    return s;
}

/* Plane p of a tile, n rows at most: its sums stand for 4^p times the rows', so the shift is exact. */
static inline void store_plane(int32_t *y, uint32_t n, uint32_t p, __m512i more, __m512i less)
{
    if (16u * p < n)
        _mm512_storeu_si512(y + 16u * p, _mm512_srai_epi32(_mm512_sub_epi32(more, less), 2u * p));
}

/* Two sets of sums, since an addition takes longer than half a tile. They start at -xsum for every row: times 1 + 4 + 16 + 64
 * for all four planes. Bound: (2 + 8 + 32 + 128) * 127 * K < 2^27 for K = 4096, and 85 * 127 * K before that. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t end = (k + 63u) / 64u * 64u;
    const __m512i zero = _mm512_setzero_si512();
    for (uint32_t i = 0; i < n; i += 64u) {
        sums a = {_mm512_set1_epi32(-xsum), _mm512_set1_epi32(-5 * xsum), _mm512_set1_epi32(-21 * xsum),
            _mm512_set1_epi32(-85 * xsum)};
        sums b = {zero, zero, zero, zero};
        for (uint32_t c = 0; c < end; c += 16u, w += 256) {
            a = add_tile(a, w, x + c);
            b = add_tile(b, w + 64, x + c + 4);
            a = add_tile(a, w + 128, x + c + 8);
            b = add_tile(b, w + 192, x + c + 12);
        }
        a = both(a, b);
        store_plane(y + i, n - i, 0, a.one, zero);
        store_plane(y + i, n - i, 1, a.two, a.one);
        store_plane(y + i, n - i, 2, a.three, a.two);
        store_plane(y + i, n - i, 3, a.four, a.three);
    }
}

int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len) { return bm_dot(a, b, len); }

void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{ bm_dots(a, stride, q, n, len, y); }

/* Two rows of two heads of 32, each lane of the first half of a 128-bit lane plus one of the second: a, a, b, b. */
static inline __m512i two_rows(const int8_t *a, size_t stride, __m512i q, __m512i start)
{
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    const __m512i s = dot4(start, _mm512_xor_si512(_mm512_loadu_si512(a), flip), q);
    const __m512i t = dot4(start, _mm512_xor_si512(_mm512_loadu_si512(a + stride), flip), q);
    return _mm512_add_epi32(_mm512_mask_blend_epi64(0xAA, s, t), _mm512_alignr_epi8(t, s, 8));
}

/* Sums of neighbours: in each 128-bit lane a, a, b, b. */
static inline __m512i neighbours(__m512i a, __m512i b)
{
    const __m512 f = _mm512_castsi512_ps(a), g = _mm512_castsi512_ps(b);
    return _mm512_add_epi32(_mm512_castps_si512(_mm512_shuffle_ps(f, g, 0x88)),
        _mm512_castps_si512(_mm512_shuffle_ps(f, g, 0xDD)));
}

/* bm_dots8 with a head in each half of the registers. */
static inline void dots8(const int8_t *a, size_t stride, __m512i q, int32_t *y, uint32_t apart)
{
    const __m512i start = _mm512_sub_epi32(
        _mm512_setzero_si512(), dot4(_mm512_setzero_si512(), _mm512_set1_epi8((char)0x80), q));
    const __m512i first = neighbours(
        two_rows(a, stride, q, start), two_rows(a + 2u * stride, stride, q, start));
    const __m512i second = neighbours(
        two_rows(a + 4u * stride, stride, q, start), two_rows(a + 6u * stride, stride, q, start));
    const __m512i sum = _mm512_add_epi32(
        _mm512_shuffle_i32x4(first, second, 0x88), _mm512_shuffle_i32x4(first, second, 0xDD));
    const __m512i heads = _mm512_shuffle_i32x4(sum, sum, 0xD8);
    _mm256_storeu_si256((__m256i *)(void *)y, _mm512_castsi512_si256(heads));
    _mm256_storeu_si256((__m256i *)(void *)(y + apart), _mm512_extracti64x4_epi64(heads, 1));
}

/* Row by row over all heads, as the cache lies: then the processor fetches it ahead. */
void bm_dots_heads(const int8_t *a, uint32_t stride, const int8_t *restrict q, uint32_t n, uint32_t len,
    uint32_t heads, int32_t *restrict y, uint32_t apart)
{
    const uint32_t pairs = len == 32u ? heads / 2u * 2u : 0;
    uint32_t i = 0;
    for (; pairs && i + 8u <= n; i += 8u)
        for (uint32_t h = 0; h < pairs; h += 2u)
            dots8(a + (size_t)i * stride + 32u * h, stride, _mm512_loadu_si512(q + 32u * h),
                y + h * apart + i, apart);
    for (uint32_t h = 0; h < heads; h++) {
        const uint32_t done = h < pairs ? i : 0;
        bm_dots(
            a + (size_t)done * stride + len * h, stride, q + len * h, n - done, len, y + h * apart + done);
    }
}

/* Sums of columns 4 c .. 4 c + 3, c = 0 .. 3, of each half of two heads. */
typedef struct {
    __m512i c0, c1, c2, c3;
} quarters;

typedef struct {
    quarters high, low;
} columns;

static inline quarters add_columns(
    quarters s, __m512i weights, __m512i q0, __m512i q1, __m512i q2, __m512i q3)
{
    s.c0 = dot4(s.c0, weights, q0);
    s.c1 = dot4(s.c1, weights, q1);
    s.c2 = dot4(s.c2, weights, q2);
    s.c3 = dot4(s.c3, weights, q3);
    return s;
}

/* Four weights for each half. */
static inline __m512i two_weights(const int8_t *first, const int8_t *second)
{
    int32_t other;
    memcpy(&other, second, sizeof other);
    return _mm512_mask_set1_epi32(broadcast4(first), 0xFF00, other);
}

/* Four rows for each half, against their weights. */
static inline columns add_rows(
    columns s, const int8_t *w, const int8_t *u, __m512i r0, __m512i r1, __m512i r2, __m512i r3)
{
    const __m512i a = _mm512_unpacklo_epi8(r0, r1), b = _mm512_unpacklo_epi8(r2, r3);
    const __m512i c = _mm512_unpackhi_epi8(r0, r1), d = _mm512_unpackhi_epi8(r2, r3);
    const __m512i q0 = _mm512_unpacklo_epi16(a, b), q1 = _mm512_unpackhi_epi16(a, b);
    const __m512i q2 = _mm512_unpacklo_epi16(c, d), q3 = _mm512_unpackhi_epi16(c, d);
    s.high = add_columns(s.high, two_weights(w, u), q0, q1, q2, q3);
    s.low = add_columns(s.low, two_weights(w + 16, u + 16), q0, q1, q2, q3);
    return s;
}

/* Two heads of 32 side by side; the weights' bytes of the second are 2 BM_PIECE further on. */
static inline columns add_pair(columns s, const uint8_t *bytes, uint32_t i, const int8_t *v, size_t stride)
{
    const int8_t *w = bm_split_at(bytes, i);
    return add_rows(s, w, w + 2u * BM_PIECE, _mm512_loadu_si512(v), _mm512_loadu_si512(v + stride),
        _mm512_loadu_si512(v + 2u * stride), _mm512_loadu_si512(v + 3u * stride));
}

static inline __m512i two_loads(const int8_t *a, const int8_t *b)
{ return _mm512_inserti64x4(_mm512_castsi256_si512(bm_load(a)), bm_load(b), 1); }

/* Eight rows of 32, four in each half. */
static inline columns add_eight(columns s, const uint8_t *bytes, uint32_t i, const int8_t *v, size_t stride)
{
    const int8_t *w = bm_split_at(bytes, i), *u = v + 4u * stride;
    return add_rows(s, w, w + 4, two_loads(v, u), two_loads(v + stride, u + stride),
        two_loads(v + 2u * stride, u + 2u * stride), two_loads(v + 3u * stride, u + 3u * stride));
}

static inline __m512i column_sums(__m512i high, __m512i low)
{ return _mm512_add_epi32(_mm512_slli_epi32(high, 7), low); }

static inline void store_eight(int32_t *y, __m512i sum)
{ bm_store_halves(y, _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1))); }

/* bm_wsum32, eight rows at a time. Bounds as there. */
static void wsum32(const int32_t *w, const int8_t *v, size_t stride, uint32_t n, int32_t *y)
{
    uint8_t bytes[2u * BM_PIECE];
    int8_t last[8u * 32u];
    columns s;
    memset(&s, 0, sizeof s);
    for (uint32_t from = 0; from < n; from += BM_PIECE) {
        const uint32_t rows = n - from < BM_PIECE ? n - from : BM_PIECE;
        uint32_t i = 0;
        bm_split(w + from, rows, bytes);
        for (; i + 8u <= rows; i += 8u, v += 8u * stride) s = add_eight(s, bytes, i, v, stride);
        if (i < rows) {
            bm_last_rows(v, stride, rows - i, 8u, 32u, last);
            s = add_eight(s, bytes, i, last, 32u);
        }
    }
    store_eight(y, column_sums(s.high.c0, s.low.c0));
    store_eight(y + 4, column_sums(s.high.c1, s.low.c1));
    store_eight(y + 8, column_sums(s.high.c2, s.low.c2));
    store_eight(y + 12, column_sums(s.high.c3, s.low.c3));
}

void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + 32u <= len; k += 32u) wsum32(w, v + k, stride, n, y + k);
    bm_wsum(w, v + k, stride, n, len - k, y + k);
}

static inline void store_pair(int32_t *y, __m512i sum)
{
    bm_store_halves(y, _mm512_castsi512_si256(sum));
    bm_store_halves(y + 32, _mm512_extracti64x4_epi64(sum, 1));
}

/* bm_wsum32 for two heads side by side, `pairs` times, row by row. Bounds as there. */
static inline void wsum_pairs(
    const int32_t *w, uint32_t apart, const int8_t *v, size_t stride, uint32_t n, uint32_t pairs, int32_t *y)
{
    uint8_t bytes[4][2u * BM_PIECE];
    int8_t last[4u * 64u];
    columns s[2];
    memset(s, 0, sizeof s);
    for (uint32_t from = 0; from < n; from += BM_PIECE) {
        const uint32_t rows = n - from < BM_PIECE ? n - from : BM_PIECE;
        uint32_t i = 0;
        for (uint32_t h = 0; h < 2u * pairs; h++) bm_split(w + h * apart + from, rows, bytes[h]);
        for (; i + 4u <= rows; i += 4u, v += 4u * stride)
            for (uint32_t p = 0; p < pairs; p++) s[p] = add_pair(s[p], bytes[2u * p], i, v + 64u * p, stride);
        for (uint32_t p = 0; i < rows && p < pairs; p++) {
            bm_last_rows(v + 64u * p, stride, rows - i, 4u, 64u, last);
            s[p] = add_pair(s[p], bytes[2u * p], i, last, 64u);
        }
    }
    for (uint32_t p = 0; p < pairs; p++, y += 64) {
        store_pair(y, column_sums(s[p].high.c0, s[p].low.c0));
        store_pair(y + 4, column_sums(s[p].high.c1, s[p].low.c1));
        store_pair(y + 8, column_sums(s[p].high.c2, s[p].low.c2));
        store_pair(y + 12, column_sums(s[p].high.c3, s[p].low.c3));
    }
}

void bm_wsum_heads(const int32_t *w, uint32_t apart, const int8_t *v, uint32_t stride, uint32_t n,
    uint32_t len, uint32_t heads, int32_t *y)
{
    uint32_t h = 0;
    if (len == 32u) {
        for (; h + 4u <= heads; h += 4u)
            wsum_pairs(w + h * apart, apart, v + 32u * h, stride, n, 2u, y + 32u * h);
        for (; h + 2u <= heads; h += 2u)
            wsum_pairs(w + h * apart, apart, v + 32u * h, stride, n, 1u, y + 32u * h);
    }
    for (; h < heads; h++) bm_wsum_s8(w + h * apart, v + len * h, stride, n, len, y + len * h);
}

#define BM_VECTOR 64
#include "bm_x86_exp.h"

#else
#error "avx512vnni kernels: compile with -mavx512vnni, or generate the project with --kernels portable"
#endif
