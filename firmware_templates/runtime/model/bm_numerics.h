/* SPDX-License-Identifier: MIT-0 */
/* The numerics contract in C: one function per primitive of bitmar_tiny/golden/numerics.py.
 *
 * Rules: reductions are integer reductions; floats are IEEE binary32, element by element, in the
 * order the parentheses give; compile with -ffp-contract=off and without -ffast-math. Vectors of
 * codes are int8 in [-127, 127] in buffers padded with zeros to BM_PAD(n).
 */
#ifndef BM_NUMERICS_H
#define BM_NUMERICS_H

#include <stddef.h>
#include <stdint.h>

#include "bm_compiler.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_PAD(n) (((n) + 63u) & ~63u)   /* codes are padded to 64, the widest kernel step */
#define BM_PROB_ONE 16384                /* 2^14: attention weights are integers in [0, 2^14] */
#define BM_TINY 8.6736173798840355e-19f  /* 2^-60: below it a vector counts as zero */
#define BM_READ_BLOCK 64u                /* rows per block of the memory read */
#define BM_CODE16_MAX 32512              /* 127 * 256, full scale of a memory code */

typedef struct {
    float scale;  /* what the codes stand for: value = code * scale */
    int32_t sum;  /* sum of the codes: ternary kernels subtract it, since they store w + 1 */
} bm_q8;

float bm_exp_neg(float x);                 /* e^x, x <= 0, clamped at -80 */
int32_t bm_rne(float v);                   /* to nearest, ties to even; |v| < 2^22 */
float bm_sqrt(float v);                    /* correctly rounded square root, v >= 0 finite; no libm */

/* Per-token symmetric max-abs int8: v[n] -> codes[BM_PAD(n)]; scale = max|v| / 127. */
bm_q8 bm_quantize(const float *v, uint32_t n, int8_t *codes);
/* RMSNorm with gain (may be NULL), as int8; scale = 1 / rms(codes). */
bm_q8 bm_norm_quantize(const float *v, const float *gain, uint32_t n, int8_t *codes);
/* ReLU (relu2 = 0) or ReLU squared of accumulators, then as bm_norm_quantize without gain. */
bm_q8 bm_act_quantize(const int32_t *acc, int relu2, uint32_t n, int8_t *codes);
/* ReLU of accumulators [n / channels][channels] times a gain [channels], as int8; their scale is left out. */
void bm_gain_quantize(const int32_t *acc, const float *gain, uint32_t channels, uint32_t n, int8_t *codes);
/* 1 / rms of n codes; 0 for a zero vector. */
float bm_rms_scale(const int8_t *codes, uint32_t n);
float bm_inv_sqrt(uint32_t n);             /* 1 / sqrt(n) */
float bm_max_abs(const float *v, uint32_t n);

/* y[i] = float(dots[i]) * (scale[i] * s), n >= 1; returns the largest. */
float bm_scores(const int32_t *dots, const float *scale, float s, uint32_t n, float *y);
/* Softmax weights as integers: with e_i = exp_neg(scores[i] - top), w[i] = rne(e_i * (scale[i] * fold)).
 * Returns the denominator, sum of rne(e_i * 2^14). fold = 2^14 / max(scale) keeps w in [0, 2^14]. */
int32_t bm_soft_weights(
    const float *scores, float top, const float *scale, float fold, uint32_t n, int32_t *w);

void bm_scale_acc(const int32_t *acc, float s, uint32_t n, float *y);      /* y  = float(acc) * s */
void bm_add_scaled(const int32_t *acc, float s, uint32_t n, float *x);     /* x += float(acc) * s */
void bm_row(const int8_t *codes, float scale, uint32_t n, float *y);       /* y  = float(codes) * scale */
void bm_add_row(const int8_t *codes, float scale, uint32_t n, float *x);   /* x += float(codes) * scale */
void bm_add(const float *a, uint32_t n, float *x);                         /* x += a */
void bm_relu(uint32_t n, float *x);                                        /* x = max(x, 0) */
void bm_pixels(const uint8_t *p, uint32_t n, float *y);                    /* (2 p - 255) / 255 */
/* Patch j of a picture of g x g patches, [16][16][3] -> 1 - patch, at its place in the picture [16 g][16 g][3]. */
void bm_ink(const float *patch, uint32_t j, uint32_t g, float *picture);

/* Keys and values of n slots: codes [n][BM_CACHE_ROW(width)], one scale per slot. Rows are read a head at a time, by loads
 * of 16 bytes that want them aligned, so a narrow one takes little room. */
#define BM_CACHE_ROW(width) (((width) + 15u) & ~15u)
typedef struct {
    int8_t *k, *v;
    float *k_scale, *v_scale;
    uint32_t width;
} bm_cache;

/* Room for the scores of a head [apart] and the weights of `heads` heads [heads][apart], apart >= n. */
typedef struct {
    float *scores;
    int32_t *weights;
    uint32_t heads, apart;
} bm_scratch;

/* Softmax attention of one token over the first n slots; physical order does not matter. Heads first_head .. end_head - 1
 * of n_heads: they do not depend on each other, and as many as the scratch has room for are computed together, so that a
 * long cache is read once, in order.
 * q codes [d], d = n_heads * head_dim; out [d].
 * Bound: |sum w v| <= 2^14 * 127 * n < 2^31 for n <= 1032. */
void bm_attend(const bm_cache *kv, uint32_t n, const int8_t *q, float q_scale, uint32_t n_heads,
    uint32_t head_dim, uint32_t first_head, uint32_t end_head, const bm_scratch *scratch, float *out);

#ifdef __cplusplus
}
#endif
#endif
