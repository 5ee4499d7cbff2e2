/* SPDX-License-Identifier: Apache-2.0 */
/* Soft floats and integer routines against this machine's own: prints the first differences, ends with status 1 on any. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BM_SOFTFLOAT(name) soft_##name
#include "softfloat.c"

#define __muldi3 rt_muldi3
#define __udivsi3 rt_udivsi3
#define __umodsi3 rt_umodsi3
#include "xtensa_rt.c"

static unsigned long bad;
static uint64_t state = 88172645463325252u;

static uint32_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

/* Special values, numbers of like exponents, denormals and the very small, anything. */
static uint32_t pick(void)
{
    static const uint32_t special[] = {0u, 0x80000000u, 1u, 0x80000001u, 0x7FFFFFu, 0x800000u, 0x7F7FFFFFu,
        0x7F800000u, 0xFF800000u, 0x7FC00000u, 0x3F800000u, 0xBF800000u, 0x3F7FFFFFu, 0x4B7FFFFFu,
        0x807FFFFFu, 0x33800000u};
    const uint32_t r = draw();
    switch (r % 5u) {
    case 0: return special[r / 5u % 16u];
    case 1: return (draw() & 0x807FFFFFu) | (100u + r / 5u % 60u) << 23;
    case 2: return draw() & 0x80FFFFFFu;
    default: return draw();
    }
}

static float hard(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static void compare_float(const char *what, uint32_t a, uint32_t b, sf got, float expected)
{
    uint32_t want;
    memcpy(&want, &expected, sizeof want);
    if ((want & 0x7FFFFFFFu) > 0x7F800000u) want = 0x7FC00000u;
    if (got.bits != want && bad++ < 10)
        printf("%s %08x %08x: got %08x, want %08x\n", what, a, b, got.bits, want);
}

static void compare_word(const char *what, uint32_t a, uint32_t b, uint64_t got, uint64_t want)
{
    if (got != want && bad++ < 10)
        printf("%s %08x %08x: got %llx, want %llx\n", what, a, b, (unsigned long long)got,
            (unsigned long long)want);
}

static void one(uint32_t a, uint32_t b)
{
    const sf x = {a}, y = {b};
    const volatile float p = hard(a), q = hard(b);
    compare_float("add", a, b, soft_addsf3(x, y), p + q);
    compare_float("sub", a, b, soft_subsf3(x, y), p - q);
    compare_float("mul", a, b, soft_mulsf3(x, y), p * q);
    compare_float("div", a, b, soft_divsf3(x, y), p / q);
    compare_float("from int", a, b, soft_floatsisf((int32_t)a), (float)(int32_t)a);
    compare_float("from unsigned", a, b, soft_floatunsisf(a), (float)a);
    compare_word("lt", a, b, soft_ltsf2(x, y) < 0, p < q);
    compare_word("le", a, b, soft_lesf2(x, y) <= 0, p <= q);
    compare_word("gt", a, b, soft_gtsf2(x, y) > 0, p > q);
    compare_word("ge", a, b, soft_gesf2(x, y) >= 0, p >= q);
    compare_word("eq", a, b, soft_eqsf2(x, y) == 0, p == q);
    compare_word("ne", a, b, soft_nesf2(x, y) != 0, p != q);
    const uint64_t u = (uint64_t)a << 32 | b, v = (uint64_t)b << 32 | (a ^ 0x5A5Au);
    compare_word("muldi3", a, b, rt_muldi3(u, v), u * v);
    if (b) compare_word("udivsi3", a, b, rt_udivsi3(a, b), a / b);
    if (b) compare_word("umodsi3", a, b, rt_umodsi3(a, b), a % b);
}

int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
    for (long i = 0; i < rounds; i++) one(pick(), pick());
    printf("%lu differences in %ld rounds\n", bad, rounds);
    return bad != 0;
}
