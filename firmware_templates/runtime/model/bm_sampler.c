/* SPDX-License-Identifier: MIT-0 */
#include "bm_sampler.h"

#include "bm_numerics.h"

uint32_t bm_sampler_draw(bm_sampler *s)
{
    const uint64_t old = s->state;
    s->state = old * 6364136223846793005u + 1442695040888963407u;
    const uint32_t x = (uint32_t)(((old >> 18) ^ old) >> 27), r = (uint32_t)(old >> 59);
    return (x >> r) | (x << ((32u - r) & 31u));
}

void bm_sampler_init(bm_sampler *s, float temperature, uint32_t top_k, uint64_t seed)
{
    s->temperature = temperature >= BM_COLDEST ? temperature : 0.0f;
    s->top_k = top_k < 1u ? 1u : top_k > BM_MAX_TOP_K ? BM_MAX_TOP_K : top_k;
    s->state = 0;
    bm_sampler_draw(s);
    s->state += seed;
    bm_sampler_draw(s);
}

uint32_t bm_sampler_wants(const bm_sampler *s) { return s->temperature > 0.0f ? s->top_k : 1u; }

void bm_candidates_begin(bm_candidates *c, uint32_t k)
{
    c->count = 0;
    c->k = k;
}

/* Whether candidate i stands behind a logit of this id: of a tie the lowest id stays in front. */
static int behind(const bm_candidates *c, uint32_t i, uint32_t id, int32_t acc)
{ return c->acc[i] < acc || (c->acc[i] == acc && c->id[i] > id); }

void bm_candidates_put(bm_candidates *c, uint32_t id, int32_t acc)
{
    if (c->count == c->k && !behind(c, c->count - 1u, id, acc)) return;
    uint32_t at = c->count < c->k ? c->count++ : c->count - 1u;
    for (; at > 0 && behind(c, at - 1u, id, acc); at--) {
        c->id[at] = c->id[at - 1u];
        c->acc[at] = c->acc[at - 1u];
    }
    c->id[at] = id;
    c->acc[at] = acc;
}

#define BLOCK 128u

static int32_t largest(const int32_t *restrict acc)
{
    int32_t lane[16], top = acc[0];
    for (int j = 0; j < 16; j++) lane[j] = acc[j];
    for (uint32_t i = 16; i < BLOCK; i += 16u)
        for (uint32_t j = 0; j < 16u; j++) lane[j] = acc[i + j] > lane[j] ? acc[i + j] : lane[j];
    for (int j = 0; j < 16; j++) top = lane[j] > top ? lane[j] : top;
    return top;
}

/* A block at a time: once k candidates are known, hardly any block holds a better one. */
void bm_candidates_feed(bm_candidates *c, uint32_t first, const int32_t *acc, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += BLOCK) {
        const uint32_t end = i + BLOCK < n ? i + BLOCK : n;
        if (c->count == c->k && end - i == BLOCK && largest(acc + i) <= c->acc[c->k - 1u]) continue;
        for (uint32_t j = i; j < end; j++) bm_candidates_put(c, first + j, acc[j]);
    }
}

void bm_candidates_add(bm_candidates *c, const bm_candidates *more)
{
    for (uint32_t i = 0; i < more->count; i++) bm_candidates_put(c, more->id[i], more->acc[i]);
}

static uint32_t weight(const bm_candidates *c, uint32_t candidate, float per_unit)
{
    const float z = (float)(c->acc[candidate] - c->acc[0]) * per_unit;
    return (uint32_t)bm_rne(bm_exp_neg(z) * 65536.0f);
}

uint32_t bm_sampler_end(bm_sampler *s, float scale)
{
    const bm_candidates *c = &s->best;
    if (!(s->temperature > 0.0f)) return c->id[0];
    const float per_unit = scale / s->temperature;
    uint64_t total = 0, below = 0;               /* at most 256 * 2^16 */
    for (uint32_t i = 0; i < c->count; i++) total += weight(c, i, per_unit);
    const uint64_t r = (bm_sampler_draw(s) * total) >> 32;
    for (uint32_t i = 0; i < c->count; i++) {
        below += weight(c, i, per_unit);
        if (r < below) return c->id[i];
    }
    return c->id[0];
}
