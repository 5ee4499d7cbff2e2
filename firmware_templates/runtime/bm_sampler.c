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

void bm_sampler_begin(bm_sampler *s)
{
    s->count = 0;
    s->k = s->temperature > 0.0f ? s->top_k : 1u;
}

/* Insert behind equal logits: ids come ascending, so the lowest id of a tie stays in front. */
static void insert(bm_sampler *s, uint32_t id, int32_t acc)
{
    if (s->count == s->k && acc <= s->best_acc[s->count - 1u]) return;
    uint32_t at = s->count < s->k ? s->count++ : s->count - 1u;
    for (; at > 0 && s->best_acc[at - 1u] < acc; at--) {
        s->best[at] = s->best[at - 1u];
        s->best_acc[at] = s->best_acc[at - 1u];
    }
    s->best[at] = id;
    s->best_acc[at] = acc;
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
void bm_sampler_feed(bm_sampler *s, uint32_t first, const int32_t *acc, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += BLOCK) {
        const uint32_t end = i + BLOCK < n ? i + BLOCK : n;
        if (s->count == s->k && end - i == BLOCK && largest(acc + i) <= s->best_acc[s->k - 1u]) continue;
        for (uint32_t j = i; j < end; j++) insert(s, first + j, acc[j]);
    }
}

static uint32_t weight(const bm_sampler *s, uint32_t candidate, float per_unit)
{
    const float z = (float)(s->best_acc[candidate] - s->best_acc[0]) * per_unit;
    return (uint32_t)bm_rne(bm_exp_neg(z) * 65536.0f);
}

uint32_t bm_sampler_end(bm_sampler *s, float scale)
{
    if (!(s->temperature > 0.0f)) return s->best[0];
    const float per_unit = scale / s->temperature;
    uint64_t total = 0, below = 0;               /* at most 256 * 2^16 */
    for (uint32_t i = 0; i < s->count; i++) total += weight(s, i, per_unit);
    const uint64_t r = (bm_sampler_draw(s) * total) >> 32;
    for (uint32_t i = 0; i < s->count; i++) {
        below += weight(s, i, per_unit);
        if (r < below) return s->best[i];
    }
    return s->best[0];
}
