/* SPDX-License-Identifier: MIT-0 */
/* Convolutions over a whole picture (golden's convolve): a row of the packed matrix is multiplied with the nine cells around
 * every cell of a map, and the largest of every 2x2 sums stays.
 */
#include "bm_internal.h"

#if BM_CONVOLUTIONS
#include <string.h>

#define TILE_BYTES 16384u /* weights that stay in the nearest cache while the map passes */

typedef struct {
    bm_state *s;
    const bm_convolution *layer;
    uint32_t side; /* of the map that comes in */
} convolution;

/* The codes of the 3x3 cells around (y, x), zeros outside the map. Returns their sum. */
static int32_t window(
    const int8_t *map, uint32_t side, uint32_t channels, uint32_t y, uint32_t x, int8_t *codes)
{
    const uint32_t n = 9u * channels;
    int32_t sum = 0;
    for (uint32_t i = 0; i < 9u; i++) {
        const uint32_t row = y + i / 3u - 1u, column = x + i % 3u - 1u; /* before the first: a huge one */
        if (row < side && column < side)
            memcpy(codes + i * channels, map + (size_t)(row * side + column) * channels, channels);
        else memset(codes + i * channels, 0, channels);
    }
    for (uint32_t k = 0; k < n; k++) sum += codes[k];
    memset(codes + n, 0, BM_PAD(n) - n);
    return sum;
}

/* Outputs first .. first + n - 1 of one pooled cell. */
static void pool_cell(const convolution *c, uint32_t part, uint32_t cell, uint32_t first, uint32_t n)
{
    const bm_state *s = c->s;
    const uint32_t channels = c->layer->inputs, outputs = c->layer->outputs, half = c->side / 2u;
    const uint8_t *w = bm_at(s, c->layer->w) + (size_t)first * BM_ROW_BYTES(9u * channels);
    int8_t *codes = s->window + part * BM_PAD(9u * channels);
    int32_t *acc = s->cell + part * BM_PAD_ROWS(outputs), *most = s->sums + (size_t)cell * outputs + first;
    for (uint32_t i = 0; i < 4u; i++) {
        const uint32_t y = cell / half * 2u + i / 2u, x = cell % half * 2u + i % 2u;
        const int32_t sum = window(s->map, c->side, channels, y, x, codes);
        bm_gemv_t2s8(w, codes, sum, n, 9u * channels, acc);
        for (uint32_t k = 0; k < n; k++) most[k] = i && most[k] > acc[k] ? most[k] : acc[k];
    }
}

/* Some of the cells, with a scratch of its own; as many rows at a time as stay in the cache. */
static void convolve_part(void *job, uint32_t part, uint32_t parts)
{
    const convolution *c = job;
    const uint32_t cells = c->side / 2u * (c->side / 2u), outputs = c->layer->outputs;
    const uint32_t shares = parts < BM_THREADS ? parts : BM_THREADS;
    const uint32_t fit = TILE_BYTES / BM_ROW_BYTES(9u * c->layer->inputs) / BM_ROW_GROUP,
                   tile = BM_ROW_GROUP * (fit ? fit : 1u);
    if (part >= shares) return;
    for (uint32_t first = 0; first < outputs; first += tile)
        for (uint32_t cell = cells * part / shares; cell < cells * (part + 1u) / shares; cell++)
            pool_cell(c, part, cell, first, outputs - first < tile ? outputs - first : tile);
}

float bm_convolve(bm_state *s)
{
    uint32_t side = BM_IMAGE_SIDE, n = side * side * 3u;
    bm_quantize(s->picture, n, s->map);
    BM_TAP(s, BM_TAP_IMAGE_CODES, s->map, n);
    for (uint32_t i = 0; i < BM_CONVOLUTIONS; i++) {
        const bm_convolution *layer = &bm_convolutions[i];
        convolution c = {s, layer, side};
        BM_MARK(s, BM_PART_OTHER);
        if (s->split) s->split(convolve_part, &c);
        else convolve_part(&c, 0, 1u);
        BM_MARK(s, BM_PART_GEMV);
        side /= 2u;
        n = side * side * layer->outputs;
        bm_gain_quantize(s->sums, BM_F32(s, layer->gain), layer->outputs, n, s->map);
        BM_TAP(s, layer->tap + BM_TAP_CONVOLUTION_CODES, s->map, n);
    }
    const float scale = bm_rms_scale(s->map, n);
    BM_TAP(s, BM_TAP_IMAGE_SCALE, &scale, 1u);
    return scale;
}
#endif
