/* Runs kernels of one family on cases from stdin: u32 op, n, k, payload sizes; see tests/test_kernels.py. */
#include <stdio.h>
#include <stdlib.h>

#include "bm_kernels.h"

static uint32_t get(void)
{
    uint32_t v;
    if (fread(&v, sizeof v, 1, stdin) != 1) exit(0);
    return v;
}

/* Buffers are exactly as large as the interface says, so that a sanitizer sees any overrun. */
static void *get_bytes(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p || fread(p, 1, size, stdin) != size) exit(3);
    return p;
}

int main(void)
{
    if (!bm_kernels_supported()) return 4;
    for (;;) {
        const uint32_t op = get(), n = get(), k = get(), size_a = get(), size_b = get();
        uint8_t *a = get_bytes(size_a), *b = get_bytes(size_b);
        const uint32_t rows = op == 0 ? n : op == 1 ? n : k, room = op == 0 ? BM_PAD_ROWS(n) : rows;
        int32_t *y = calloc(room, sizeof *y);
        if (!y) return 3;
        if (op == 0) {
            int32_t sum = 0;
            for (uint32_t i = 0; i < k; i++) sum += ((int8_t *)b)[i];
            bm_gemv_t2s8(a, (int8_t *)b, sum, n, k, y);
        } else if (op == 1) {
            bm_dots_s8((int8_t *)a, size_a / n, (int8_t *)b, n, k, y);
        } else {
            bm_wsum_s8((int32_t *)(void *)a, (int8_t *)b, size_b / n, n, k, y);
        }
        fwrite(y, sizeof *y, rows, stdout);
        free(a);
        free(b);
        free(y);
    }
}
