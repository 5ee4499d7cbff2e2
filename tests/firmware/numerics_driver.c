/* SPDX-License-Identifier: Apache-2.0 */
/* Calls the numerics, the attention, the memory, the sampler and the CRC of the runtime; see driver.h. */
#include "bm_crc32.h"
#include "bm_kernels.h"
#include "bm_memory.h"
#include "bm_numerics.h"
#include "bm_sampler.h"
#include "bm_selftest.h"
#include "driver.h"

/* Functions of one number: input a[0], output a[1], u[0] elements. */
static void exp_neg(call *c)
{
    const float *x = c->a[0];
    float *y = c->a[1];
    for (uint32_t i = 0; i < c->u[0]; i++) y[i] = bm_exp_neg(x[i]);
}

static void square_root(call *c)
{
    const float *x = c->a[0];
    float *y = c->a[1];
    for (uint32_t i = 0; i < c->u[0]; i++) y[i] = bm_sqrt(x[i]);
}

static void inv_sqrt(call *c)
{
    const uint32_t *x = c->a[0];
    float *y = c->a[1];
    for (uint32_t i = 0; i < c->u[0]; i++) y[i] = bm_inv_sqrt(x[i]);
}

static void rne(call *c)
{
    const float *x = c->a[0];
    int32_t *y = c->a[1];
    for (uint32_t i = 0; i < c->u[0]; i++) y[i] = bm_rne(x[i]);
}

static void pixels(call *c) { bm_pixels(c->a[0], c->u[0], c->a[1]); }

static void answer_q8(call *c, bm_q8 q)
{
    c->result[0] = float_bits(q.scale);
    c->result[1] = (uint32_t)q.sum;
}

static void quantize(call *c) { answer_q8(c, bm_quantize(c->a[0], c->u[0], c->a[1])); }

static void norm_quantize(call *c) { answer_q8(c, bm_norm_quantize(c->a[0], c->a[2], c->u[0], c->a[1])); }

static void act_quantize(call *c) { answer_q8(c, bm_act_quantize(c->a[0], (int)c->u[1], c->u[0], c->a[1])); }

static void gain_quantize(call *c) { bm_gain_quantize(c->a[0], c->a[1], c->u[1], c->u[0], c->a[2]); }

/* u: patch, patches along a side. */
static void ink(call *c) { bm_ink(c->a[0], c->u[0], c->u[1], c->a[1]); }

static void rms_scale(call *c) { c->result[0] = float_bits(bm_rms_scale(c->a[0], c->u[0])); }

static void scale_acc(call *c) { bm_scale_acc(c->a[0], c->f[0], c->u[0], c->a[1]); }

static void add_scaled(call *c) { bm_add_scaled(c->a[0], c->f[0], c->u[0], c->a[1]); }

static void row(call *c) { bm_row(c->a[0], c->f[0], c->u[0], c->a[1]); }

static void add_row(call *c) { bm_add_row(c->a[0], c->f[0], c->u[0], c->a[1]); }

static void add(call *c) { bm_add(c->a[0], c->u[0], c->a[1]); }

static void relu(call *c) { bm_relu(c->u[0], c->a[0]); }

/* u: slots, heads, head width, heads of keys and values, heads that the scratch has room for and how far they are apart;
 * f: scale of q; a: k, v, their scales, q, two scratch arrays, out. */
static void attend(call *c)
{
    const bm_cache kv = {c->a[0], c->a[1], c->a[2], c->a[3], c->u[3] * c->u[2]};
    const bm_scratch scratch = {c->a[5], c->a[6], c->u[4], c->u[5]};
    bm_attend(&kv, c->u[0], c->a[4], c->f[0], c->u[1], c->u[2], 0, c->u[1], &scratch, c->a[7]);
}

/* u: slots, width; a: high, low, scales, usage, q. */
static bm_memory memory_of(call *c)
{
    static bm_memory_rows rows;
    const bm_memory_rows given = {c->a[0], c->a[1], c->a[2], c->a[3], c->u[0], c->u[1]};
    rows = given;
    const bm_memory m = {c->u[0], c->u[1], bm_tier_of_rows(&rows, 0)};
    return m;
}

static void memory_read(call *c)
{
    const bm_memory m = memory_of(c);
    bm_memory_read(&m, c->a[4], c->f[0], c->a[5]);
}

static void given_scores(void *context, uint32_t first, uint32_t n, uint32_t pass, float *scores)
{
    const call *c = context;
    (void)pass;
    memcpy(scores, (const float *)c->a[5] + first, n * sizeof *scores);
}

static void keep_weights(void *context, uint32_t first, uint32_t n, const int32_t *w)
{ memcpy((int32_t *)((call *)context)->a[6] + first, w, n * sizeof *w); }

/* u: slots, width, outer rule, forget_below; f: scale of q, write and forget rate; a: ..., learned scores, weights, row. */
static void memory_write(call *c)
{
    const bm_memory m = memory_of(c);
    const bm_write_rule rule = {c->f[1], c->f[2], c->u[3], (int)c->u[2]};
    const bm_write_source source = {given_scores, keep_weights, c};
    bm_memory_write(&m, &rule, &source, c->a[4], c->f[0], c->a[7]);
}

/* As memory_read, over keys (high) and values (low) of the slots in use. */
static void memory_ask(call *c)
{
    const bm_memory m = memory_of(c);
    bm_memory_ask(&m, c->a[4], c->f[0], c->a[5]);
}

static void keep_slot(void *context, uint32_t slot) { ((call *)context)->result[0] = slot; }

/* u: slots, width, fixed; f: scale of the key, match; a: keys, values, scales, usage, key, value. */
static void memory_keep(call *c)
{
    const bm_memory m = memory_of(c);
    const bm_keep_rule rule = {c->u[2], c->f[1]};
    bm_memory_keep(&m, &rule, c->a[4], c->f[0], c->a[5], keep_slot, c);
}

/* u: crc so far, bytes to skip, so that every alignment is met. */
static void crc32(call *c)
{
    const uint8_t *data = c->a[0];
    c->result[0] = bm_crc32(c->u[0], c->bytes[0] ? data + c->u[1] : NULL, c->bytes[0] - c->u[1]);
}

/* u: top_k, seed (two words), logits per pick; f: temperature, scale; a: logits [picks][n], picks. */
static void sampler_picks(call *c)
{
    static bm_sampler s;
    const uint32_t n = c->u[3];
    const int32_t *acc = c->a[0];
    int32_t *picks = c->a[1];
    bm_sampler_init(&s, c->f[0], c->u[0], (uint64_t)c->u[2] << 32 | c->u[1]);
    for (uint32_t i = 0; i < c->bytes[1] / sizeof *picks; i++) {
        const uint32_t cut = n / 3u;              /* in two ranges: the result must not depend on the cut */
        static bm_candidates upper;
        bm_candidates_begin(&s.best, bm_sampler_wants(&s));
        bm_candidates_begin(&upper, bm_sampler_wants(&s));
        bm_candidates_feed(&upper, cut, acc + i * n + cut, n - cut);
        bm_candidates_feed(&s.best, 0, acc + i * n, cut);
        bm_candidates_add(&s.best, &upper);
        picks[i] = (int32_t)bm_sampler_end(&s, c->f[1]);
    }
    c->result[0] = bm_sampler_draw(&s);
}

/* Says on stderr which rule is broken, too. */
static void selftest(call *c)
{
    const char *broken = bm_selftest();
    if (broken) fprintf(stderr, "self-test: %s\n", broken);
    c->result[0] = broken != NULL;
}

static const entry table[] = {
    {"exp_neg", exp_neg},
    {"sqrt", square_root},
    {"inv_sqrt", inv_sqrt},
    {"rne", rne},
    {"pixels", pixels},
    {"quantize", quantize},
    {"norm_quantize", norm_quantize},
    {"act_quantize", act_quantize},
    {"gain_quantize", gain_quantize},
    {"ink", ink},
    {"rms_scale", rms_scale},
    {"scale_acc", scale_acc},
    {"add_scaled", add_scaled},
    {"row", row},
    {"add_row", add_row},
    {"add", add},
    {"relu", relu},
    {"attend", attend},
    {"memory_read", memory_read},
    {"memory_ask", memory_ask},
    {"memory_keep", memory_keep},
    {"memory_write", memory_write},
    {"crc32", crc32},
    {"sampler_picks", sampler_picks},
    {"selftest", selftest},
};

int main(void) { return driver_serve(table, sizeof table / sizeof *table); }
