/* SPDX-License-Identifier: MIT-0 */
/* What picks read of a head that leaves out what cannot win, beside picks of the whole head.
 *
 *   skip_count FILE
 *
 * FILE, little-endian: u32 rows, width, inputs, candidates; the columns' order u16 [width]; the rows' places u8 [rows]; the head
 * packed for picks that skip, then for kernels portable; int8 codes [inputs][width]. Prints a JSON object: inputs, how many had the same
 * candidates with the same logits both ways, steps of tiles read and in all, seconds of either way.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bm_bytes.h"
#include "bm_gemv_skip.h"
#include "bm_kernels.h"

#define MAX_WIDTH 4096u
#define ROWS 1024u /* logits at a time; a multiple of both packings' groups */

static int8_t x[MAX_WIDTH + 64u] BM_ALIGNED, ordered[MAX_WIDTH + BM_SKIP_STEP] BM_ALIGNED;
static int32_t sums[BM_SKIP_STEPS(MAX_WIDTH)], rest[BM_SKIP_STEPS(MAX_WIDTH)],
    least[BM_SKIP_STEPS(MAX_WIDTH)];
static int32_t acc[ROWS];
static bm_candidates whole, skipped;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint8_t *read_all(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    if (file && fseek(file, 0, SEEK_END) == 0) {
        *size = (size_t)ftell(file);
        data = malloc(*size);
        rewind(file);
        if (data && fread(data, 1, *size, file) != *size) data = NULL;
    }
    if (file) fclose(file);
    return data;
}

static void pick_whole(const uint8_t *w, uint32_t rows, uint32_t width)
{
    int32_t sum = 0;
    for (uint32_t k = 0; k < width; k++) sum += x[k];
    for (uint32_t first = 0; first < rows; first += ROWS) {
        const uint32_t n = rows - first < ROWS ? rows - first : ROWS;
        bm_gemv_t2s8(w + (size_t)first * ((width + 63u) / 64u * 16u), x, sum, n, width, acc);
        bm_candidates_feed(&whole, first, acc, n);
    }
}

static int same(void)
{
    const size_t bytes = whole.count * sizeof *whole.id;
    return whole.count == skipped.count && memcmp(whole.id, skipped.id, bytes) == 0 &&
           memcmp(whole.acc, skipped.acc, bytes) == 0;
}

int main(int argc, char **argv)
{
    size_t size = 0;
    const uint8_t *file = argc == 2 ? read_all(argv[1], &size) : NULL;
    if (!file) return fprintf(stderr, "usage: skip_count FILE\n"), 2;
    const uint32_t rows = bm_get_u32(file), width = bm_get_u32(file + 4), inputs = bm_get_u32(file + 8),
                   k = bm_get_u32(file + 12), steps = BM_SKIP_STEPS(width),
                   tiles = (rows + BM_SKIP_ROWS - 1u) / BM_SKIP_ROWS;
    const uint8_t *order = file + 16, *places = order + 2u * width, *tiled = places + rows,
                  *plain = tiled + (size_t)tiles * steps * BM_SKIP_BYTES,
                  *codes = plain + (size_t)rows * ((width + 63u) / 64u * 16u);
    const bm_skip_input in = {ordered, sums, rest, steps};
    uint64_t read = 0;
    uint32_t equal = 0;
    double spent[3] = {0, 0, 0};
    for (uint32_t i = 0; i < inputs; i++, codes += width) {
        memcpy(x, codes, width);
        bm_candidates_begin(&whole, k);
        bm_candidates_begin(&skipped, k);
        spent[0] = seconds();
        pick_whole(plain, rows, width);
        const double between = seconds();
        bm_skip_begin(&in, x, order, width);
        read += bm_skip_feed(&in, tiled, places, 0, rows, &skipped, least);
        spent[1] += between - spent[0];
        spent[2] += seconds() - between;
        equal += (uint32_t)same();
    }
    printf(
        "{\"inputs\": %u, \"same\": %u, \"read\": %llu, \"all\": %llu, \"whole_s\": %.6f, \"skip_s\": %.6f}\n",
        inputs, equal, (unsigned long long)read, (unsigned long long)inputs * tiles * steps, spent[1],
        spent[2]);
    return 0;
}
