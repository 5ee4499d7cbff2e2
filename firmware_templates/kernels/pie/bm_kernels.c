/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `pie`: ESP32-S3. The work is done by bm_pie_gemv.S (which draws the layout) and
 * bm_pie_attend.S; here is what decides whether their alignment holds, and plain C for what is not aligned.
 *
 * The runtime's arena, weights and cache rows are aligned to 64 bytes and padded to it, so its products never take the
 * plain path; heads whose width is no multiple of 16 do.
 *
 * Proven instruction by instruction in bitmar_tiny/simulate; not yet run on a chip.
 */
#include "bm_kernels.h"
#include "bm_rest.h"

#if defined(__XTENSA__) && defined(__has_include)
#if __has_include("sdkconfig.h")
#include "sdkconfig.h" /* ESP-IDF: which chip */
#endif
#endif

#if defined(__XTENSA__) && defined(CONFIG_IDF_TARGET_ESP32S3)

void bm_pie_gemv(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y);
void bm_pie_dots(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t vectors, int32_t *y);
void bm_pie_wsum16(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y);
int32_t bm_pie_probe(void);

#define MISALIGNED(p) ((uintptr_t)(p) & 15u)

/* The products need the sums that EE.SRCMB shifts to be written back; a chip is asked whether it does that. */
int bm_kernels_supported(void) { return bm_pie_probe() == 4; }

static void gemv(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *row = w + (size_t)(i / 16u) * blocks * 256u + i % 16u;
        int32_t acc = -xsum;
        for (uint32_t b = 0; b < blocks * 16u; b++) {
            const int8_t *xb = x + b / 16u * 64u + b % 16u;
            const int codes = row[16u * b];
            acc += (codes & 3) * xb[0] + (codes >> 2 & 3) * xb[16] + (codes >> 4 & 3) * xb[32] +
                   (codes >> 6) * xb[48];
        }
        y[i] = acc;
    }
}

void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    if (MISALIGNED(w) || MISALIGNED(x)) gemv(w, x, xsum, n, k, y);
    else bm_pie_gemv(w, x, xsum, n, k, y);
}

static int32_t dot(const int8_t *a, const int8_t *b, uint32_t len)
{
    int32_t acc = 0;
    for (uint32_t k = 0; k < len; k++) acc += a[k] * b[k];
    return acc;
}

int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len)
{
    const uint32_t whole = MISALIGNED(a) || MISALIGNED(b) ? 0 : len & ~15u;
    int32_t acc = 0;
    if (whole) bm_pie_dots(a, 0, b, 1, whole / 16u, &acc);
    return acc + dot(a + whole, b + whole, len - whole);
}

void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    if (MISALIGNED(a) || MISALIGNED(q) || stride % 16u || len % 16u || !len) {
        for (uint32_t i = 0; i < n; i++, a += stride) y[i] = dot(a, q, len);
    } else {
        bm_pie_dots(a, stride, q, n, len / 16u, y);
    }
}

void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    const uint32_t whole = MISALIGNED(v) || stride % 16u ? 0 : len & ~15u;
    for (uint32_t k = 0; k < whole; k += 16u) bm_pie_wsum16(w, v + k, stride, n, y + k);
    bm_wsum_rest(w, v, stride, n, whole, len, y);
}

#else
#error "pie kernels: compile for the ESP32-S3, or generate the project with --kernels portable"
#endif
