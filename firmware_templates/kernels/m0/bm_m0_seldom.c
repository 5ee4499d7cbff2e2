/* SPDX-License-Identifier: MIT-0 */
/* What bm_m0_float.S leaves: floats, as their bits, that are zero, denormal, infinite or no number, and products that become so. */
#include <stdint.h>

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && __ARM_ARCH == 6

#define HOT __attribute__((section(".text.bm_hot"))) /* as bm_m0_gemv.S: zeros are not that seldom */
#define SIGN 0x80000000u
#define INFINITE 0x7F800000u
#define QUIET 0x00400000u /* of what is no number */
#define LEAST (-149) /* 2^LEAST is the smallest float */

uint32_t bm_m0_add_seldom(uint32_t a, uint32_t b);
uint32_t bm_m0_mul_seldom(uint32_t a, uint32_t b);

HOT static uint32_t magnitude(uint32_t a) { return a & ~SIGN; }

/* A finite float is mantissa(a) 2^place(a). */
HOT static uint32_t mantissa(uint32_t a)
{
    const uint32_t low = a & 0x7FFFFFu;
    return magnitude(a) > 0x7FFFFFu ? low | 0x800000u : low;
}

HOT static int32_t place(uint32_t a)
{
    const int32_t exponent = (int32_t)(magnitude(a) >> 23);
    return (exponent ? exponent : 1) - 1 + LEAST;
}

/* m 2^e, rounded; m > 0. */
HOT static uint32_t encode(uint32_t sign, uint64_t m, int32_t e)
{
    int32_t bits = 0, last;
    while (bits < 64 && m >> bits) bits++;
    last = e + bits - 24 > LEAST ? e + bits - 24 : LEAST; /* place of the result's last bit */
    if (last - e > 63) return sign;
    if (last > e) {
        const uint64_t unit = (uint64_t)1 << (last - e);
        const uint64_t rest = m & (unit - 1u);
        m >>= last - e;
        m += rest > unit / 2u || (rest == unit / 2u && (m & 1u));
    } else {
        m <<= e - last;
    }
    if (last > 104) return sign | INFINITE;
    const uint32_t found = (uint32_t)m + ((uint32_t)(last - LEAST) << 23);
    return sign | (found < INFINITE ? found : INFINITE);
}

/* |a| >= |b|. */
HOT uint32_t bm_m0_add_seldom(uint32_t a, uint32_t b)
{
    const int32_t apart = place(a) - place(b);
    if (magnitude(a) > INFINITE) return a | QUIET;
    if (magnitude(a) == INFINITE) return b == (a ^ SIGN) ? INFINITE | QUIET : a;
    if (magnitude(b) == 0) return magnitude(a) == 0 ? a & b : a;
    if (apart > 38) return a; /* b is less than a quarter of its last place */
    const uint64_t larger = (uint64_t)mantissa(a) << apart;
    const uint64_t sum = (a ^ b) & SIGN ? larger - mantissa(b) : larger + mantissa(b);
    return sum ? encode(a & SIGN, sum, place(b)) : 0;
}

HOT uint32_t bm_m0_mul_seldom(uint32_t a, uint32_t b)
{
    const uint32_t sign = (a ^ b) & SIGN;
    if (magnitude(a) > INFINITE) return a | QUIET;
    if (magnitude(b) > INFINITE) return b | QUIET;
    if (magnitude(a) == 0 || magnitude(b) == 0)
        return magnitude(a) == INFINITE || magnitude(b) == INFINITE ? INFINITE | QUIET : sign;
    if (magnitude(a) == INFINITE || magnitude(b) == INFINITE) return sign | INFINITE;
    return encode(sign, (uint64_t)mantissa(a) * mantissa(b), place(a) + place(b));
}

#else
typedef int bm_m0_seldom_is_for_armv6_m;
#endif
