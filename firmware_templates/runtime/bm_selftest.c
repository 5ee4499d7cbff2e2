/* Vectors that come out differently when a rule of docs/numerics.md is broken. The operands are volatile, so
 * that the arithmetic happens where the model's does, not in the compiler. */
#include "bm_selftest.h"

#include <string.h>

#include "bm_kernels.h"
#include "bm_numerics.h"

static uint32_t bits_of(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

/* (1 + 2^-12)^2 - (1 + 2^-11): 0 when the product is rounded first, 2^-24 when it is fused. */
static int contracts(void)
{
    volatile float a = 1.000244140625f, c = 1.00048828125f;
    const float x = a, y = c;
    const float fused = x * x - y;
    return bits_of(fused) != 0u;
}

static int flushes_to_zero(void)
{
    volatile float small = 1.1754943508222875e-38f, half = 0.5f;
    return bits_of(small * half) != 0x00400000u;
}

static int divides_wrongly(void)
{
    volatile float a = 127.0f, b = 3.0f, c = 1.0f, d = 49.0f;
    return bits_of(a / b) != 0x42295555u || bits_of(c / d) != 0x3CA72F05u || bits_of(b / d) != 0x3D7AC688u;
}

static int converts_wrongly(void)
{
    volatile int32_t even = 16777217, odd = 16777219, large = 2130706431;   /* ties and a carry */
    return bits_of((float)even) != 0x4B800000u || bits_of((float)odd) != 0x4B800002u ||
           bits_of((float)large) != 0x4EFE0000u;
}

static int rounds_wrongly(void)
{
    volatile float v[6] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.49999f};
    static const int32_t want[6] = {0, 2, 2, 0, -2, 126};
    for (int i = 0; i < 6; i++)
        if (bm_rne(v[i]) != want[i]) return 1;
    return 0;
}

static int functions_differ(void)
{
    volatile float two = 2.0f, x = -1.5f;
    return bits_of(bm_sqrt(two)) != 0x3FB504F3u || bits_of(bm_exp_neg(x)) != 0x3E647C3Cu ||
           bits_of(bm_exp_neg(-100.0f)) != bits_of(bm_exp_neg(-80.0f));
}

/* Dot products of the kernel family on the most extreme codes, against the closed form. */
static int kernels_differ(void)
{
    static int8_t a[128], b[128];
    static int32_t w[2] = {BM_PROB_ONE, 1}, y[128];
    memset(a, 127, sizeof a);
    memset(b, -127, sizeof b);
    if (bm_dot_s8(a, b, 128u) != -127 * 127 * 128 || bm_dot_s8(a, a, 37u) != 127 * 127 * 37) return 1;
    bm_wsum_s8(w, a, 64u, 2u, 64u, y);
    for (int i = 0; i < 64; i++)
        if (y[i] != 127 * BM_PROB_ONE + 127) return 1;
    bm_dots_s8(a, 64u, b, 2u, 64u, y);
    return y[0] != -127 * 127 * 64 || y[1] != y[0];
}

const char *bm_selftest(void)
{
    if (contracts()) return "multiply and add are fused; compile with -ffp-contract=off";
    if (flushes_to_zero()) return "denormals are flushed to zero; compile without -ffast-math";
    if (divides_wrongly()) return "division is not correctly rounded; compile without -ffast-math";
    if (converts_wrongly()) return "int32 to float does not round to nearest even";
    if (rounds_wrongly()) return "float addition does not round to nearest even";
    if (functions_differ()) return "square root or exponential differ from the reference";
    if (kernels_differ()) return "the kernel family differs from plain integer arithmetic";
    return NULL;
}
