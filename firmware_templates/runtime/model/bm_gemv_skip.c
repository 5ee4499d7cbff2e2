/* SPDX-License-Identifier: MIT-0 */
/* Ternary products of a head of which a pick reads only what can win.
 *
 * Layout (codegen/pack.py, pack_skip): tiles of 16 rows, cut into steps of 16 columns; a step is 64 bytes, a line of a cache:
 *
 *     byte 16 j + r of a step, plane p (bits 2p, 2p+1) = code of row r, k = 4 p + j,   code = w + 1 in {0, 1, 2}
 *
 * k counts the columns in the order that codegen/skip.py found, those with the largest |x| first. Rows and k that only
 * fill a tile or a step have code 1, that is w = 0. The rows of each window of 64 ids lie in an order of their own, those that
 * are picked more often first: row i is id i / 64 * 64 + places[i].
 *
 * Proof. Let p be the sum of a row's products over the steps done, R the sum of |x| over the others. As |w| <= 1, its
 * logit is at most p + R. The candidates hold k logits, the worst of them b; a row with a logit below b does not enter them,
 * and b never falls. So if p + R < b for all rows of a tile, none of them enters, and what is left of the tile is not
 * read. In the kernel's sums of codes, s = p + sum of x so far:
 *
 *     p + R < b   is   s <= b - 1 - rest + sum = floor[step]
 *
 * Bounds: |s| <= 2 * 127 * K < 2^31 for K <= 4096, and |floor| is below 2^22 + |b|.
 */
#include "bm_gemv_skip.h"

void bm_skip_begin(const bm_skip_input *in, const int8_t *codes, const uint8_t *order, uint32_t k)
{
    int32_t sum = 0, rest = 0;
    for (uint32_t i = 0; i < BM_SKIP_STEP * in->steps; i++)
        in->x[i] = i < k ? codes[order[2u * i] | (uint32_t)order[2u * i + 1u] << 8] : 0;
    for (uint32_t s = 0; s < in->steps; s++) {
        for (uint32_t i = 0; i < BM_SKIP_STEP; i++) sum += in->x[BM_SKIP_STEP * s + i];
        in->sum[s] = sum;
    }
    for (uint32_t s = in->steps; s-- > 0;) {
        in->rest[s] = rest;
        for (uint32_t i = 0; i < BM_SKIP_STEP; i++) {
            const int32_t x = in->x[BM_SKIP_STEP * s + i];
            rest += x < 0 ? -x : x;
        }
    }
}

static void add_step(int32_t *restrict y, const uint8_t *restrict w, const int8_t *restrict x)
{
    for (uint32_t j = 0; j < 4u; j++, w += BM_SKIP_ROWS)
        for (uint32_t r = 0; r < BM_SKIP_ROWS; r++)
            y[r] += (w[r] & 3) * x[j] + (w[r] >> 2 & 3) * x[4u + j] + (w[r] >> 4 & 3) * x[8u + j] +
                    (w[r] >> 6) * x[12u + j];
}

static int32_t largest(const int32_t *y)
{
    int32_t top = y[0];
    for (uint32_t r = 1; r < BM_SKIP_ROWS; r++) top = y[r] > top ? y[r] : top;
    return top;
}

uint32_t bm_gemv_skip_plain(
    const uint8_t *tile, const int8_t *x, const int32_t *floor, uint32_t steps, int32_t *y)
{
    for (uint32_t r = 0; r < BM_SKIP_ROWS; r++) y[r] = 0;
    for (uint32_t s = 0; s < steps; s++, tile += BM_SKIP_BYTES, x += BM_SKIP_STEP) {
        add_step(y, tile, x);
        if (floor && s + 1u < steps && largest(y) <= floor[s]) return s + 1u;
    }
    return steps;
}

BM_WEAK uint32_t bm_gemv_skip(
    const uint8_t *tile, const int8_t *x, const int32_t *floor, uint32_t steps, int32_t *y)
{ return bm_gemv_skip_plain(tile, x, floor, steps, y); }

static void set_floor(const bm_skip_input *in, const bm_candidates *c, int32_t *floor)
{
    for (uint32_t s = 0; s < in->steps; s++)
        floor[s] = c->count < c->k ? INT32_MIN : c->acc[c->k - 1u] - 1 - in->rest[s] + in->sum[s];
}

/* The id of row i, counted from the first of the rows that `places` belongs to. */
static uint32_t id_of(const uint8_t *places, uint32_t i)
{ return i / BM_SKIP_WINDOW * BM_SKIP_WINDOW + places[i]; }

void bm_skip_logits(
    const bm_skip_input *in, const uint8_t *w, const uint8_t *places, uint32_t rows, uint32_t n, int32_t *y)
{
    const uint32_t windows = (n + BM_SKIP_WINDOW - 1u) / BM_SKIP_WINDOW * BM_SKIP_WINDOW;
    const uint32_t end = windows < rows ? windows : rows;
    int32_t sums[BM_SKIP_ROWS];
    for (uint32_t i = 0; i < end; i += BM_SKIP_ROWS, w += in->steps * BM_SKIP_BYTES) {
        bm_gemv_skip(w, in->x, 0, in->steps, sums);
        for (uint32_t r = 0; r < BM_SKIP_ROWS && i + r < end; r++) {
            const uint32_t id = id_of(places, i + r);
            if (id < n) y[id] = sums[r] - in->sum[in->steps - 1u];
        }
    }
}

uint32_t bm_skip_feed(const bm_skip_input *in, const uint8_t *w, const uint8_t *places, uint32_t first,
    uint32_t n, bm_candidates *c, int32_t *floor)
{
    int32_t sums[BM_SKIP_ROWS];
    uint32_t read = 0;
    set_floor(in, c, floor);
    for (uint32_t i = 0; i < n; i += BM_SKIP_ROWS, w += in->steps * BM_SKIP_BYTES) {
        const uint32_t done = bm_gemv_skip(w, in->x, floor, in->steps, sums);
        read += done;
        if (done < in->steps) continue;
        for (uint32_t r = 0; r < BM_SKIP_ROWS && i + r < n; r++)
            bm_candidates_put(c, first + id_of(places, i + r), sums[r] - in->sum[in->steps - 1u]);
        set_floor(in, c, floor);
    }
    return read;
}
