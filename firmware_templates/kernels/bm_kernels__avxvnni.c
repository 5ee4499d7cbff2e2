/* Kernel family `avxvnni`: x86-64 with the 256-bit AVX-VNNI of processors without AVX-512. Compile this file with
 * -mavx2 -mavxvnni (or with -mavx512vl -mavx512vnni, which encodes the same operations differently).
 *
 * Layout (codegen/pack.py), that of `avx2`: tiles of 8 rows x 16 k = 32 bytes, a tile's k blocks one after the other:
 *
 *     byte 4 r + j of a tile, plane p (bits 2p, 2p+1) = code of row r, k = 4 p + j,   code = w + 1
 *
 * Output-stationary and masked in place, as in `avx512vnni`, with half as wide a register.
 */
#include "bm_kernels.h"

#if defined(__AVXVNNI__) || (defined(__AVX512VNNI__) && defined(__AVX512VL__))

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#if defined(__AVXVNNI__)
#define DPBUSD _mm256_dpbusd_avx_epi32
#define DPWSSD _mm256_dpwssd_avx_epi32
#define SAVED 6u        /* xmm and ymm */
#else
#define DPBUSD _mm256_dpbusd_epi32
#define DPWSSD _mm256_dpwssd_epi32
#define SAVED 0xE6u     /* opmask and zmm, too */
#endif

/* The instructions in the processor, and its registers saved by the operating system. */
int bm_supported__avxvnni(void)
{
    unsigned a, b, c, d, xcr0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    __asm__ __volatile__("xgetbv" : "=a"(xcr0), "=d"(d) : "c"(0));
    if ((xcr0 & SAVED) != SAVED || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return 0;
#if defined(__AVXVNNI__)
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
#else
    return (b & bit_AVX512VL) && (c & bit_AVX512VNNI);
#endif
}

static inline __m256i load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

static inline __m256i broadcast4(const int8_t *x)
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return _mm256_set1_epi32(v);
}

/* Accumulators of one tile by plane. */
typedef struct {
    __m256i p0, p1, p2, p3;
} sums;

static inline sums add_tile(sums t, const uint8_t *w, __m256i x0, __m256i x1, __m256i x2, __m256i x3)
{
    const __m256i codes = load(w);
    t.p0 = DPBUSD(t.p0, _mm256_and_si256(codes, _mm256_set1_epi8(0x03)), x0);
    t.p1 = DPBUSD(t.p1, _mm256_and_si256(codes, _mm256_set1_epi8(0x0C)), x1);
    t.p2 = DPBUSD(t.p2, _mm256_and_si256(codes, _mm256_set1_epi8(0x30)), x2);
    t.p3 = DPBUSD(t.p3, _mm256_and_si256(codes, _mm256_set1_epi8((char)0xC0)), x3);
    return t;
}

/* Lanes of plane p are multiples of 4^p, so the shifts are exact. */
static inline __m256i combine(sums t)
{
    return _mm256_add_epi32(_mm256_add_epi32(t.p0, _mm256_srai_epi32(t.p1, 2)),
                            _mm256_add_epi32(_mm256_srai_epi32(t.p2, 4), _mm256_srai_epi32(t.p3, 6)));
}

/* Bound: plane 3 grows fastest, 128 * 127 for each of its K / 4 codes: 2^24 for K = 4096. */
void bm_gemv_t2s8__avxvnni(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u * 4u;
    const size_t tile = (size_t)blocks * 32u;
    const __m256i zero = _mm256_setzero_si256();
    for (uint32_t i = 0; i < n; i += 16u, w += 2u * tile) {
        sums a = {_mm256_set1_epi32(-xsum), zero, zero, zero}, b = a;
        for (uint32_t c = 0; c < blocks; c++) {
            const int8_t *xc = x + 16u * c;
            const __m256i x0 = broadcast4(xc), x1 = broadcast4(xc + 4);
            const __m256i x2 = broadcast4(xc + 8), x3 = broadcast4(xc + 12);
            a = add_tile(a, w + 32u * c, x0, x1, x2, x3);
            b = add_tile(b, w + tile + 32u * c, x0, x1, x2, x3);
        }
        _mm256_storeu_si256((__m256i *)(void *)(y + i), combine(a));
        _mm256_storeu_si256((__m256i *)(void *)(y + i + 8), combine(b));
    }
}

/* vpdpbusd takes one unsigned operand: a + 128, whose surplus 128 * sum(b) is taken off at the end. */
static inline __m256i add_dot32(__m256i acc, __m256i a, __m256i b)
{
    return DPBUSD(acc, _mm256_xor_si256(a, _mm256_set1_epi8((char)0x80)), b);
}

static int32_t sum8(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
    return _mm_cvtsi128_si32(s);
}

/* Sum of len bytes times 128, len a multiple of 32. */
static int32_t surplus(const int8_t *b, uint32_t len)
{
    __m256i acc = _mm256_setzero_si256();
    for (uint32_t k = 0; k < len; k += 32u) acc = DPBUSD(acc, _mm256_set1_epi8((char)0x80), load(b + k));
    return sum8(acc);
}

/* Bound: 255 * 127 * 4096 < 2^27 before the surplus is taken off. */
int32_t bm_dot_s8__avxvnni(const int8_t *a, const int8_t *b, uint32_t len)
{
    const uint32_t whole = len & ~31u;
    __m256i acc = _mm256_setzero_si256();
    for (uint32_t k = 0; k < whole; k += 32u) acc = add_dot32(acc, load(a + k), load(b + k));
    int32_t sum = sum8(acc) - surplus(b, whole);
    for (uint32_t k = whole; k < len; k++) sum += a[k] * b[k];
    return sum;
}

static inline __m256i row_lanes(const int8_t *a, const int8_t *q, uint32_t len)
{
    __m256i acc = _mm256_setzero_si256();
    for (uint32_t k = 0; k < len; k += 32u) acc = add_dot32(acc, load(a + k), load(q + k));
    return acc;
}

/* Eight rows share one tree of horizontal sums; widths that are no multiple of 32 go row by row. */
void bm_dots_s8__avxvnni(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t i = 0;
    if (len % 32u == 0 && n >= 8u) {
        const __m256i correction = _mm256_set1_epi32(surplus(q, len));
        for (; i + 8u <= n; i += 8u, a += 8u * (size_t)stride) {
            __m256i r[8];
            for (int j = 0; j < 8; j++) r[j] = row_lanes(a + (size_t)j * stride, q, len);
            const __m256i low = _mm256_hadd_epi32(_mm256_hadd_epi32(r[0], r[1]), _mm256_hadd_epi32(r[2], r[3]));
            const __m256i high = _mm256_hadd_epi32(_mm256_hadd_epi32(r[4], r[5]), _mm256_hadd_epi32(r[6], r[7]));
            const __m256i sum = _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                                                 _mm256_permute2x128_si256(low, high, 0x31));
            _mm256_storeu_si256((__m256i *)(void *)(y + i), _mm256_sub_epi32(sum, correction));
        }
    }
    for (; i < n; i++, a += stride) y[i] = bm_dot_s8__avxvnni(a, q, len);
}

/* Two rows' bytes, widened, against their pair of 16-bit weights. */
static inline __m256i add_pairs(__m256i acc, __m128i interleaved, __m256i weights)
{
    return DPWSSD(acc, _mm256_cvtepi8_epi16(interleaved), weights);
}

/* 32 columns; w <= 2^14 fits 16 bits. Bound: 2^14 * 127 * n < 2^31 for n <= 1032. The unpacks work on 128-bit
 * halves, so the accumulators hold columns 0-7, 8-15, 16-23 and 24-31 in this order: a, b, c, d. */
static void wsum32(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (uint32_t i = 0; i < n; i += 2u, v += 2u * (size_t)stride) {
        const int two = i + 1u < n;                       /* an odd last row is paired with itself, weight 0 */
        const __m256i weights = _mm256_set1_epi32(w[i] | (two ? w[i + 1u] << 16 : 0));
        const __m256i first = load(v), second = load(two ? v + stride : v);
        const __m256i low = _mm256_unpacklo_epi8(first, second), high = _mm256_unpackhi_epi8(first, second);
        a = add_pairs(a, _mm256_castsi256_si128(low), weights);
        b = add_pairs(b, _mm256_castsi256_si128(high), weights);
        c = add_pairs(c, _mm256_extracti128_si256(low, 1), weights);
        d = add_pairs(d, _mm256_extracti128_si256(high, 1), weights);
    }
    _mm256_storeu_si256((__m256i *)(void *)y, a);
    _mm256_storeu_si256((__m256i *)(void *)(y + 8), b);
    _mm256_storeu_si256((__m256i *)(void *)(y + 16), c);
    _mm256_storeu_si256((__m256i *)(void *)(y + 24), d);
}

void bm_wsum_s8__avxvnni(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + 32u <= len; k += 32u) wsum32(w, v + k, stride, n, y + k);
    for (; k < len; k++) {
        int32_t acc = 0;
        for (uint32_t i = 0; i < n; i++) acc += w[i] * v[(size_t)i * stride + k];
        y[k] = acc;
    }
}

#endif
