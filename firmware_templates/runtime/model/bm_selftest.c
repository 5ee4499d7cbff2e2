/* SPDX-License-Identifier: MIT-0 */
/* Vectors that come out differently when a rule of docs/explanation/numerics.md is broken. The operands are
 * volatile, so that the arithmetic happens where the model's does, not in the compiler.
 *
 * First come single operations, so that the sentence can name the rule. Then whole functions of the runtime run
 * over ranges of input and their result bits are folded into one word: that finds what no single operation shows,
 * such as sums that were reassociated or constant divisors that became multiplications. */
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

static uint32_t fold(uint32_t digest, uint32_t word) { return (digest << 5 | digest >> 27) ^ word; }

static uint32_t fold_floats(uint32_t digest, const float *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) digest = fold(digest, bits_of(v[i]));
    return digest;
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

/* Single quotients, and all pixel values: their divisor is a constant, which -freciprocal-math turns into a product. */
static int divides_wrongly(void)
{
    volatile float a = 127.0f, b = 3.0f, c = 1.0f, d = 49.0f;
    uint32_t digest = 0;
    for (uint32_t i = 0; i < 256u; i++) {
        const uint8_t pixel = (uint8_t)i;
        float y;
        bm_pixels(&pixel, 1u, &y);
        digest = fold(digest, bits_of(y));
    }
    return bits_of(a / b) != 0x42295555u || bits_of(c / d) != 0x3CA72F05u || bits_of(b / d) != 0x3D7AC688u ||
           digest != 0x984AA5A9u;
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

/* sqrt and 1 / sqrt of 1 .. 1024: squares and others, odd and even exponents. */
static int roots_differ(void)
{
    uint32_t digest = 0;
    for (uint32_t i = 1; i <= 1024u; i++) {
        digest = fold(digest, bits_of(bm_sqrt((float)i)));
        digest = fold(digest, bits_of(bm_inv_sqrt(i)));
    }
    return digest != 0x1A5E7A47u;
}

/* exp of 0, -1/16, ... -85: the whole domain and a piece of the clamp. */
static int exponentials_differ(void)
{
    volatile float step = -0.0625f;
    uint32_t digest = 0;
    for (uint32_t i = 0; i <= 1360u; i++) digest = fold(digest, bits_of(bm_exp_neg((float)i * step)));
    return digest != 0x2DAA44DEu;
}

/* Quantise, normalise, scale and add 64 accumulators of either sign; the sums of codes are part of the digest. */
static int quantisers_differ(void)
{
    int32_t acc[64];
    int8_t codes[64];
    float x[64];
    uint32_t digest = 0, lcg = 1u;
    for (int i = 0; i < 64; i++) {
        lcg = lcg * 1664525u + 1013904223u;
        acc[i] = (int32_t)(lcg >> 8) - (1 << 23);
    }
    bm_scale_acc(acc, 0.001953126f, 64u, x);
    bm_add_scaled(acc, 0.3333333f, 64u, x);
    digest = fold_floats(digest, x, 64u);
    bm_q8 q[3];
    q[0] = bm_quantize(x, 64u, codes);
    q[1] = bm_norm_quantize(x, x, 64u, codes);
    q[2] = bm_act_quantize(acc, 1, 64u, codes);
    for (int i = 0; i < 3; i++) digest = fold(fold(digest, bits_of(q[i].scale)), (uint32_t)q[i].sum);
    bm_add_row(codes, q[2].scale, 64u, x);
    return fold_floats(digest, x, 64u) != 0xED26C842u;
}

/* Dot products of the kernel family on the most extreme codes, against the closed form. */
static int dots_differ(void)
{
    static BM_ALIGNED int8_t a[128], b[128];
    static int32_t w[2] = {BM_PROB_ONE, 1}, y[64];
    memset(a, 127, sizeof a);
    memset(b, -127, sizeof b);
    if (bm_dot_s8(a, b, 128u) != -127 * 127 * 128 || bm_dot_s8(a, a, 37u) != 127 * 127 * 37) return 1;
    bm_wsum_s8(w, a, 64u, 2u, 64u, y);
    for (int i = 0; i < 64; i++)
        if (y[i] != 127 * BM_PROB_ONE + 127) return 1;
    bm_dots_s8(a, 64u, b, 2u, 64u, y);
    return y[0] != -127 * 127 * 64 || y[1] != y[0];
}

BM_WEAK uint8_t bm_packed_zero(void) { return 0x55; }

/* Ternary matrices whose bytes are all equal are the same in every order of the weights.
 * As many rows as the largest group of a packing; rows of 192: beyond the 128 k after which avx2 flushes its 16-bit lanes. */
static int products_differ(void)
{
    static BM_ALIGNED uint8_t packed[64u * 192u / 4u];
    static BM_ALIGNED int8_t x[192];
    static int32_t y[BM_PAD_ROWS(32u)];
    for (int sign = -1; sign <= 1; sign += 2) {
        const int32_t sum = sign * 127 * 192;
        memset(x, sign * 127, sizeof x);
        for (int w = -1; w <= 1; w++) {
            memset(packed, (w + 1) * bm_packed_zero(), sizeof packed);
            bm_gemv_t2s8(packed, x, sum, 32u, 192u, y);
            for (int i = 0; i < 32; i++)
                if (y[i] != w * sum) return 1;
        }
    }
    return 0;
}

const char *bm_selftest(void)
{
    if (contracts()) return "multiply and add are fused; compile with -ffp-contract=off";
    if (flushes_to_zero()) return "denormals are flushed to zero; compile without -ffast-math";
    if (divides_wrongly()) return "division is not correctly rounded; compile without -ffast-math";
    if (converts_wrongly()) return "int32 to float does not round to nearest even";
    if (rounds_wrongly()) return "float addition does not round to nearest even";
    if (roots_differ()) return "the square root differs from the reference";
    if (exponentials_differ())
        return "the exponential differs from the reference; compile without -ffast-math";
    if (quantisers_differ()) return "quantisation differs from the reference; compile without -ffast-math";
    if (dots_differ() || products_differ()) return "the kernel family differs from plain integer arithmetic";
    return NULL;
}
