/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `m33`: the DSP instructions of Cortex-M4, M7 and M33, which multiply two pairs of 16 bits. Integers only.
 *
 * Layout (codegen/pack.py): groups of 4 rows; per group steps of 16 k; per step one word of each row:
 *
 *     byte j of a row's 4, plane p (bits 2p, 2p+1) = code of k = 4 p + j,   code = w + 1
 *
 * A word that is shifted by 2p and masked holds the codes of bytes 0 and 2 of plane p as two halves; shifted by 8 more, those of
 * bytes 1 and 3. So one `and` with a shifted operand feeds one `smlad`. sxtb16 widens the same bytes of x; four rows share that.
 */
#include "bm_kernels.h"
#include "bm_rest.h"

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP & 1) && defined(__ARM_ARCH_PROFILE) && \
    __ARM_ARCH_PROFILE == 'M'

#include <string.h>

#define ID_ISAR3 (*(const volatile uint32_t *)(uintptr_t)0xE000ED6Cu) /* instruction set attributes */

/* Field SIMD: 3 where smlad and its like exist (Armv7-M and Armv8-M Architecture Reference Manuals, DDI 0403 and DDI 0553). */
int bm_kernels_supported(void) { return (ID_ISAR3 >> 4 & 15u) == 3u; }

static inline uint32_t load(const void *p) /* at any address */
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint32_t even(uint32_t bytes) /* 0 and 2, as halves with their signs */
{
    uint32_t halves;
    __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(bytes));
    return halves;
}

static inline uint32_t odd(uint32_t bytes) /* 1 and 3 */
{
    uint32_t halves;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(bytes));
    return halves;
}

static inline int32_t smlad(uint32_t a, uint32_t b, int32_t acc) /* acc + low a * low b + high a * high b */
{
    int32_t sum;
    __asm__("smlad %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));
    return sum;
}

static inline uint32_t lows(uint32_t a, uint32_t b) /* the low halves of both, that of a below */
{
    uint32_t halves;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(halves) : "r"(a), "r"(b));
    return halves;
}

static inline uint32_t highs(uint32_t a, uint32_t b) /* the high halves */
{
    uint32_t halves;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(halves) : "r"(b), "r"(a));
    return halves;
}

/* acc += the codes of one plane of one row times their four x. */
#define ROW(acc, word, plane) \
    acc = smlad((word) >> 2 * (plane) & mask, x02, acc), \
    acc = smlad((word) >> (2 * (plane) + 8) & mask, x13, acc)

/* The empty instruction ends the plane before: there are fourteen registers, and two planes at a time need more. */
#define PLANE(plane) \
    do { \
        __asm__("" : "+r"(xs), "+r"(a), "+r"(b), "+r"(c), "+r"(d)); \
        const uint32_t bytes = load(xs + 4 * (plane)), x02 = even(bytes), x13 = odd(bytes); \
        ROW(a, wa, plane); \
        ROW(b, wb, plane); \
        ROW(c, wc, plane); \
        ROW(d, wd, plane); \
    } while (0)

/* Bound: codes reach 2, so |acc| <= (1 + 2) * 127 * K: 1.6 * 10^6 < 2^31 for K = 4096. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const int8_t *const end = x + ((k + 63u) & ~63u);
    uint32_t mask = 0x00030003u;
    __asm__("" : "+r"(mask)); /* in a register: an immediate operand leaves no room for the shift */
    for (uint32_t i = 0; i < n; i += 4u) {
        int32_t a = -xsum, b = a, c = a, d = a; /* sum (code - 1) x = sum code x - sum x */
        for (const int8_t *xs = x; xs < end; xs += 16, w += 16) {
            const uint32_t wa = load(w), wb = load(w + 4), wc = load(w + 8), wd = load(w + 12);
            PLANE(0);
            PLANE(1);
            PLANE(2);
            PLANE(3);
        }
        y[i] = a;
        y[i + 1u] = b;
        y[i + 2u] = c;
        y[i + 3u] = d;
    }
}

/* Bound: 127^2 * len < 2^31 for len <= 133,000. */
int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len)
{
    int32_t acc = 0;
    uint32_t k = 0;
    for (; k + 4u <= len; k += 4u) {
        const uint32_t ak = load(a + k), bk = load(b + k);
        acc = smlad(even(ak), even(bk), acc);
        acc = smlad(odd(ak), odd(bk), acc);
    }
    for (; k < len; k++) acc += a[k] * b[k];
    return acc;
}

/* Four rows share the widening of q. The bound is that of bm_dot_s8. */
void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    const uint32_t whole = len & ~3u;
    uint32_t i = 0;
    for (; i + 4u <= n; i += 4u, a += 4u * (size_t)stride) {
        const int8_t *const b = a + stride, *const c = b + stride, *const d = c + stride;
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (uint32_t k = 0; k < whole; k += 4u) {
            const uint32_t qk = load(q + k), q02 = even(qk), q13 = odd(qk);
            const uint32_t ak = load(a + k), bk = load(b + k), ck = load(c + k), dk = load(d + k);
            s0 = smlad(odd(ak), q13, smlad(even(ak), q02, s0));
            s1 = smlad(odd(bk), q13, smlad(even(bk), q02, s1));
            s2 = smlad(odd(ck), q13, smlad(even(ck), q02, s2));
            s3 = smlad(odd(dk), q13, smlad(even(dk), q02, s3));
        }
        for (uint32_t k = whole; k < len; k++) {
            s0 += a[k] * q[k];
            s1 += b[k] * q[k];
            s2 += c[k] * q[k];
            s3 += d[k] * q[k];
        }
        y[i] = s0;
        y[i + 1u] = s1;
        y[i + 2u] = s2;
        y[i + 3u] = s3;
    }
    for (; i < n; i++, a += stride) y[i] = bm_dot_s8(a, q, len);
}

/* Four columns, two rows at a time: a pair of weights, which fit 16 bits, times the pairs of each column's bytes.
 * Bound: 2^14 * 127 * n < 2^31 for n <= 1032. */
static void wsum4(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y)
{
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (; n >= 2u; n -= 2u, w += 2, v += 2u * (size_t)stride) {
        const uint32_t pair = lows((uint32_t)w[0], (uint32_t)w[1]);
        const uint32_t first = load(v), second = load(v + stride);
        const uint32_t v01 = lows(first, second), v23 = highs(first, second);
        a = smlad(even(v01), pair, a);
        b = smlad(odd(v01), pair, b);
        c = smlad(even(v23), pair, c);
        d = smlad(odd(v23), pair, d);
    }
    y[0] = n ? a + *w * v[0] : a;
    y[1] = n ? b + *w * v[1] : b;
    y[2] = n ? c + *w * v[2] : c;
    y[3] = n ? d + *w * v[3] : d;
}

void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + 4u <= len; k += 4u) wsum4(w, v + k, stride, n, y + k);
    bm_wsum_rest(w, v, stride, n, k, len, y);
}

#else
#error \
    "m33 kernels: compile for a Cortex-M with DSP instructions, or generate the project with --kernels portable"
#endif
