/* SPDX-License-Identifier: MIT-0 */
#include "bm_show.h"

#include <string.h>

#include "bm_internal.h"

#define SENTENCE (sizeof BM_WORDS_PROMPT + BM_WORDS_ANSWER)

/* Advance by EOS and a text. A piece of it has no more bytes than it, and no more tokens. */
static bm_status say(bm_state *s, const char *text)
{
    bm_tokenizer_cell cells[SENTENCE];
    uint32_t ids[SENTENCE];
    size_t n = 0;
    if (bm_tokenizer_encode(&s->tokenizer, (const uint8_t *)text, strlen(text), cells, SENTENCE, ids,
            SENTENCE, &n) != BM_TOKENIZER_OK)
        return BM_ERR_TOKENIZER;
    bm_status status = bm_step(s, BM_EOS);
    for (size_t i = 0; i < n && status == BM_OK; i++) status = bm_step(s, ids[i]);
    return status;
}

bm_status bm_show_length(bm_state *s, const char *name, size_t *tokens)
{
    bm_tokenizer_cell cells[SENTENCE];
    uint32_t ids[SENTENCE];
    char text[BM_WORDS_ANSWER];
    bm_words_answer(name, text);
    return bm_tokenizer_encode(&s->tokenizer, (const uint8_t *)text, strlen(text), cells, SENTENCE, ids,
               SENTENCE, tokens) == BM_TOKENIZER_OK
               ? BM_OK
               : BM_ERR_TOKENIZER;
}

bm_status bm_show_episode(bm_state *s, const char *name, bm_shown *shown)
{
    char sentence[SENTENCE] = BM_WORDS_PROMPT;
    bm_words_answer(name, sentence + sizeof BM_WORDS_PROMPT - 1u);
    const bm_status status = say(s, sentence);
    if (status != BM_OK) return status;
    shown->scale = bm_episode_slot(s).scale;
    shown->usage = BM_USAGE_ONE;
    memcpy(shown->key, s->q, sizeof shown->key);
    memcpy(shown->value, s->codes, sizeof shown->value);
    return BM_OK;
}

bm_status bm_show_slot(bm_state *s, const bm_shown *shown, uint32_t *slot)
{ return bm_memory_slot(&s->memory, &bm_keep, shown->key, shown->scale, slot); }

int bm_show_alike(const bm_shown *a, const bm_shown *b)
{
    int32_t dot = 0;
    for (uint32_t i = 0; i < BM_D; i++) dot += a->key[i] * b->key[i];
    return (float)dot * (a->scale * (b->scale * (1.0f / (float)BM_D))) >= bm_keep.match;
}

/* A memory that failed is left alone from now on. */
static bm_status kept(bm_state *s, bm_status status)
{
    if (status != BM_OK) s->memory_on = 0;
    return status;
}

bm_status bm_show_keep(bm_state *s, const bm_shown *shown)
{ return kept(s, bm_memory_keep(&s->memory, &bm_keep, shown->key, shown->scale, shown->value, NULL, NULL)); }

bm_status bm_show_get(bm_state *s, uint32_t slot, bm_shown *shown)
{
    const bm_tier *tier = &s->memory.rows;
    const uint32_t i = slot % BM_READ_BLOCK;
    bm_block_rows rows;
    const bm_status status = tier->get(tier->context, slot / BM_READ_BLOCK, BM_TIER_READ_ALL, &rows);
    if (status != BM_OK) return status;
    memcpy(shown->key, rows.high + i * BM_PAD(BM_D), sizeof shown->key);
    memcpy(shown->value, rows.low + i * BM_PAD(BM_D), sizeof shown->value);
    shown->scale = rows.scales[i];
    shown->usage = rows.usage[i];
    return BM_OK;
}

/* Write the likeliest tokens until EOS, or the end of a sentence, as text. */
static bm_status answer(bm_state *s, char text[BM_SHOW_TEXT])
{
    bm_sampler greedy;
    size_t n = 0, length = 0;
    bm_status status = say(s, BM_WORDS_PROMPT);
    bm_sampler_init(&greedy, 0.0f, 1, 0);
    text[0] = '\0';
    for (uint32_t i = 0; i < BM_SHOW_TOKENS && status == BM_OK; i++) {
        const uint32_t token = bm_pick(s, &greedy);
        if (token == BM_EOS) break;
        const uint8_t *bytes = bm_tokenizer_decode(&s->tokenizer, token, &length);
        if (length > BM_SHOW_TEXT - 1u - n) break;
        if (bytes) memcpy(text + n, bytes, length);
        text[n + length] = '\0';
        char *stop = memchr(text + n, '.', length);
        if (stop) {
            stop[1] = '\0';
            return BM_OK;
        }
        n += length;
        if (i + 1u < BM_SHOW_TOKENS) status = bm_step(s, token);
    }
    return status;
}

bm_status bm_show_recite(bm_state *s, const bm_shown *shown, char text[BM_SHOW_TEXT])
{
    bm_shown alone = *shown;
    bm_memory_rows rows = {alone.key, alone.value, &alone.scale, &alone.usage, 1, BM_D};
    const bm_memory all = s->memory;
    s->memory.slots = 1;
    s->memory.rows = bm_tier_of_rows(&rows, 1);
    bm_begin_episode(s);
    const bm_status status = answer(s, text);
    s->memory = all;
    return status;
}

bm_status bm_show_ask(bm_state *s, char text[BM_SHOW_TEXT]) { return answer(s, text); }

/* Put a slot and its score among those that have the largest, the earlier before the later of equals. */
static void rank(bm_answering top[BM_SHOW_TOP], uint32_t *n, uint32_t slot, float score)
{
    uint32_t i = *n < BM_SHOW_TOP ? (*n)++ : BM_SHOW_TOP;
    for (; i && top[i - 1u].share < score; i--)
        if (i < BM_SHOW_TOP) top[i] = top[i - 1u];
    if (i < BM_SHOW_TOP) {
        const bm_answering one = {slot, score};
        top[i] = one;
    }
}

/* Two passes over the memory: the largest scores; then, where `top` is filled, the sum of all exponentials. */
static bm_status score_all(bm_state *s, float scaled, bm_answering *top, uint32_t *n, float *sum)
{
    const bm_tier *tier = &s->memory.rows;
    int32_t dots[BM_READ_BLOCK];
    float scores[BM_READ_BLOCK];
    bm_block_rows rows;
    for (uint32_t first = 0; first < BM_SLOTS; first += BM_READ_BLOCK) {
        const bm_status status = tier->get(tier->context, first / BM_READ_BLOCK, BM_TIER_READ, &rows);
        if (status != BM_OK) return status;
        bm_dots_s8(rows.high, BM_PAD(BM_D), s->q, rows.n, BM_D, dots);
        bm_scores(dots, rows.scales, scaled, rows.n, scores);
        for (uint32_t i = 0; i < rows.n; i++) {
            if (!rows.usage[i]) continue;
            if (sum) *sum += bm_exp_neg(scores[i] - top[0].share);
            else rank(top, n, first + i, scores[i]);
        }
    }
    return BM_OK;
}

bm_status bm_show_answering(bm_state *s, bm_answering top[BM_SHOW_TOP], uint32_t *n)
{
    const float sharp = bm_episode_slot(s).scale * BM_F32(s, BM_OFF_MEMORY_SHARPNESS)[0],
                scaled = sharp * bm_inv_sqrt(BM_D);
    float sum = 0.0f;
    *n = 0;
    bm_status status = score_all(s, scaled, top, n, NULL);
    if (status == BM_OK && *n) status = score_all(s, scaled, top, n, &sum);
    const float best = *n ? top[0].share : 0.0f;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *n; i++) {
        const float weight = bm_exp_neg(top[i].share - best);
        top[i].share = weight / sum;
        kept += 2.0f * (float)BM_PROB_ONE * top[i].share >= top[0].share;
    }
    *n = kept;
    return status;
}

/* Of one block; whether there was any. */
static int wipe(const bm_block_rows *rows, uint32_t first, const uint8_t *chosen)
{
    int any = 0;
    for (uint32_t i = 0; i < rows->n; i++) {
        if (!((unsigned)chosen[(first + i) / 8u] >> (first + i) % 8u & 1u)) continue;
        memset(rows->high + i * BM_PAD(BM_D), 0, BM_D);
        memset(rows->low + i * BM_PAD(BM_D), 0, BM_D);
        rows->scales[i] = 0.0f;
        rows->usage[i] = 0;
        any = 1;
    }
    return any;
}

bm_status bm_show_forget(bm_state *s, const uint8_t chosen[BM_SHOW_CHOSEN])
{
    const bm_tier *tier = &s->memory.rows;
    bm_block_rows rows;
    bm_status status = tier->begin(tier->context);
    for (uint32_t first = 0; first < BM_SLOTS && status == BM_OK; first += BM_READ_BLOCK) {
        status = tier->get(tier->context, first / BM_READ_BLOCK, BM_TIER_CHANGE, &rows);
        if (status != BM_OK) break;
        const int changed = wipe(&rows, first, chosen);
        status = tier->put(tier->context, first / BM_READ_BLOCK, changed);
    }
    return kept(s, status == BM_OK ? tier->commit(tier->context) : status);
}
