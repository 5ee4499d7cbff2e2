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
    s->temperature = temperature;
    s->top_k = top_k < 1u ? 1u : top_k > BM_MAX_TOP_K ? BM_MAX_TOP_K : top_k;
    s->state = 0;
    bm_sampler_draw(s);
    s->state += seed;
    bm_sampler_draw(s);
}

static int32_t greedy(const int32_t *acc, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (acc[i] > acc[best]) best = i;
    return (int32_t)best;
}

/* Keep the k best in s->best by insertion; ids come ascending, so an equal logit goes behind. */
static uint32_t select_best(bm_sampler *s, const int32_t *acc, uint32_t n)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (count == s->top_k && acc[i] <= acc[s->best[count - 1u]]) continue;
        uint32_t at = count < s->top_k ? count++ : count - 1u;
        for (; at > 0 && acc[s->best[at - 1u]] < acc[i]; at--) s->best[at] = s->best[at - 1u];
        s->best[at] = i;
    }
    return count;
}

static uint32_t weight(const bm_sampler *s, const int32_t *acc, uint32_t candidate, float per_unit)
{
    const float z = (float)(acc[s->best[candidate]] - acc[s->best[0]]) * per_unit;
    return (uint32_t)bm_rne(bm_exp_neg(z) * 65536.0f);
}

int32_t bm_sampler_pick(bm_sampler *s, const int32_t *acc, uint32_t n, float scale)
{
    if (!(s->temperature > 0.0f)) return greedy(acc, n);
    const uint32_t count = select_best(s, acc, n);
    const float per_unit = scale / s->temperature;
    uint64_t total = 0, below = 0;               /* at most 256 * 2^16 */
    for (uint32_t i = 0; i < count; i++) total += weight(s, acc, i, per_unit);
    const uint64_t r = (bm_sampler_draw(s) * total) >> 32;
    for (uint32_t i = 0; i < count; i++) {
        below += weight(s, acc, i, per_unit);
        if (r < below) return (int32_t)s->best[i];
    }
    return (int32_t)s->best[0];
}
