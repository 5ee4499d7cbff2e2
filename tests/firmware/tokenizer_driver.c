/* SPDX-License-Identifier: Apache-2.0 */
/* Test harness of the C tokenizer. usage: tokenizer_driver TOKENIZER.bin [CELLS [CAPACITY]]
 * Reads records from stdin (u32 length, little-endian, then the bytes); for each prints the status and the
 * ids on a line. Checks that decoding the ids gives the bytes back. Exit 3: the binary does not open. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_tokenizer.h"

static uint8_t *read_all(FILE *file, size_t *size)
{
    size_t room = 1u << 16, n;
    uint8_t *data = malloc(room);
    *size = 0;
    while (data && (n = fread(data + *size, 1, room - *size, file)) > 0) {
        *size += n;
        if (*size == room) {
            room *= 2;
            data = realloc(data, room);
        }
    }
    if (!data) { exit(9); }
    return realloc(data, *size ? *size : 1u); /* exact size, so that the sanitizer sees any byte past it */
}

static int decodes_to(const bm_tokenizer *t, const uint32_t *ids, size_t n, const uint8_t *text, size_t size)
{
    size_t i, at = 0, length;
    for (i = 0; i < n; i++) {
        const uint8_t *bytes = bm_tokenizer_decode(t, ids[i], &length);
        if (!bytes || length > size - at || memcmp(bytes, text + at, length) != 0) { return 0; }
        at += length;
    }
    return at == size;
}

int main(int argc, char **argv)
{
    size_t size, at = 0, n_ids, i;
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    uint8_t *blob, *input;
    bm_tokenizer t;
    if (!file) { return 2; }
    blob = read_all(file, &size);
    fclose(file);
    if (bm_tokenizer_open(blob, size, &t) != BM_TOKENIZER_OK) {
        free(blob);
        return 3;
    }
    input = read_all(stdin, &size);
    while (size - at >= 4) {
        size_t n = (size_t)input[at] | (size_t)input[at + 1] << 8 | (size_t)input[at + 2] << 16 |
                   (size_t)input[at + 3] << 24;
        size_t n_cells = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : n,
               room = argc > 3 ? (size_t)strtoul(argv[3], NULL, 10) : n;
        uint8_t *text = malloc(n + !n);
        bm_tokenizer_cell *cells = malloc((n_cells + 1) * sizeof *cells);
        uint32_t *ids = malloc((room + 1) * sizeof *ids);
        int status;
        if (!text || !cells || !ids || size - at - 4 < n) { return 9; }
        memcpy(text, input + at + 4, n);
        cells = realloc(cells, (n_cells + !n_cells) * sizeof *cells);
        ids = realloc(ids, (room + !room) * sizeof *ids);
        if (!cells || !ids) { return 9; }
        status = bm_tokenizer_encode(&t, text, n, cells, n_cells, ids, room, &n_ids);
        printf("%d", status);
        for (i = 0; i < n_ids; i++) { printf(" %lu", (unsigned long)ids[i]); }
        puts(status == BM_TOKENIZER_OK && !decodes_to(&t, ids, n_ids, text, n) ? " DECODE" : "");
        free(text);
        free(cells);
        free(ids);
        at += 4 + n;
    }
    free(input);
    free(blob);
    return 0;
}
