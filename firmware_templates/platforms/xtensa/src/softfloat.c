/* SPDX-License-Identifier: MIT-0 */
/* IEEE 754 binary32 in integers, for processors whose compiler library lacks it: add, subtract, multiply, divide,
 * compare and convert, to nearest even, denormals included. Names and arguments are those that GCC calls ("Routines for
 * floating point emulation", GCC internals manual); a NaN comes out as the quiet default NaN.
 *
 * Compiled with BM_SOFTFLOAT(name) defined as something else, it can be tested beside hardware floats.
 */
#include <stdint.h>

#ifndef BM_SOFTFLOAT
#define BM_SOFTFLOAT(name) __##name
typedef float sf;
#else
typedef struct {
    uint32_t bits;
} sf;
#endif

#define QUIET_NAN 0x7FC00000u
#define INFINITE 0x7F800000u
#define SIGN 0x80000000u

typedef union {
    sf f;
    uint32_t u;
} pun;

sf BM_SOFTFLOAT(addsf3)(sf a, sf b);
sf BM_SOFTFLOAT(subsf3)(sf a, sf b);
sf BM_SOFTFLOAT(mulsf3)(sf a, sf b);
sf BM_SOFTFLOAT(divsf3)(sf a, sf b);
sf BM_SOFTFLOAT(floatsisf)(int32_t i);
sf BM_SOFTFLOAT(floatunsisf)(uint32_t i);
int BM_SOFTFLOAT(ltsf2)(sf a, sf b);
int BM_SOFTFLOAT(lesf2)(sf a, sf b);
int BM_SOFTFLOAT(gtsf2)(sf a, sf b);
int BM_SOFTFLOAT(gesf2)(sf a, sf b);
int BM_SOFTFLOAT(eqsf2)(sf a, sf b);
int BM_SOFTFLOAT(nesf2)(sf a, sf b);

static uint32_t bits_of(sf f)
{
    pun p;
    p.f = f;
    return p.u;
}

static sf float_of(uint32_t u)
{
    pun p;
    p.u = u;
    return p.f;
}

static int is_nan(uint32_t u) { return (u & ~SIGN) > INFINITE; }

static int leading_zeros(uint32_t v)
{
    int n = 0;
    for (uint32_t step = 16; step; step >>= 1)
        if (!(v >> (32u - step))) {
            n += (int)step;
            v <<= step;
        }
    return n;
}

/* A finite number != 0 as mantissa * 2^(exponent - 150) with bit 23 set, denormals normalised. */
typedef struct {
    uint32_t mantissa;
    int exponent;
} parts;

static parts take_apart(uint32_t u)
{
    parts p = {u & 0x7FFFFFu, (int)(u >> 23 & 0xFFu)};
    if (p.exponent) {
        p.mantissa |= 0x800000u;
    } else {
        const int shift = leading_zeros(p.mantissa) - 8;
        p.mantissa <<= shift;
        p.exponent = 1 - shift;
    }
    return p;
}

/* mantissa * 2^(exponent - 156), bit 29 the leading one; lower bits are kept so that "sticky" is in bit 0.
 * Six bits are rounded away, to nearest even. */
static sf put_together(uint32_t sign, int exponent, uint32_t mantissa)
{
    if (exponent <= 0) { /* denormal, or less */
        const int shift = 1 - exponent;
        mantissa = shift > 30 ? mantissa != 0
                              : mantissa >> shift | ((mantissa & (((uint32_t)1 << shift) - 1u)) != 0);
        exponent = 0;
    }
    const uint32_t rest = mantissa & 63u;
    uint32_t rounded = mantissa >> 6;
    rounded += rest > 32u || (rest == 32u && (rounded & 1u));
    /* the leading one is added to the exponent; a carry out of the mantissa, too */
    const uint32_t result = exponent ? ((uint32_t)(exponent - 1) << 23) + rounded : rounded;
    return float_of(sign | (exponent > 0 && result >= INFINITE ? INFINITE : result));
}

/* Same-sign or different-sign sum of two finite numbers, |a| >= |b|, both != 0. */
static sf add_finite(uint32_t a, uint32_t b)
{
    const uint32_t sign = a & SIGN;
    const parts p = take_apart(a & ~SIGN), q = take_apart(b & ~SIGN);
    const int apart = p.exponent - q.exponent;
    uint32_t x = p.mantissa << 6, y = q.mantissa << 6;
    y = apart > 30 ? 1u : y >> apart | ((y & (((uint32_t)1 << apart) - 1u)) != 0);
    int exponent = p.exponent;
    if ((a ^ b) & SIGN) {
        x -= y;
        if (!x) return float_of(0);
        const int shift = leading_zeros(x) - 2;
        x <<= shift;
        exponent -= shift;
    } else {
        x += y;
        if (x >> 30) {
            x = x >> 1 | (x & 1u);
            exponent++;
        }
    }
    return put_together(sign, exponent, x);
}

sf BM_SOFTFLOAT(addsf3)(sf fa, sf fb)
{
    uint32_t a = bits_of(fa), b = bits_of(fb);
    if (is_nan(a) || is_nan(b)) return float_of(QUIET_NAN);
    if ((a & ~SIGN) < (b & ~SIGN)) {
        const uint32_t t = a;
        a = b;
        b = t;
    }
    if ((a & ~SIGN) == INFINITE) return float_of((b & ~SIGN) == INFINITE && a != b ? QUIET_NAN : a);
    if (!(b & ~SIGN)) return float_of(a & ~SIGN ? a : a & b); /* +0 unless both are -0 */
    return add_finite(a, b);
}

sf BM_SOFTFLOAT(subsf3)(sf a, sf b) { return BM_SOFTFLOAT(addsf3)(a, float_of(bits_of(b) ^ SIGN)); }

/* 24 x 24 -> 48 bits from 16-bit halves: a 64-bit product is a library call of its own here. */
sf BM_SOFTFLOAT(mulsf3)(sf fa, sf fb)
{
    const uint32_t a = bits_of(fa), b = bits_of(fb), sign = (a ^ b) & SIGN, x = a & ~SIGN, y = b & ~SIGN;
    if (x > INFINITE || y > INFINITE) return float_of(QUIET_NAN);
    if (x == INFINITE || y == INFINITE) return float_of(x && y ? sign | INFINITE : QUIET_NAN);
    if (!x || !y) return float_of(sign);
    const parts p = take_apart(x), q = take_apart(y);
    const uint32_t a1 = p.mantissa >> 12, a0 = p.mantissa & 0xFFFu, b1 = q.mantissa >> 12,
                   b0 = q.mantissa & 0xFFFu;
    const uint32_t middle = a1 * b0 + a0 * b1; /* < 2^25 */
    const uint32_t low = a0 * b0 + ((middle & 0xFFFu) << 12); /* < 2^25 */
    const uint32_t high = a1 * b1 + (middle >> 12) + (low >> 24); /* product >> 24, in [2^22, 2^24) */
    uint32_t mantissa = high << 7 | (low & 0xFFFFFFu) >> 17 | ((low & 0x1FFFFu) != 0); /* >> 17, sticky */
    int exponent = p.exponent + q.exponent - 127;
    if (mantissa >> 30) {
        mantissa = mantissa >> 1 | (mantissa & 1u);
        exponent++;
    }
    return put_together(sign, exponent, mantissa);
}

sf BM_SOFTFLOAT(divsf3)(sf fa, sf fb)
{
    const uint32_t a = bits_of(fa), b = bits_of(fb), sign = (a ^ b) & SIGN, x = a & ~SIGN, y = b & ~SIGN;
    if (x > INFINITE || y > INFINITE || (x == y && (!x || x == INFINITE))) return float_of(QUIET_NAN);
    if (x == INFINITE || !y) return float_of(sign | INFINITE);
    if (y == INFINITE || !x) return float_of(sign);
    const parts p = take_apart(x), q = take_apart(y);
    int exponent = p.exponent - q.exponent + 127;
    uint32_t rest = p.mantissa, quotient = 0;
    if (rest < q.mantissa) {
        rest <<= 1;
        exponent--;
    }
    for (int i = 0; i < 30; i++) { /* 30 bits, the first of them 1 */
        quotient <<= 1;
        if (rest >= q.mantissa) {
            rest -= q.mantissa;
            quotient |= 1u;
        }
        rest <<= 1;
    }
    return put_together(sign, exponent, quotient | (rest != 0));
}

sf BM_SOFTFLOAT(floatunsisf)(uint32_t i)
{
    if (!i) return float_of(0);
    const int shift = leading_zeros(i) - 2; /* leading one to bit 29 */
    const uint32_t mantissa = shift >= 0 ? i << shift
                                         : i >> -shift | ((i & (((uint32_t)1 << -shift) - 1u)) != 0);
    return put_together(0, 156 - shift, mantissa);
}

sf BM_SOFTFLOAT(floatsisf)(int32_t i)
{
    const uint32_t magnitude = i < 0 ? 0u - (uint32_t)i : (uint32_t)i;
    return float_of(bits_of(BM_SOFTFLOAT(floatunsisf)(magnitude)) | (i < 0 ? SIGN : 0u));
}

/* -1, 0, 1, or `unordered` where one is a NaN. */
static int compare(sf fa, sf fb, int unordered)
{
    const uint32_t a = bits_of(fa), b = bits_of(fb);
    if (is_nan(a) || is_nan(b)) return unordered;
    if (a == b || !((a | b) & ~SIGN)) return 0;
    if ((a ^ b) & SIGN) return a & SIGN ? -1 : 1;
    return (a < b) == !(a & SIGN) ? -1 : 1;
}

int BM_SOFTFLOAT(ltsf2)(sf a, sf b) { return compare(a, b, 1); }
int BM_SOFTFLOAT(lesf2)(sf a, sf b) { return compare(a, b, 1); }
int BM_SOFTFLOAT(gtsf2)(sf a, sf b) { return compare(a, b, -1); }
int BM_SOFTFLOAT(gesf2)(sf a, sf b) { return compare(a, b, -1); }
int BM_SOFTFLOAT(eqsf2)(sf a, sf b) { return compare(a, b, 1); }
int BM_SOFTFLOAT(nesf2)(sf a, sf b) { return compare(a, b, 1); }
