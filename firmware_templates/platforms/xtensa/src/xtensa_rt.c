/* SPDX-License-Identifier: MIT-0 */
/* What the lx106's libgcc lacks besides floats: 64-bit products and unsigned divisions. Names as GCC calls them. */
#include <stdint.h>

uint64_t __muldi3(uint64_t a, uint64_t b);
uint32_t __udivsi3(uint32_t a, uint32_t b);
uint32_t __umodsi3(uint32_t a, uint32_t b);
uint64_t __udivdi3(uint64_t a, uint64_t b);
uint64_t __umoddi3(uint64_t a, uint64_t b);

/* 32 x 32 -> 64 bits from 16-bit halves. */
static uint64_t wide(uint32_t a, uint32_t b)
{
    const uint32_t a1 = a >> 16, a0 = a & 0xFFFFu, b1 = b >> 16, b0 = b & 0xFFFFu;
    const uint32_t low = a0 * b0, first = a1 * b0 + (low >> 16), second = a0 * b1 + (first & 0xFFFFu);
    const uint32_t high = a1 * b1 + (first >> 16) + (second >> 16);
    return (uint64_t)high << 32 | (second << 16) | (low & 0xFFFFu);
}

uint64_t __muldi3(uint64_t a, uint64_t b)
{
    const uint32_t cross = (uint32_t)(a >> 32) * (uint32_t)b + (uint32_t)a * (uint32_t)(b >> 32);
    return wide((uint32_t)a, (uint32_t)b) + ((uint64_t)cross << 32);
}

static uint64_t divide(uint64_t a, uint64_t b, int bits, uint64_t *rest)
{
    uint64_t quotient = 0, r = 0;
    for (int i = bits - 1; i >= 0; i--) {
        const uint64_t carry = r >> 63; /* r < b may need 65 bits after the shift */
        r = r << 1 | (a >> i & 1u);
        if (carry || r >= b) {
            r -= b;
            quotient |= (uint64_t)1 << i;
        }
    }
    *rest = r;
    return quotient;
}

uint32_t __udivsi3(uint32_t a, uint32_t b)
{
    uint64_t rest;
    return (uint32_t)divide(a, b, 32, &rest);
}

uint32_t __umodsi3(uint32_t a, uint32_t b)
{
    uint64_t rest;
    divide(a, b, 32, &rest);
    return (uint32_t)rest;
}

uint64_t __udivdi3(uint64_t a, uint64_t b)
{
    uint64_t rest;
    return divide(a, b, 64, &rest);
}

uint64_t __umoddi3(uint64_t a, uint64_t b)
{
    uint64_t rest;
    divide(a, b, 64, &rest);
    return rest;
}
