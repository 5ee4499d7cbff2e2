/* The kernel interface. One family (one file in kernels/) is chosen per build by bm_config.h through
 * BM_KERNELS, e.g. `#define BM_KERNELS avx2` makes bm_gemv_t2s8 mean bm_gemv_t2s8__avx2.
 * Weights are packed for exactly that family ("store order = kernel order", codegen/pack.py).
 */
#ifndef BM_KERNELS_H
#define BM_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Declares the functions of one family.
 *
 * gemv_t2s8: y[i] = sum_k w[i][k] * x[k], exact. w: packed ternary [n][k]; x: codes [BM_PAD(k)];
 *            xsum = sum of x; y: int32 [BM_PAD_ROWS(n)] (tiles may write the padding rows).
 * dots_s8:   y[i] = sum_k a[i * stride + k] * q[k] for i < n, k < len. Exact for len * 127^2 < 2^31.
 * wsum_s8:   y[k] = sum_i w[i] * v[i * stride + k], 0 <= w <= 2^14. Exact for n <= 1032.
 * dot_s8:    sum_k a[k] * b[k].
 * supported: 1 when this processor can run the family.
 */
#define BM_KERNEL_FAMILY(F)                                                                                  \
    void bm_gemv_t2s8__##F(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y); \
    void bm_dots_s8__##F(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y); \
    void bm_wsum_s8__##F(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y); \
    int32_t bm_dot_s8__##F(const int8_t *a, const int8_t *b, uint32_t len);                                      \
    int bm_supported__##F(void);

BM_KERNEL_FAMILY(portable)
BM_KERNEL_FAMILY(avx2)
BM_KERNEL_FAMILY(avxvnni)
BM_KERNEL_FAMILY(avx512vnni)
BM_KERNEL_FAMILY(neon)
BM_KERNEL_FAMILY(neondot)
BM_KERNEL_FAMILY(pie)

#define BM_ALIGNED __attribute__((aligned(16)))  /* what vector kernels want of their vectors */
#define BM_PAD_ROWS(n) (((n) + 31u) & ~31u)  /* accumulators are padded to the tallest tile */

#ifndef BM_KERNELS
#include "bm_config.h" /* defines BM_KERNELS; kernel tests pass it with -D instead */
#endif
#define BM_CAT_(a, b) a##b
#define BM_CAT(a, b) BM_CAT_(a, b)
#define bm_gemv_t2s8 BM_CAT(bm_gemv_t2s8__, BM_KERNELS)
#define bm_dots_s8 BM_CAT(bm_dots_s8__, BM_KERNELS)
#define bm_wsum_s8 BM_CAT(bm_wsum_s8__, BM_KERNELS)
#define bm_dot_s8 BM_CAT(bm_dot_s8__, BM_KERNELS)
#define bm_kernels_supported BM_CAT(bm_supported__, BM_KERNELS)

#ifdef __cplusplus
}
#endif
#endif
