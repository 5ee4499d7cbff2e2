/* SPDX-License-Identifier: MIT-0 */
/* Ternary products by table: five weights in a byte, one look-up and one addition for all five.
 *
 * Layout (codegen/pack.py, pack5): groups of 4 rows, each cut into steps of 5 k; a step of a group is 4 bytes, so that
 * one 32-bit load brings the same 5 k of 4 rows:
 *
 *     group 0: | row 0  row 1  row 2  row 3 | row 0  row 1  row 2  row 3 | ...   group 1 (rows 4 to 7): | ...
 *              |         k = 0 .. 4         |         k = 5 .. 9         |
 *
 *     byte = sum over i < 5 of 3^i code of k = 5 step + i,   code = w + 1 in {0, 1, 2}
 *
 * Rows and k that only fill a group or a step have code 1, that is w = 0.
 *
 * Bounds: an entry is a sum of five of +-x, |entry| <= 5 * 128 = 640 < 2^15; |y| <= 640 * k / 5 < 2^31 for k < 2^24.
 */
#include "bm_gemv_t5.h"

#include "bm_bytes.h"

#define ROWS 4u

/* The sums of all 243 bytes, one addition each: one more in digit i is one more x[i]. */
static void fill(const int8_t *x, int16_t *t)
{
    t[0] = (int16_t)-(x[0] + x[1] + x[2] + x[3] + x[4]);   /* five digits 0, that is five weights -1 */
    for (uint32_t i = 0, done = 1; i < 5u; i++, done *= 3u)
        for (uint32_t j = 0; j < 2u * done; j++) t[done + j] = (int16_t)(t[j] + x[i]);
}

BM_WEAK void bm_t5_table(const int8_t *x, uint32_t k, int16_t *table)
{
    const uint32_t whole = k / 5u;
    for (uint32_t s = 0; s < whole; s++, x += 5, table += BM_T5_CODES) fill(x, table);
    if (5u * whole == k) return;
    int8_t last[5] = {0};
    for (uint32_t i = 0; i < k - 5u * whole; i++) last[i] = x[i];
    fill(last, table);
}

BM_WEAK void bm_gemv_t5s8(const uint8_t *w, const int16_t *table, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t steps = BM_T5_STEPS(k);
    for (uint32_t i = 0; i < n; i += ROWS, y += ROWS) {
        int32_t acc0 = 0, acc1 = 0, acc2 = 0, acc3 = 0;
        const int16_t *t = table;
        for (uint32_t s = 0; s < steps; s++, w += ROWS, t += BM_T5_CODES) {
            const uint32_t four = bm_get_u32(w);
            acc0 += t[four & 255u];
            acc1 += t[four >> 8 & 255u];
            acc2 += t[four >> 16 & 255u];
            acc3 += t[four >> 24];
        }
        y[0] = acc0;
        y[1] = acc1;
        y[2] = acc2;
        y[3] = acc3;
    }
}
