/* SPDX-License-Identifier: MIT-0 */
/* Quantisers, norms, exp and element-wise steps: bitmar_tiny/golden/numerics.py in C, name by name. */
#include "bm_numerics.h"

#include <string.h>

#include "bm_kernels.h"

/* Loops are plain and pointers do not alias: compilers vectorise them (gcc at -O3, with which this file is built). */

typedef union {
    float f;
    int32_t i;
    uint32_t u;
} bits;

/* 1.5 * 2^23: the sum's last mantissa bit has weight 1, so the addition itself rounds to nearest even, and the
 * sum's bits are the integer. The subtraction is an integer one, so there is no float constant to fold away. */
static inline int32_t rne(float v)
{
    bits b;
    b.f = v + 12582912.0f;
    return b.i - 0x4B400000;
}

int32_t bm_rne(float v) { return rne(v); }

/* The root of a 24-bit or 25-bit integer mantissa, bit by bit in integers, then rounded to nearest. A tie
 * cannot happen: the midpoint's square has more bits than any input. */
float bm_sqrt(float v)
{
    bits b;
    b.f = v;
    if (b.u == 0u || b.u >= 0x7F800000u) return v;
    int32_t exponent = (int32_t)(b.u >> 23) - 127;
    uint64_t mantissa = (b.u & 0x7FFFFFu) | 0x800000u;
    if (b.u < 0x800000u) return 0.0f;             /* denormal: never reached from BM_TINY upwards */
    if (exponent & 1) mantissa <<= 1;             /* make the exponent even */
    exponent = (exponent - (exponent & 1)) / 2;
    const uint64_t target = mantissa << 25;       /* root has 25 bits: 24 and one to round by */
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 24; bit; bit >>= 1)
        if ((root | bit) * (root | bit) <= target) root |= bit;
    root = (root + 1) >> 1;                       /* remainder != 0 or the last bit is 0: to nearest */
    b.u = ((uint32_t)(exponent + 127) << 23) + (uint32_t)(root - 0x800000u);
    return b.f;
}

/* -min(|x|, 80) for x <= 0, by the bits: they order magnitudes, and an integer minimum vectorises where a float
 * comparison, which may trap, does not. */
static inline float clamp_exponent(float x)
{
    bits b;
    b.f = x;
    b.u &= 0x7FFFFFFFu;
    b.i = b.i < 0x42A00000 ? b.i : 0x42A00000;    /* 80.0f */
    b.u |= 0x80000000u;
    return b.f;
}

/* Straight-line, so that a loop over it vectorises. 2^n is built from its bits: n >= -115, a normal number. */
static inline float exp_neg(float x)
{
    bits power;
    float r, p;
    x = clamp_exponent(x);
    power.f = x * 1.44269504088896341f + 12582912.0f;    /* as in rne: the integer is in the last bits */
    const float n = power.f - 12582912.0f;
    r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    p = 1.9875691500e-4f;                         /* Cephes expf polynomial (Moshier) */
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = (p * (r * r) + r) + 1.0f;
    power.i = (power.i + (127 - 0x4B400000)) * (1 << 23);
    return p * power.f;
}

float bm_exp_neg(float x) { return exp_neg(x); }

/* An integer in the order of the float's value, so that a maximum is an integer maximum; its own inverse. */
static inline int32_t ordered(int32_t b) { return b ^ (b < 0 ? 0x7FFFFFFF : 0); }

float bm_scores(
    const int32_t *restrict dots, const float *restrict scale, float s, uint32_t n, float *restrict y)
{
    bits top = {(float)dots[0] * (scale[0] * s)};
    top.i = ordered(top.i);
    for (uint32_t i = 0; i < n; i++) {
        bits b;
        b.f = (float)dots[i] * (scale[i] * s);
        y[i] = b.f;
        b.i = ordered(b.i);
        top.i = b.i > top.i ? b.i : top.i;
    }
    top.i = ordered(top.i);
    return top.f;
}

/* Bound: 2^14 n < 2^31 for n < 2^17. */
BM_WEAK int32_t bm_soft_weights(const float *restrict scores, float top, const float *restrict scale,
    float fold, uint32_t n, int32_t *restrict w)
{
    int32_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        const float x = exp_neg(scores[i] - top);
        total += rne(x * (float)BM_PROB_ONE);
        w[i] = rne(x * (scale[i] * fold));
    }
    return total;
}

float bm_inv_sqrt(uint32_t n) { return 1.0f / bm_sqrt((float)n); }

/* Bound: 127^2 n < 2^31 for n <= 133,000. */
float bm_rms_scale(const int8_t *codes, uint32_t n)
{
    const int32_t total = bm_dot_s8(codes, codes, n);
    return total == 0 ? 0.0f : 1.0f / bm_sqrt((float)total / (float)n);
}

/* Bits of |v|: as integers they are ordered like the magnitudes, and an integer maximum vectorises. */
static inline int32_t magnitude_bits(float v)
{
    bits b;
    b.f = v;
    return (int32_t)(b.u & 0x7FFFFFFFu);
}

/* The quantiser's two passes, with a gain or without: `gain` is NULL or not at compile time. */
static inline float scaled(const float *v, const float *gain, uint32_t i)
{ return gain ? v[i] * gain[i] : v[i]; }

static inline float largest_magnitude(const float *restrict v, const float *restrict gain, uint32_t n)
{
    bits top = {0.0f};
    for (uint32_t i = 0; i < n; i++) {
        const int32_t m = magnitude_bits(scaled(v, gain, i));
        top.i = m > top.i ? m : top.i;
    }
    return top.f;
}

float bm_max_abs(const float *v, uint32_t n) { return largest_magnitude(v, NULL, n); }

/* codes = rne(v * gain * inv); returns their sum. A code fits int8, since |v * inv| <= 127 (1 + 2^-22). */
static inline int32_t round_codes(
    const float *restrict v, const float *restrict gain, float inv, uint32_t n, int8_t *restrict codes)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        const int32_t code = rne(scaled(v, gain, i) * inv);
        codes[i] = (int8_t)code;
        sum += code;
    }
    memset(codes + n, 0, BM_PAD(n) - n);
    return sum;
}

static inline bm_q8 quantize(const float *v, const float *gain, uint32_t n, int8_t *codes)
{
    bm_q8 q = {0.0f, 0};
    const float top = largest_magnitude(v, gain, n);
    if (top < BM_TINY) {
        memset(codes, 0, BM_PAD(n));
        return q;
    }
    q.sum = round_codes(v, gain, 127.0f / top, n, codes);
    q.scale = top / 127.0f;
    return q;
}

bm_q8 bm_quantize(const float *v, uint32_t n, int8_t *codes) { return quantize(v, NULL, n, codes); }

bm_q8 bm_norm_quantize(const float *v, const float *gain, uint32_t n, int8_t *codes)
{
    bm_q8 q = gain ? quantize(v, gain, n, codes) : quantize(v, NULL, n, codes);
    q.scale = bm_rms_scale(codes, n);
    return q;
}

static inline float activate(int32_t acc, int relu2)
{
    const float a =
        (float)(acc & -(int32_t)(acc > 0)); /* max(acc, 0) without a branch, which would not vectorise */
    return relu2 ? a * a : a;
}

static inline int32_t round_activations(
    const int32_t *restrict acc, int relu2, float inv, uint32_t n, int8_t *restrict codes)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        const int32_t code = rne(activate(acc[i], relu2) * inv);
        codes[i] = (int8_t)code;
        sum += code;
    }
    return sum;
}

/* The activation is monotonic: its maximum is the maximum's. */
bm_q8 bm_act_quantize(const int32_t *restrict acc, int relu2, uint32_t n, int8_t *restrict codes)
{
    bm_q8 q = {0.0f, 0};
    int32_t top = 0;
    for (uint32_t i = 0; i < n; i++) top = acc[i] > top ? acc[i] : top;
    memset(codes, 0, BM_PAD(n));
    if (top == 0) return q;
    const float inv = 127.0f / activate(top, relu2);
    q.sum = relu2 ? round_activations(acc, 1, inv, n, codes) : round_activations(acc, 0, inv, n, codes);
    q.scale = bm_rms_scale(codes, n);
    return q;
}

void bm_gain_quantize(const int32_t *restrict acc, const float *restrict gain, uint32_t channels, uint32_t n,
    int8_t *restrict codes)
{
    bits top = {0.0f};
    for (uint32_t i = 0; i < n; i += channels)
        for (uint32_t k = 0; k < channels; k++) {
            const int32_t m = magnitude_bits(activate(acc[i + k], 0) * gain[k]);
            top.i = m > top.i ? m : top.i;
        }
    memset(codes, 0, BM_PAD(n));
    if (top.f < BM_TINY) return;
    const float inv = 127.0f / top.f;
    for (uint32_t i = 0; i < n; i += channels)
        for (uint32_t k = 0; k < channels; k++)
            codes[i + k] = (int8_t)rne(activate(acc[i + k], 0) * gain[k] * inv);
}

void bm_scale_acc(const int32_t *restrict acc, float s, uint32_t n, float *restrict y)
{
    for (uint32_t i = 0; i < n; i++) y[i] = (float)acc[i] * s;
}

void bm_add_scaled(const int32_t *restrict acc, float s, uint32_t n, float *restrict x)
{
    for (uint32_t i = 0; i < n; i++) {
        const float y = (float)acc[i] * s;
        x[i] = x[i] + y;
    }
}

void bm_row(const int8_t *restrict codes, float scale, uint32_t n, float *restrict y)
{
    for (uint32_t i = 0; i < n; i++) y[i] = (float)codes[i] * scale;
}

void bm_add_row(const int8_t *restrict codes, float scale, uint32_t n, float *restrict x)
{
    for (uint32_t i = 0; i < n; i++) {
        const float y = (float)codes[i] * scale;
        x[i] = x[i] + y;
    }
}

void bm_add(const float *restrict a, uint32_t n, float *restrict x)
{
    for (uint32_t i = 0; i < n; i++) x[i] = x[i] + a[i];
}

void bm_relu(uint32_t n, float *x)
{
    for (uint32_t i = 0; i < n; i++) x[i] = x[i] > 0.0f ? x[i] : 0.0f;
}

void bm_pixels(const uint8_t *p, uint32_t n, float *y)
{
    for (uint32_t i = 0; i < n; i++) y[i] = (2.0f * (float)p[i] - 255.0f) / 255.0f;
}

void bm_ink(const float *restrict patch, uint32_t j, uint32_t g, float *restrict picture)
{
    float *to = picture + ((size_t)(j / g) * 16u * g + j % g) * 48u;
    for (uint32_t y = 0; y < 16u; y++, patch += 48u, to += g * 48u)
        for (uint32_t i = 0; i < 48u; i++) to[i] = 1.0f - patch[i];
}
