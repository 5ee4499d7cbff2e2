/* Quantisers, norms, exp and element-wise steps: bitmar_tiny/golden/numerics.py in C, name by name. */
#include "bm_numerics.h"

#include <string.h>

typedef union {
    float f;
    int32_t i;
    uint32_t u;
} bits;

int32_t bm_rne(float v)
{
    /* 1.5 * 2^23: the sum's last mantissa bit has weight 1, so the addition itself rounds to nearest even.
     * The volatile keeps a compiler from folding the constant away under unsafe options. */
    volatile float shifted = v + 12582912.0f;
    bits b;
    b.f = shifted;
    return b.i - 0x4B400000;
}

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

float bm_exp_neg(float x)
{
    bits power;
    float n, r, p;
    if (!(x > -80.0f)) x = -80.0f;
    n = (float)bm_rne(x * 1.44269504088896341f);
    r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    p = 1.9875691500e-4f;                         /* Cephes expf polynomial (Moshier) */
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = (p * (r * r) + r) + 1.0f;
    power.i = ((int32_t)n + 127) * (1 << 23);
    return p * power.f;
}

float bm_inv_sqrt(uint32_t n)
{
    return 1.0f / bm_sqrt((float)n);
}

/* Bound: 127^2 n < 2^31 for n <= 133,000. */
float bm_rms_scale(const int8_t *codes, uint32_t n)
{
    int32_t total = 0;
    for (uint32_t i = 0; i < n; i++) total += codes[i] * codes[i];
    return total == 0 ? 0.0f : 1.0f / bm_sqrt((float)total / (float)n);
}

static float magnitude(float v)
{
    return v < 0.0f ? -v : v;
}

static void pad_with_zeros(int8_t *codes, uint32_t n)
{
    memset(codes + n, 0, BM_PAD(n) - n);
}

/* codes = rne(v * gain * inv); returns their sum. |v * inv| <= 127 (1 + 2^-22), so a code fits int8. */
static int32_t round_codes(const float *v, const float *gain, float inv, uint32_t n, int8_t *codes)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        const int32_t code = bm_rne((gain ? v[i] * gain[i] : v[i]) * inv);
        codes[i] = (int8_t)code;
        sum += code;
    }
    pad_with_zeros(codes, n);
    return sum;
}

static bm_q8 quantize(const float *v, const float *gain, uint32_t n, int8_t *codes)
{
    bm_q8 q = {0.0f, 0};
    float top = 0.0f;
    for (uint32_t i = 0; i < n; i++) {
        const float a = magnitude(gain ? v[i] * gain[i] : v[i]);
        if (a > top) top = a;
    }
    if (top < BM_TINY) {
        memset(codes, 0, BM_PAD(n));
        return q;
    }
    q.sum = round_codes(v, gain, 127.0f / top, n, codes);
    q.scale = top / 127.0f;
    return q;
}

bm_q8 bm_quantize(const float *v, uint32_t n, int8_t *codes)
{
    return quantize(v, NULL, n, codes);
}

bm_q8 bm_norm_quantize(const float *v, const float *gain, uint32_t n, int8_t *codes)
{
    bm_q8 q = quantize(v, gain, n, codes);
    q.scale = bm_rms_scale(codes, n);
    return q;
}

static float activate(int32_t acc, int relu2)
{
    const float a = acc > 0 ? (float)acc : 0.0f;
    return relu2 ? a * a : a;
}

bm_q8 bm_act_quantize(const int32_t *acc, int relu2, uint32_t n, int8_t *codes)
{
    bm_q8 q = {0.0f, 0};
    int32_t top = 0;                              /* the activation is monotonic: its maximum is the maximum's */
    for (uint32_t i = 0; i < n; i++)
        if (acc[i] > top) top = acc[i];
    memset(codes, 0, BM_PAD(n));
    if (top == 0) return q;
    const float inv = 127.0f / activate(top, relu2);
    for (uint32_t i = 0; i < n; i++) {
        const int32_t code = bm_rne(activate(acc[i], relu2) * inv);
        codes[i] = (int8_t)code;
        q.sum += code;
    }
    q.scale = bm_rms_scale(codes, n);
    return q;
}

void bm_scale_acc(const int32_t *acc, float s, uint32_t n, float *y)
{
    for (uint32_t i = 0; i < n; i++) y[i] = (float)acc[i] * s;
}

void bm_add_scaled(const int32_t *acc, float s, uint32_t n, float *x)
{
    for (uint32_t i = 0; i < n; i++) {
        const float y = (float)acc[i] * s;
        x[i] = x[i] + y;
    }
}

void bm_row(const int8_t *codes, float scale, uint32_t n, float *y)
{
    for (uint32_t i = 0; i < n; i++) y[i] = (float)codes[i] * scale;
}

void bm_add_row(const int8_t *codes, float scale, uint32_t n, float *x)
{
    for (uint32_t i = 0; i < n; i++) {
        const float y = (float)codes[i] * scale;
        x[i] = x[i] + y;
    }
}

void bm_add(const float *a, uint32_t n, float *x)
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
