/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `wasm128`: WebAssembly with 128-bit vectors, in browsers since 2021.
 *
 * Layout (codegen/pack.py, "planar4"): groups of 4 rows; per group blocks of 64 k; per block 16 bytes of each row:
 *
 *     byte j of a row's 16, plane p (bits 2p, 2p+1) = code of k = 16 p + j,   code = w + 1 in {0, 1, 2}
 *
 * The only product of integers that is one instruction of every processor is dot_i16x8: 8 products, summed in pairs. So two bytes
 * are one 16-bit lane: j = 2m in its low half, j = 2m + 1 in its high half, which one shift brings down. A plane is masked in
 * place and so stands for 4^p times its code; x was multiplied by 4^(3 - p) before, so that all sums are 64 times theirs.
 */
#include "bm_kernels.h"

#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#define BLOCKS 16u /* of 64 k, whose x is prepared at a time */
#define X16 8u /* vectors of 16-bit x in a block: four planes of even j, four of odd j */

int bm_kernels_supported(void) { return 1; /* an engine without vectors does not load the module */ }

/* x of one block as 16-bit lanes, times 64, 16, 4 and 1: |x| <= 64 * 127 = 8128. */
static inline void widen(const int8_t *x, v128_t *to)
{
    for (uint32_t p = 0; p < 4u; p++) {
        const v128_t both = wasm_v128_load(x + 16u * p);
        to[p] = wasm_i16x8_shr(wasm_i16x8_shl(both, 8), 2u + 2u * p);
        to[4u + p] = wasm_i16x8_shl(wasm_i16x8_shr(both, 8), 6u - 2u * p);
    }
}

/* acc + 64 * (codes of a block times x). */
static inline v128_t add_row(v128_t acc, const uint8_t *w, const v128_t *x)
{
    const v128_t even = wasm_v128_load(w), odd = wasm_u16x8_shr(even, 8);
    for (uint32_t p = 0; p < 4u; p++) {
        const v128_t mask = wasm_i16x8_splat((int16_t)(3 << 2u * p));
        const v128_t a = wasm_i32x4_dot_i16x8(wasm_v128_and(even, mask), x[p]);
        const v128_t b = wasm_i32x4_dot_i16x8(wasm_v128_and(odd, mask), x[4u + p]);
        acc = wasm_i32x4_add(acc, wasm_i32x4_add(a, b));
    }
    return acc;
}

/* The sums of four vectors, in order. */
static inline v128_t sum4(v128_t a, v128_t b, v128_t c, v128_t d)
{
    const v128_t ab = wasm_i32x4_add(
        wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), wasm_i32x4_shuffle(a, b, 2, 6, 3, 7));
    const v128_t cd = wasm_i32x4_add(
        wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), wasm_i32x4_shuffle(c, d, 2, 6, 3, 7));
    return wasm_i32x4_add(wasm_i32x4_shuffle(ab, cd, 0, 1, 4, 5), wasm_i32x4_shuffle(ab, cd, 2, 3, 6, 7));
}

/* Four rows times the blocks whose x was prepared. Bound: 64 * 2 * 127 * K < 2^31 for K <= 4096. The sums are multiples of 64, so
 * the shift is exact. */
static inline v128_t four_rows(const uint8_t *w, const v128_t *x, uint32_t blocks)
{
    v128_t a = wasm_i32x4_splat(0), b = a, c = a, d = a;
    for (uint32_t i = 0; i < blocks; i++, w += 64, x += X16) {
        a = add_row(a, w, x);
        b = add_row(b, w + 16, x);
        c = add_row(c, w + 32, x);
        d = add_row(d, w + 48, x);
    }
    return wasm_i32x4_shr(sum4(a, b, c, d), 6);
}

void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u;
    v128_t wide[BLOCKS * X16];
    for (uint32_t from = 0; from < blocks; from += BLOCKS) {
        const uint32_t some = blocks - from < BLOCKS ? blocks - from : BLOCKS;
        for (uint32_t b = 0; b < some; b++) widen(x + 64u * (from + b), wide + X16 * b);
        for (uint32_t i = 0; i < n; i += 4u) {
            const v128_t sum = four_rows(w + 16u * ((size_t)i * blocks + 4u * from), wide, some);
            const v128_t before = from ? wasm_v128_load(y + i) : wasm_i32x4_splat(-xsum);
            wasm_v128_store(y + i, wasm_i32x4_add(before, sum));
        }
    }
}

/* len a multiple of 8: four partial sums of a . b. Bound: 127^2 * 4096 < 2^27. */
static inline v128_t lanes(const int8_t *a, const int8_t *b, uint32_t len)
{
    v128_t acc = wasm_i32x4_splat(0);
    for (uint32_t k = 0; k < len; k += 8u)
        acc = wasm_i32x4_add(acc, wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(a + k), wasm_i16x8_load8x8(b + k)));
    return acc;
}

int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len)
{
    const uint32_t whole = len & ~7u;
    const v128_t acc = lanes(a, b, whole);
    int32_t sum = wasm_i32x4_extract_lane(sum4(acc, acc, acc, acc), 0);
    for (uint32_t k = whole; k < len; k++) sum += a[k] * b[k];
    return sum;
}

/* Four rows share one tree of horizontal sums; widths that are no multiple of 8 go row by row. */
static inline uint32_t dots4(
    const int8_t *a, size_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t i = 0;
    for (; i + 4u <= n; i += 4u, a += 4u * stride)
        wasm_v128_store(y + i, sum4(lanes(a, q, len), lanes(a + stride, q, len),
                                   lanes(a + 2u * stride, q, len), lanes(a + 3u * stride, q, len)));
    return i;
}

/* The usual head width is known to the compiler. */
void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t i = 0;
    if (len == 32u) i = dots4(a, stride, q, n, 32u, y);
    else if (len % 8u == 0) i = dots4(a, stride, q, n, len, y);
    for (; i < n; i++) y[i] = bm_dot_s8(a + (size_t)i * stride, q, len);
}

/* acc += 4 columns of two rows, whose bytes are interleaved, against their pair of weights. */
#define ADD_PAIRS(acc, extend, interleaved) \
    acc = wasm_i32x4_add(acc, wasm_i32x4_dot_i16x8(wasm_i16x8_extend_##extend##_i8x16(interleaved), weights))

/* 16 columns; w <= 2^14 fits 16 bits. Bound: 2^14 * 127 * n < 2^31 for n <= 1032. */
static inline void wsum16(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y)
{
    v128_t a = wasm_i32x4_splat(0), b = a, c = a, d = a;
    for (uint32_t i = 0; i < n; i += 2u, v += 2u * (size_t)stride) {
        const int two = i + 1u < n; /* an odd last row is paired with itself, weight 0 */
        const v128_t weights = wasm_i32x4_splat(w[i] | (two ? w[i + 1u] << 16 : 0));
        const v128_t first = wasm_v128_load(v), second = wasm_v128_load(two ? v + stride : v);
        const v128_t low = wasm_i8x16_shuffle(
            first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        const v128_t high = wasm_i8x16_shuffle(
            first, second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        ADD_PAIRS(a, low, low);
        ADD_PAIRS(b, high, low);
        ADD_PAIRS(c, low, high);
        ADD_PAIRS(d, high, high);
    }
    wasm_v128_store(y, a);
    wasm_v128_store(y + 4, b);
    wasm_v128_store(y + 8, c);
    wasm_v128_store(y + 12, d);
}

void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + 16u <= len; k += 16u) wsum16(w, v + k, stride, n, y + k);
    for (; k < len; k++) {
        int32_t acc = 0;
        for (uint32_t i = 0; i < n; i++) acc += w[i] * v[(size_t)i * stride + k];
        y[k] = acc;
    }
}

#else
#error \
    "wasm128 kernels: compile for WebAssembly with -msimd128, or generate the project with --kernels portable"
#endif
