/* Episodic memory: read, addressing, write and forgetting (numerics.py: memory_read, address; model.py: end_episode).
 *
 * A row is 16-bit codes in two byte planes, code = 256 * high + low; reads touch the high plane alone.
 */
#include <string.h>

#include "bm_kernels.h"
#include "bm_numerics.h"

/* One block of the streamed read: the running state is rescaled in row order, as golden does it. */
typedef struct {
    float top, denominator;
    float *sum;       /* [width] */
} reading;

/* sum += top_scale * (w^T M) for one block, in pieces that keep the stack small. */
static void add_rows(const int32_t *w, const int8_t *rows, uint32_t stride, uint32_t n, uint32_t width, float top_scale,
                     float *sum)
{
    int32_t acc[64];
    for (uint32_t k = 0; k < width; k += 64u) {
        const uint32_t piece = width - k < 64u ? width - k : 64u;
        bm_wsum_s8(w, rows + k, stride, n, piece, acc);
        bm_add_scaled(acc, top_scale, piece, sum + k);
    }
}

static void rescale(reading *r, float peak, uint32_t width, int first)
{
    if (first) {
        r->top = peak;
    } else if (peak > r->top) {
        const float keep = bm_exp_neg(r->top - peak);
        for (uint32_t k = 0; k < width; k++) r->sum[k] = r->sum[k] * keep;
        r->denominator = r->denominator * keep;
        r->top = peak;
    }
}

static void read_block(reading *r, const int8_t *rows, const float *scales, uint32_t n, uint32_t width, const int8_t *q,
                       float q_scale, int first)
{
    float scores[BM_READ_BLOCK], scale[BM_READ_BLOCK], top_scale = 0.0f, fold = 0.0f;
    int32_t w[BM_READ_BLOCK];
    const uint32_t stride = BM_PAD(width);
    bm_dots_s8(rows, stride, q, n, width, w);
    for (uint32_t i = 0; i < n; i++) {
        scale[i] = scales[i] * 256.0f;
        if (scale[i] > top_scale) top_scale = scale[i];
    }
    rescale(r, bm_scores(w, scale, q_scale, n, scores), width, first);
    if (top_scale < BM_TINY) top_scale = 0.0f;
    else fold = (float)BM_PROB_ONE / top_scale;
    r->denominator = r->denominator + (float)bm_soft_weights(scores, r->top, scale, fold, n, w);
    add_rows(w, rows, stride, n, width, top_scale, r->sum);
}

void bm_memory_read(const bm_memory *m, const int8_t *q, float q_scale, float *out)
{
    reading r = {0.0f, 0.0f, out};
    const float scaled = q_scale * bm_inv_sqrt(m->width);
    memset(out, 0, m->width * sizeof *out);
    for (uint32_t row = 0; row < m->slots; row += BM_READ_BLOCK) {
        const uint32_t n = m->slots - row < BM_READ_BLOCK ? m->slots - row : BM_READ_BLOCK;
        read_block(&r, m->high + (size_t)row * BM_PAD(m->width), m->scales + row, n, m->width, q, scaled, row == 0);
    }
    const float inverse = 1.0f / r.denominator;
    for (uint32_t k = 0; k < m->width; k++) out[k] = out[k] * inverse;
}

void bm_memory_scores(const bm_memory *m, const int8_t *q, float q_scale, float *scores)
{
    const float scaled = q_scale * bm_inv_sqrt(m->width);
    for (uint32_t i = 0; i < m->slots; i++) {
        const int32_t dot = bm_dot_s8(m->high + (size_t)i * BM_PAD(m->width), q, m->width);
        scores[i] = (float)dot * (m->scales[i] * 256.0f * scaled);
    }
}

/* Bound: 255 n < 2^32 for n <= 2^24. */
uint32_t bm_memory_address(float *scores, uint32_t n, int32_t *w)
{
    float top = scores[0];
    uint32_t total = 0;
    for (uint32_t i = 1; i < n; i++)
        if (scores[i] > top) top = scores[i];
    for (uint32_t i = 0; i < n; i++) {
        w[i] = bm_rne(bm_exp_neg(scores[i] - top) * 255.0f);
        total += (uint32_t)w[i];
    }
    return total;
}

/* row -> 16-bit codes in two planes; returns the new scale. (c + 128) >> 8 by division of a non-negative number,
 * since >> of a negative one is the compiler's choice. */
static float store_row(const float *row, uint32_t width, int8_t *high, int8_t *low)
{
    float top = 0.0f;
    for (uint32_t k = 0; k < width; k++) {
        const float a = row[k] < 0.0f ? -row[k] : row[k];
        if (a > top) top = a;
    }
    const float inv = top < BM_TINY ? 0.0f : (float)BM_CODE16_MAX / top;
    for (uint32_t k = 0; k < width; k++) {
        const int32_t code = bm_rne(row[k] * inv);
        const int32_t h = (code + 128 + 32768) / 256 - 128;
        high[k] = (int8_t)h;
        low[k] = (int8_t)(code - 256 * h);
    }
    return top < BM_TINY ? 0.0f : top / (float)BM_CODE16_MAX;
}

static void update_row(bm_memory *m, uint32_t slot, const bm_write_rule *rule, const int8_t *q, float q_scale, float rate,
                       float *row)
{
    int8_t *high = m->high + (size_t)slot * BM_PAD(m->width), *low = m->low + (size_t)slot * BM_PAD(m->width);
    for (uint32_t k = 0; k < m->width; k++) {
        const float old = (float)(256 * high[k] + low[k]) * m->scales[slot];
        const float query = (float)q[k] * q_scale;
        const float change = rate * (rule->outer ? query : query - old);
        row[k] = old + change;
    }
    m->scales[slot] = store_row(row, m->width, high, low);
}

void bm_memory_update(bm_memory *m, const bm_write_rule *rule, const int8_t *q, float q_scale, const int32_t *w,
                      uint32_t w_total, const int32_t *r, uint32_t r_total, float *row)
{
    for (uint32_t i = 0; i < m->slots; i++) {
        if (w[i]) update_row(m, i, rule, q, q_scale, rule->write_rate * ((float)w[i] / (float)w_total), row);
        const uint32_t written = ((uint32_t)w[i] << 24) / w_total, recalled = ((uint32_t)r[i] << 24) / r_total;
        const uint32_t used = written > recalled ? written : recalled;
        m->usage[i] = m->usage[i] - (m->usage[i] >> 5) + (used >> 5);
        if (m->usage[i] < rule->forget_below) m->scales[i] = m->scales[i] * (1.0f - rule->forget_rate);
        if (m->scales[i] < BM_TINY) m->scales[i] = 0.0f;
    }
}
