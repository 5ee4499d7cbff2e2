/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `wasm128`: WebAssembly with 128-bit vectors.
 *
 * Layout (codegen/pack.py, "lanes"): tiles of 16 rows x 4 k = 16 bytes, a tile's k steps one after the other:
 *
 *     byte r of a tile, plane p (bits 2p, 2p+1) = code of row r, k = p,   code = w + 1 in {0, 1, 2}
 *
 * WebAssembly has no product of bytes that is one instruction of every processor, but a look-up in a table of 16 bytes (swizzle) is
 * one, or two. So half a byte, the codes of two k, is looked up: the table has w x + w' x' for all their values, in two pieces that
 * add up in bytes. Each byte lane belongs to one row, so there is no horizontal sum, and xsum is not needed.
 */
#include "bm_kernels.h"
#include "bm_rest.h"

#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#define CHUNK 256u /* k whose tables are made at a time */
#define PAIR 254 /* added to w x + w' x', which is then in 0 .. 508 */
#define LOW 5 /* bits of it in the first table; the second has the others */

int bm_kernels_supported(void) { return 1; /* an engine without vectors does not load the module */ }

/* The two tables of a pair of x: entry c + 4 c' is PAIR + (c - 1) x + (c' - 1) x'. */
static inline void make_tables(const int8_t *x, v128_t *to)
{
    const v128_t first = wasm_i16x8_make(-1, 0, 1, 0, -1, 0, 1, 0),
                 second = wasm_i16x8_make(-1, -1, -1, -1, 0, 0, 0, 0);
    const v128_t x0 = wasm_i16x8_mul(first, wasm_i16x8_splat(x[0])), x1 = wasm_i16x8_splat(x[1]);
    const v128_t base = wasm_i16x8_add(x0, wasm_i16x8_splat(PAIR)), low = wasm_i16x8_splat((1 << LOW) - 1);
    const v128_t a = wasm_i16x8_add(base, wasm_i16x8_mul(second, x1)), b = wasm_i16x8_add(base, x1);
    to[0] = wasm_u8x16_narrow_i16x8(wasm_v128_and(a, low), wasm_v128_and(b, low));
    to[1] = wasm_u8x16_narrow_i16x8(wasm_u16x8_shr(a, LOW), wasm_u16x8_shr(b, LOW));
}

/* Bytes that were added up: all of them as 16-bit lanes, and the odd ones alone. */
typedef struct {
    v128_t both, odd;
} sums;

static inline sums flush(sums s, v128_t bytes)
{
    s.both = wasm_i16x8_add(s.both, bytes);
    s.odd = wasm_i16x8_add(s.odd, wasm_u16x8_shr(bytes, 8));
    return s;
}

/* Of the even lanes alone: both is even + 2^8 odd, modulo 2^16. */
static inline v128_t even(sums s) { return wasm_i16x8_sub(s.both, wasm_i16x8_shl(s.odd, 8)); }

static inline void add_to(int32_t *y, v128_t rows, v128_t base, int more)
{
    const v128_t before = more ? wasm_v128_load(y) : wasm_i32x4_splat(0);
    wasm_v128_store(y, wasm_i32x4_add(wasm_i32x4_add(before, base), rows));
}

/* 16 rows times 16 k, `steps` of them; t: 16 tables for each step. Bounds of the lanes:
 *   bytes, per step: 8 pairs * 31 = 248 and 8 * (508 >> 5) = 120 <= 255;
 *   16 bits, per chunk: 128 pairs * 508 = 65024 < 2^16, and so for both pieces of it;
 *   32 bits: 127 * K < 2^31. */
static inline void tile(const uint8_t *w, const v128_t *t, uint32_t steps, int more, int32_t *y)
{
    const v128_t zero = wasm_i32x4_splat(0), nibble = wasm_i8x16_splat(15);
    sums low = {zero, zero}, high = low;
    for (uint32_t i = 0; i < steps; i++) {
        v128_t l = zero, h = zero;
        for (uint32_t j = 0; j < 4u; j++, w += 16, t += 4) {
            const v128_t codes = wasm_v128_load(w), a = wasm_v128_and(codes, nibble),
                         b = wasm_v128_and(wasm_u16x8_shr(codes, 4), nibble);
            l = wasm_i8x16_add(wasm_i8x16_add(l, wasm_i8x16_swizzle(t[0], a)), wasm_i8x16_swizzle(t[2], b));
            h = wasm_i8x16_add(wasm_i8x16_add(h, wasm_i8x16_swizzle(t[1], a)), wasm_i8x16_swizzle(t[3], b));
        }
        low = flush(low, l);
        high = flush(high, h);
    }
    const v128_t e = wasm_i16x8_add(even(low), wasm_i16x8_shl(even(high), LOW));
    const v128_t o = wasm_i16x8_add(low.odd, wasm_i16x8_shl(high.odd, LOW));
    const v128_t a = wasm_i16x8_shuffle(e, o, 0, 8, 1, 9, 2, 10, 3, 11),
                 b = wasm_i16x8_shuffle(e, o, 4, 12, 5, 13, 6, 14, 7, 15);
    const v128_t base = wasm_i32x4_splat(-(int32_t)(8u * PAIR * steps));
    add_to(y, wasm_u32x4_extend_low_u16x8(a), base, more);
    add_to(y + 4, wasm_u32x4_extend_high_u16x8(a), base, more);
    add_to(y + 8, wasm_u32x4_extend_low_u16x8(b), base, more);
    add_to(y + 12, wasm_u32x4_extend_high_u16x8(b), base, more);
}

void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t padded = (k + 63u) & ~63u;
    v128_t tables[CHUNK];
    (void)xsum;
    for (uint32_t from = 0; from < padded; from += CHUNK) {
        const uint32_t some = padded - from < CHUNK ? padded - from : CHUNK;
        for (uint32_t i = 0; i < some; i += 2u) make_tables(x + from + i, tables + i);
        for (uint32_t i = 0; i < n; i += 16u)
            tile(w + (size_t)i * (padded / 4u) + 4u * from, tables, some / 16u, from != 0, y + i);
    }
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
    bm_wsum_rest(w, v, stride, n, k, len, y);
}

#else
#error \
    "wasm128 kernels: compile for WebAssembly with -msimd128, or generate the project with --kernels portable"
#endif
