/* SPDX-License-Identifier: MIT-0 */
/* Where the processor can: 64 bytes at a time by carry-less products (x86-64; Gopal and others, "Fast CRC Computation for
 * Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009), or 8 bytes by the CRC instruction of Armv8. Else SLICES bytes
 * at a time (slicing-by-N, Kounavis and Berry 2005) over 1 KiB of tables for each, built on the first call: 16 where there is
 * memory, 4 elsewhere. With BM_CRC32_SMALL four bits at a time over a constant table of 64 bytes. */
#include "bm_crc32.h"

#include "bm_bytes.h"

#ifdef BM_CRC32_SMALL

uint32_t bm_crc32(uint32_t crc, const void *data, size_t n)
{
    static const uint32_t table[16] = {0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u,
        0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
        0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu};
    const uint8_t *p = data;
    crc = ~crc;
    while (n--) {
        crc ^= *p++;
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

#else

#ifdef __linux__
#define SLICES 16
#else
#define SLICES 4
#endif

/* table[s][b]: what byte b becomes once s more bytes have gone by. table[3][1] is 0 until they are built.
 * Not for two threads at once on the very first call. */
static uint32_t table[SLICES][256];

static void build_tables(void)
{
    for (uint32_t b = 0; b < 256u; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1u ? 0xEDB88320u : 0u);
        table[0][b] = crc;
    }
    for (uint32_t b = 0; b < 256u; b++)
        for (int s = 1; s < SLICES; s++)
            table[s][b] = (table[s - 1][b] >> 8) ^ table[0][table[s - 1][b] & 255u];
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>
#include <immintrin.h>

#define FOLDS_LEAST 64u /* bytes from which folding can begin */
#define FOLDING __attribute__((target("pclmul,sse4.1")))

static int can_fold(void)
{
    static int known;                    /* 1: no, 2: yes */
    unsigned a, b, c = 0, d;
    if (!known) known = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_PCLMUL) && (c & bit_SSE4_1) ? 2 : 1;
    return known == 2;
}

/* x times x^distance, modulo the polynomial, plus y: k holds x^(distance + 32) and x^(distance - 32) mod P. */
FOLDING static __m128i fold(__m128i x, __m128i k, __m128i y)
{
    return _mm_xor_si128(
        _mm_xor_si128(_mm_clmulepi64_si128(x, k, 0x00), _mm_clmulepi64_si128(x, k, 0x11)), y);
}

/* n a multiple of 16, at least FOLDS_LEAST; crc is the inverted state. The constants are those of the paper's appendix. */
FOLDING static uint32_t fold_bytes(uint32_t crc, const uint8_t *p, size_t n)
{
    const __m128i by64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4),
                  by16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    const __m128i by4 = _mm_set_epi64x(0, 0x163cd6124), barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
    const __m128i low = _mm_setr_epi32(-1, 0, -1, 0);
    const __m128i *from = (const __m128i *)(const void *)p;
    __m128i x[4];
    for (int i = 0; i < 4; i++) x[i] = _mm_loadu_si128(from + i);
    x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128((int)crc));
    for (from += 4, n -= 64u; n >= 64u; from += 4, n -= 64u)
        for (int i = 0; i < 4; i++) x[i] = fold(x[i], by64, _mm_loadu_si128(from + i));
    __m128i a = fold(fold(fold(x[0], by16, x[1]), by16, x[2]), by16, x[3]);
    for (; n >= 16u; from++, n -= 16u) a = fold(a, by16, _mm_loadu_si128(from));
    a = _mm_xor_si128(_mm_srli_si128(a, 8), _mm_clmulepi64_si128(a, by16, 0x10));
    a = _mm_xor_si128(_mm_srli_si128(a, 4), _mm_clmulepi64_si128(_mm_and_si128(a, low), by4, 0x00));
    const __m128i q = _mm_clmulepi64_si128(_mm_and_si128(a, low), barrett, 0x10);
    return (uint32_t)_mm_extract_epi32(
        _mm_xor_si128(a, _mm_clmulepi64_si128(_mm_and_si128(q, low), barrett, 0x00)), 1);
}

#elif defined(__ARM_FEATURE_CRC32) && defined(__aarch64__)

#include <arm_acle.h>
#include <string.h>

#define FOLDS_LEAST 16u

static int can_fold(void) { return 1; }

/* n a multiple of 16; crc is the inverted state. */
static uint32_t fold_bytes(uint32_t crc, const uint8_t *p, size_t n)
{
    for (; n > 0; p += 8, n -= 8u) {
        uint64_t v;
        memcpy(&v, p, sizeof v);
        crc = __crc32d(crc, v);
    }
    return crc;
}

#endif

uint32_t bm_crc32(uint32_t crc, const void *data, size_t n)
{
    const uint8_t *p = data;
    if (table[3][1] == 0u) build_tables();
    crc = ~crc;
#ifdef FOLDS_LEAST
    if (n >= FOLDS_LEAST && can_fold()) {
        const size_t whole = n & ~(size_t)15u;
        crc = fold_bytes(crc, p, whole);
        p += whole;
        n -= whole;
    }
#endif
    for (; n >= SLICES; n -= SLICES, p += SLICES) {
        crc ^= bm_get_u32(p);
        uint32_t next = table[SLICES - 1][crc & 255u] ^ table[SLICES - 2][crc >> 8 & 255u] ^
                        table[SLICES - 3][crc >> 16 & 255u] ^ table[SLICES - 4][crc >> 24];
#if SLICES > 4
        next ^= table[11][p[4]] ^ table[10][p[5]] ^ table[9][p[6]] ^ table[8][p[7]] ^ table[7][p[8]] ^
                table[6][p[9]];
        next ^= table[5][p[10]] ^ table[4][p[11]] ^ table[3][p[12]] ^ table[2][p[13]] ^ table[1][p[14]] ^
                table[0][p[15]];
#endif
        crc = next;
    }
    for (; n > 0u; n--) crc = (crc >> 8) ^ table[0][(crc ^ *p++) & 255u];
    return ~crc;
}

#endif
