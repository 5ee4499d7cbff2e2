/* SPDX-License-Identifier: Apache-2.0 */
/* The 128-bit operations of WebAssembly that the family `wasm128` uses, in SSE4.1: the same C, natively, for the comparison of
 * bitmar_tiny/bench/wasm.py. Lanes and results are those of the WebAssembly specification; swizzle takes indices below 16 alone,
 * which is all that the kernels look up.
 */
#pragma once
#include <smmintrin.h>
#include <stdint.h>

typedef __m128i v128_t;

#define wasm_v128_load(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define wasm_v128_store(p, a) _mm_storeu_si128((__m128i *)(void *)(p), a)
#define wasm_v128_and(a, b) _mm_and_si128(a, b)

#define wasm_i8x16_splat(x) _mm_set1_epi8((char)(x))
#define wasm_i16x8_splat(x) _mm_set1_epi16((short)(x))
#define wasm_i32x4_splat(x) _mm_set1_epi32(x)
#define wasm_i16x8_make(...) _mm_setr_epi16(__VA_ARGS__)

#define wasm_i8x16_add(a, b) _mm_add_epi8(a, b)
#define wasm_i16x8_add(a, b) _mm_add_epi16(a, b)
#define wasm_i16x8_sub(a, b) _mm_sub_epi16(a, b)
#define wasm_i16x8_mul(a, b) _mm_mullo_epi16(a, b)
#define wasm_i32x4_add(a, b) _mm_add_epi32(a, b)
#define wasm_i32x4_dot_i16x8(a, b) _mm_madd_epi16(a, b)
#define wasm_i16x8_shl(a, n) _mm_slli_epi16(a, n)
#define wasm_u16x8_shr(a, n) _mm_srli_epi16(a, n)

#define wasm_i8x16_swizzle(a, indices) _mm_shuffle_epi8(a, indices)
#define wasm_u8x16_narrow_i16x8(a, b) _mm_packus_epi16(a, b)
#define wasm_i16x8_load8x8(p) _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(p)))
#define wasm_i16x8_extend_low_i8x16(a) _mm_cvtepi8_epi16(a)
#define wasm_i16x8_extend_high_i8x16(a) _mm_srai_epi16(_mm_unpackhi_epi8(a, a), 8)
#define wasm_u32x4_extend_low_u16x8(a) _mm_cvtepu16_epi32(a)
#define wasm_u32x4_extend_high_u16x8(a) _mm_unpackhi_epi16(a, _mm_setzero_si128())
#define wasm_i32x4_extract_lane(a, lane) _mm_extract_epi32(a, lane)

/* gcc finds the one instruction that an order of lanes is. */
typedef int8_t bm_lanes8 __attribute__((vector_size(16)));
typedef int16_t bm_lanes16 __attribute__((vector_size(16)));
typedef int32_t bm_lanes32 __attribute__((vector_size(16)));
#define BM_ORDER(type, a, b, ...) ((v128_t)__builtin_shuffle((type)(a), (type)(b), (type){__VA_ARGS__}))
#define wasm_i8x16_shuffle(a, b, ...) BM_ORDER(bm_lanes8, a, b, __VA_ARGS__)
#define wasm_i16x8_shuffle(a, b, ...) BM_ORDER(bm_lanes16, a, b, __VA_ARGS__)
#define wasm_i32x4_shuffle(a, b, ...) BM_ORDER(bm_lanes32, a, b, __VA_ARGS__)
