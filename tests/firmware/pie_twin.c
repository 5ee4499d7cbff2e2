/* SPDX-License-Identifier: Apache-2.0 */
/* The assembly of family `pie` in plain C, operation by operation and lane by lane: what the vector instructions of
 * bm_pie_gemv.S, bm_pie_five.S, bm_pie_skip.S and bm_pie_attend.S compute, with their widths and their saturation. It stands in for the
 * assembly under bm_kernels.c, in the table of cases of every other family, and is the simulator's oracle beside
 * NumPy. See driver.h for the calls.
 */
#include "bm_gemv_skip.h"
#include "bm_gemv_t5.h"
#include "bm_kernels.h"
#include "driver.h"

#define CHUNK 8u /* blocks of 64 k */

static int64_t saturate(int64_t v, int bits)
{
    const int64_t top = ((int64_t)1 << (bits - 1)) - 1;
    return v > top ? top : v < -top - 1 ? -top - 1 : v;
}

/* floor(v / 2^shift), as an arithmetic shift right */
static int64_t shifted(int64_t v, int shift)
{
    const int64_t divisor = (int64_t)1 << shift;
    return v >= 0 ? v / divisor : -((-v + divisor - 1) / divisor);
}

/* One plane of one chunk: every lane += its codes times x, each product saturating at 20 bits. */
static void add_plane(int32_t *qacc, const uint8_t *w, const int8_t *x, uint32_t blocks, int plane)
{
    for (uint32_t i = 0; i < 16u * blocks; i++) {
        const int8_t factor = x[i / 16u * 64u + 16u * (uint32_t)plane + i % 16u];
        for (uint32_t r = 0; r < 16u; r++) {
            const uint8_t byte = w[16u * i + r];
            const int code = plane == 3 ? byte * 1 >> 6
                                        : byte & 3 << 2 * plane; /* EE.VMUL.U8 with SAR = 6; EE.ANDQ */
            qacc[r] = (int32_t)saturate(qacc[r] + code * factor, 20);
        }
    }
}

/* QACC after planes 2, 1, 0 and 3 of one chunk. */
static void chunk(const uint8_t *w, const int8_t *x, uint32_t blocks, int32_t states[4][16])
{
    static const int order[4] = {2, 1, 0, 3}, shift[4] = {0, 2, 2, 0};
    int32_t qacc[16] = {0};
    for (int i = 0; i < 4; i++) {
        for (int r = 0; r < 16; r++) qacc[r] = (int32_t)shifted(qacc[r], shift[i]);
        add_plane(qacc, w, x, blocks, order[i]);
        memcpy(states[i], qacc, sizeof qacc);
    }
}

int32_t bm_pie_probe(void) { return (int32_t)shifted(shifted(64, 2), 2); }

void bm_pie_gemv(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const uint32_t blocks = (k + 63u) / 64u;
    int32_t states[4][16];
    for (uint32_t i = 0; i < n; i += 16u) {
        for (uint32_t from = 0; from < blocks; from += CHUNK) {
            const uint32_t count = blocks - from < CHUNK ? blocks - from : CHUNK;
            chunk(w, x + 64u * from, count, states);
            for (uint32_t r = 0; r < 16u; r++) y[i + r] = (from ? y[i + r] : -xsum) + states[3][r];
            w += 256u * count;
        }
    }
}

/* The low byte of a product, shifted right: EE.VMUL.U8. */
static uint8_t vmul(uint32_t a, uint32_t b, int sar) { return (uint8_t)(a * b >> sar); }

/* One step: a row's lane += its five digits times x, each product saturating at 20 bits. */
static int32_t step(int32_t lane, uint8_t byte, const int8_t *x)
{
    uint8_t left[5] = {byte, vmul(byte, 3, 0), vmul(byte, 9, 0)};
    left[3] = vmul(left[1], 9, 0);
    left[4] = vmul(left[2], 9, 0);
    for (int i = 0; i < 5; i++) lane = (int32_t)saturate(lane + vmul(left[i], 3, 8) * x[i], 20);
    return lane;
}

void bm_pie_five(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t vectors, int32_t *y)
{
    const uint32_t steps = 3u * (vectors / 4u) - 3u + vectors % 4u, skipped = 3u - vectors % 4u;
    for (uint32_t i = 0; i < n; i += 16u, w += 16u * steps) {
        for (uint32_t r = 0; r < 16u; r++) {
            int32_t lane = 0;
            for (uint32_t s = 0; s < steps; s++) {
                const uint32_t at = s + (s / 3u + 1u == vectors / 4u ? skipped : 0u);
                lane = step(lane, w[16u * s + r], x + at / 3u * 16u + at % 3u * 5u);
            }
            y[i + r] = lane - xsum;
        }
    }
}

uint32_t bm_pie_skip(const uint8_t *tile, const int8_t *x, const int32_t *floor, uint32_t steps, int32_t *y)
{
    int32_t qacc[16] = {0};
    for (uint32_t s = 0; s < steps; s++) {
        int32_t largest = -(1 << 19);
        for (uint32_t k = 0; k < 16u; k++)
            for (uint32_t r = 0; r < 16u; r++) {
                const int code = tile[64u * s + 16u * (k % 4u) + r] >> 2u * (k / 4u) & 3;
                qacc[r] = (int32_t)saturate(qacc[r] + code * x[16u * s + k], 20);
            }
        for (int r = 0; r < 16; r++) largest = qacc[r] > largest ? qacc[r] : largest;
        if (floor && s + 1u < steps && largest <= floor[s]) return s + 1u;
    }
    memcpy(y, qacc, sizeof qacc);
    return steps;
}

/* EE.VMULAS.S8.ACCX: the sum of sixteen products, then 40 bits. */
static int64_t accx(int64_t acc, const int8_t *a, const int8_t *b, uint32_t vectors)
{
    for (uint32_t v = 0; v < vectors; v++, a += 16, b += 16) {
        for (int j = 0; j < 16; j++) acc += a[j] * b[j];
        acc = saturate(acc, 40);
    }
    return acc;
}

void bm_pie_dots(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t vectors, int32_t *y)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = (int32_t)saturate(accx(0, a + (size_t)i * stride, q, vectors), 32);
}

/* A column: 40-bit sums of 256 v times w, of which bits 8 to 39 are kept. */
void bm_pie_wsum16(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y)
{
    for (uint32_t k = 0; k < 16u; k++) {
        int64_t acc = 0;
        for (uint32_t i = 0; i < n; i++)
            acc = saturate(acc + w[i] * (256 * (int64_t)v[(size_t)i * stride + k]), 40);
        y[k] = (int32_t)shifted(acc, 8);
    }
}

/* u[3]: how many bytes off its alignment w is to lie. */
static void call_gemv(call *c)
{
    uint8_t *room = malloc(c->bytes[0] + 16u);
    if (!room) exit(2);
    memcpy(room + c->u[3], c->a[0], c->bytes[0]);
    bm_gemv_t2s8(room + c->u[3], c->a[1], (int32_t)c->u[2], c->u[0], c->u[1], c->a[2]);
    free(room);
}

/* a: weights, codes, y; u[2]: how many bytes off its alignment the table is to lie. */
static void call_five(call *c)
{
    static BM_ALIGNED int8_t table[16 * 4096 / 5];
    bm_t5_table(c->a[1], c->u[1], (int16_t *)(void *)(table + c->u[2]));
    bm_gemv_t5s8(c->a[0], (int16_t *)(void *)(table + c->u[2]), c->u[0], c->u[1], c->a[2]);
}

static void call_table5(call *c) { bm_t5_table(c->a[0], c->u[0], c->a[1]); }

/* a: tile, x, floor or nothing, y; u: steps, how many bytes off its alignment x is to lie. */
static void call_skip(call *c)
{
    static BM_ALIGNED int8_t x[4096 + 16];
    memcpy(x + c->u[1], c->a[1], c->bytes[1]);
    c->result[0] = bm_gemv_skip(c->a[0], x + c->u[1], c->a[2], c->u[0], c->a[3]);
}

static void call_dots(call *c) { bm_dots_s8(c->a[0], c->u[0], c->a[1], c->u[1], c->u[2], c->a[2]); }

static void call_wsum(call *c) { bm_wsum_s8(c->a[0], c->a[1], c->u[0], c->u[1], c->u[2], c->a[2]); }

static void call_dot(call *c) { c->result[0] = (uint32_t)bm_dot_s8(c->a[0], c->a[1], c->u[0]); }

static void call_supported(call *c) { c->result[0] = (uint32_t)bm_kernels_supported(); }

static void call_chunk(call *c) { chunk(c->a[0], c->a[1], c->u[0], c->a[2]); }

/* ACCX from u[0] (low 32 bits) and u[1] (high 8), through u[2] vectors; the result in the same two halves. */
static void call_accx(call *c)
{
    const int64_t high = (int64_t)(c->u[1] & 0xFFu) - (c->u[1] & 0x80u ? 256 : 0);
    const uint64_t end = (uint64_t)accx(high * 4294967296 + c->u[0], c->a[0], c->a[1], c->u[2]);
    c->result[0] = (uint32_t)end;
    c->result[1] = (uint32_t)(end >> 32) & 0xFFu;
}

static const entry table[] = {
    {"gemv_t2s8", call_gemv},
    {"gemv_t5s8", call_five},
    {"t5_table", call_table5},
    {"tile", call_skip},
    {"dots_s8", call_dots},
    {"wsum_s8", call_wsum},
    {"dot_s8", call_dot},
    {"supported", call_supported},
    {"chunk", call_chunk},
    {"accx", call_accx},
};

int main(void) { return driver_serve(table, sizeof table / sizeof *table); }
