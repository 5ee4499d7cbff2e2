/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `pie`: ESP32-S3. The work is done by bm_pie_gemv.S, bm_pie_five.S (which draw the layouts),
 * bm_pie_skip.S and bm_pie_attend.S; here is what decides whether their alignment holds, and plain C for what is not aligned.
 *
 * The runtime's arena, weights and cache rows are aligned to 64 bytes and padded to it, so its products never take the
 * plain path; heads whose width is no multiple of 16 do.
 *
 * Proven instruction by instruction in bitmar_tiny/simulate; not yet run on a chip.
 */
#include <string.h>

#include "bm_gemv_skip.h"
#include "bm_gemv_t5.h"
#include "bm_kernels.h"
#include "bm_rest.h"

#if defined(__XTENSA__) && defined(__has_include)
#if __has_include("sdkconfig.h")
#include "sdkconfig.h" /* ESP-IDF: which chip */
#endif
#endif

#if defined(__XTENSA__) && defined(CONFIG_IDF_TARGET_ESP32S3)

void bm_pie_gemv(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y);
void bm_pie_five(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t vectors, int32_t *y);
uint32_t bm_pie_skip(const uint8_t *tile, const int8_t *x, const int32_t *floor, uint32_t steps, int32_t *y);
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

#define VECTORS(steps) (((steps) + 2u) / 3u) /* of x: three steps each */
#define LONGEST 2064u /* k that a lane of QACC has room for */

/* Where in the vectors the five k of step s lie. */
static uint32_t place(uint32_t s, uint32_t steps)
{
    const uint32_t at = s / 3u + 1u < VECTORS(steps) ? s : s + 3u * VECTORS(steps) - steps;
    return at / 3u * 16u + at % 3u * 5u;
}

/* x in vectors of three steps and a zero, the last one's steps at its end (bm_pie_five.S); then the sum of x. */
void bm_t5_table(const int8_t *x, uint32_t k, int16_t *table)
{
    const uint32_t steps = BM_T5_STEPS(k), bytes = 16u * VECTORS(steps);
    int8_t *vectors = (int8_t *)table;
    int32_t sum = 0;
    memset(vectors, 0, bytes);
    for (uint32_t i = 0; i < k; i++) {
        vectors[place(i / 5u, steps) + i % 5u] = x[i];
        sum += x[i];
    }
    memcpy(vectors + bytes, &sum, sizeof sum);
}

static int32_t five(uint32_t byte, const int8_t *x)
{
    int32_t acc = 0;
    for (uint32_t i = 0; i < 5u; i++, byte = 3u * byte & 255u) acc += (int32_t)(3u * byte >> 8) * x[i];
    return acc;
}

void bm_gemv_t5s8(const uint8_t *w, const int16_t *table, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t steps = BM_T5_STEPS(k), count = VECTORS(steps);
    const int8_t *vectors = (const int8_t *)table;
    int32_t sum;
    memcpy(&sum, vectors + 16u * count, sizeof sum);
    if (!MISALIGNED(w) && !MISALIGNED(table) && k <= LONGEST) {
        bm_pie_five(w, vectors, sum, n, 4u * count + steps + 3u - 3u * count, y);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *row = w + (size_t)(i / 16u) * 16u * steps + i % 16u;
        y[i] = -sum;
        for (uint32_t s = 0; s < steps; s++) y[i] += five(row[16u * s], vectors + place(s, steps));
    }
}

uint32_t bm_gemv_skip(const uint8_t *tile, const int8_t *x, const int32_t *floor, uint32_t steps, int32_t *y)
{
    if (MISALIGNED(tile) || MISALIGNED(x) || steps > LONGEST / BM_SKIP_STEP)
        return bm_gemv_skip_plain(tile, x, floor, steps, y);
    return bm_pie_skip(tile, x, floor, steps, y);
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
