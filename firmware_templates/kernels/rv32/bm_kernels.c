/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `rv32`: 32-bit RISC-V cores that issue one instruction at a time and have no vectors. What counts is the number of
 * instructions: four weights take one look-up and one addition, as in `m0`, and sums stay in registers. The loops are in bm_rv32.S.
 *
 * Layout (codegen/pack.py): groups of 4 rows; per group and 4 k four bytes, one of each row:
 *
 *     byte = 2 c0 + 6 c1 + 20 c2 + 60 c3,   c = w + 1 in {0, 1, 2} of k = 0 .. 3
 *
 * A byte is the offset of its sum in a table of 16-bit entries, BIAS + c0 x0 + c1 x1 + c2 x2 + c3 x3. |x| <= 127, so an entry lies in
 * [8, 2040]. Two neighbours are one word, and what is added to both is one number times 0x10001: no half ever borrows from the other.
 * Offsets reach 176. The tenth half of every 20 bytes is no entry: it makes nine entries five words.
 *
 * A look-up is four instructions: LBU, ADD, LHU, ADD. The tables take 27 a k, which all rows share.
 */
#include "bm_gemv_t5.h"
#include "bm_kernels.h"
#include "bm_rest.h"

#if defined(__riscv) && __riscv_xlen == 32

#define CHUNK 64u /* k of which tables are made at a time; K_BLOCK in codegen/kernels.py */
#define TABLE_WORDS 45u /* of a table: that of four k */
#define TABLES (CHUNK / 4u)
#define BIAS 1024u /* of each entry, which is never negative by that */
#define BOTH 0x10001u /* times a number: in both halves of a word */
#define COLUMNS 8u /* of a weighted sum at a time, in registers */
#define UNROLLED _Pragma("GCC unroll 64")

/* y[i] += the entries that CHUNK / 4 bytes of each row name; groups of four rows lie width bytes apart. */
void bm_rv32_rows(const uint8_t *w, const uint32_t *middle, int32_t *y, const int32_t *end, uint32_t width);
/* y[i] = the sum of the entries that the row's bytes name, one a step. */
void bm_rv32_fives(const uint8_t *w, const int16_t *table, int32_t *y, const int32_t *end, uint32_t steps);

/* Four rows of dot products. */
void bm_rv32_dots4(const int8_t *a, uint32_t stride, const int8_t *q, int32_t *y, uint32_t len);

uint8_t bm_packed_zero(void) { return 2 + 6 + 20 + 60; }

int bm_kernels_supported(void) { return 1; }

/* The 81 sums of four codes. */
static void make_table(const int8_t *x, uint32_t *t)
{
    const uint32_t x0 = (uint32_t)x[0], x1 = (uint32_t)x[1], x2 = (uint32_t)x[2] * BOTH;
    const uint32_t x3 = (uint32_t)x[3] * BOTH, first = BIAS * BOTH + (x0 << 16);
    uint32_t a = first, b = BIAS * BOTH + 2u * x0 + (x1 << 16), c = first + (x0 + x1) * BOTH;
    uint32_t d = first + 2u * x1 * BOTH, e = BIAS * BOTH + 2u * (x0 + x1) * BOTH;
    UNROLLED for (uint32_t i = 0; i < 9u; i++, t += 5)
    {
        const uint32_t more = i % 3u == 2u ? x3 - 2u * x2 : x2;
        t[0] = a, t[1] = b, t[2] = c, t[3] = d, t[4] = e;
        a += more, b += more, c += more, d += more, e += more;
    }
}

/* Bound: an entry is less than 2 BIAS, so at any time |y| <= 127 K + BIAS K / 4 + 2 BIAS K / 4 < 2^31 for K <= 4096. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t width = (k + CHUNK - 1u) / CHUNK * CHUNK, rows = (n + 3u) & ~3u;
    const int32_t start = -xsum - (int32_t)(BIAS * width / 4u); /* sum (code - 1) x = sum code x - sum x */
    uint32_t tables[TABLES * TABLE_WORDS];
    if (!n) return;
    for (uint32_t i = 0; i < rows; i++) y[i] = start;
    for (uint32_t at = 0; at < width; at += CHUNK) {
        for (uint32_t j = 0; j < TABLES; j++) make_table(x + at + 4u * j, tables + j * TABLE_WORDS);
        bm_rv32_rows(w + at, tables + TABLES / 2u * TABLE_WORDS, y, y + rows, width);
    }
}

/* The bound is that of bm_gemv_t5.c. */
void bm_gemv_t5s8(const uint8_t *w, const int16_t *table, uint32_t n, uint32_t k, int32_t *y)
{ bm_rv32_fives(w, table, y, y + ((n + 3u) & ~3u), BM_T5_STEPS(k)); }

/* Bound: 127^2 * len < 2^31 for len <= 133,000. */
int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len)
{
    int32_t acc = 0;
    for (uint32_t k = 0; k < len; k++) acc += a[k] * b[k];
    return acc;
}

/* The bound is that of bm_dot_s8. */
void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t i = 0;
    for (; i + 4u <= n; i += 4u, a += 4u * (size_t)stride) bm_rv32_dots4(a, stride, q, y + i, len);
    for (; i < n; i++, a += stride) y[i] = bm_dot_s8(a, q, len);
}

/* COLUMNS columns down the rows. Bound: 2^14 * 127 * n < 2^31 for n <= 1032. */
void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    uint32_t k = 0;
    for (; k + COLUMNS <= len; k += COLUMNS) {
        int32_t acc[COLUMNS] = {0};
        const int8_t *row = v + k;
        for (uint32_t i = 0; i < n; i++, row += stride)
            UNROLLED for (uint32_t j = 0; j < COLUMNS; j++) acc[j] += w[i] * row[j];
        for (uint32_t j = 0; j < COLUMNS; j++) y[k + j] = acc[j];
    }
    bm_wsum_rest(w, v, stride, n, k, len, y);
}

#else
#error "rv32 kernels: compile for a 32-bit RISC-V processor, or generate the project with --kernels portable"
#endif
