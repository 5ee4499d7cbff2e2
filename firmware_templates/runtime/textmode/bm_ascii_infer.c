/* SPDX-License-Identifier: MIT-0 */
/* The text face: what an input means, and its inferences. */
#include "bm_ascii_internal.h"

#include <string.h>

#include "bm_bytes.h"
#include "bm_crc32.h"

#define MOST_RUNS 1000000u
#define LONGEST_MS 120000u    /* the published runner waits 30 s; nothing may keep a board busy for hours */
#define WEIGHT_ONE 2097152.0f /* 2^21, of the likeliest class; bm_rne takes less than 2^22 */
#define MICRO 1000000u

uint64_t bm_ascii_microseconds(const bm_ascii *a)
{
    const uint64_t now = a->port->cycles(a->port->user), hz = a->port->cycles_hz;
    return now / hz * MICRO + now % hz * MICRO / hz; /* no product beyond 2^52 but the result's own */
}

/* An input that was checked: where its parts lie in bm_ascii.input. */
typedef struct {
    const uint8_t *picture, *prompt, *classes; /* picture: NULL without one */
    uint32_t n_prompt, n_classes, n_tokens;
} episode;

/* NULL, or what is wrong with what was loaded, whatever it means. */
static const char *check_loaded(const bm_ascii *a)
{
    if (a->size == 0) return "No input: load one with 'db'";
    if (a->loaded < a->size) return "The input is incomplete";
    if (bm_crc32(0, a->input, a->size) != a->crc) return "The input was written over: load it again";
    return NULL;
}

/* Find the parts of the input; NULL, or what is wrong with it. */
static const char *read_input(const bm_ascii *a, episode *e)
{
    const uint8_t *p = a->input;
    const char *why = check_loaded(a);
    if (why) return why;
    if (a->size < BM_ASCII_HEADER || memcmp(p, "BMIN", 4) != 0) return "The input is not one of this model's";
    if (bm_get_u16(p + 4) != 1u || bm_get_u16(p + 6) > 1u || bm_get_u16(p + 14) != 0)
        return "The input is of another version";
    e->n_prompt = bm_get_u16(p + 8);
    e->n_classes = bm_get_u16(p + 10);
    e->n_tokens = bm_get_u16(p + 12);
    if ((e->n_classes == 0) == (e->n_tokens == 0)) return "The input must ask for tokens or for a choice";
    if (e->n_classes == 1u || e->n_classes > BM_ASCII_RESULTS || e->n_tokens > BM_ASCII_RESULTS)
        return "The input asks for too many tokens or classes, or for one class";
    const size_t picture = bm_get_u16(p + 6) ? BM_IMAGE_INPUTS * BM_VISION : 0u;
    if (a->size != BM_ASCII_HEADER + picture + 4u * (size_t)(e->n_prompt + e->n_classes))
        return "The input's length is not what its header says";
    e->picture = picture ? p + BM_ASCII_HEADER : NULL;
    e->prompt = p + BM_ASCII_HEADER + picture;
    e->classes = e->prompt + 4u * (size_t)e->n_prompt;
    for (uint32_t i = 0; i < e->n_prompt + e->n_classes; i++)
        if (bm_get_u32(e->prompt + 4u * i) >= BM_VOCAB)
            return "The input holds a token id outside the vocabulary";
    return NULL;
}

/* Where the logits of the classes go. */
typedef struct {
    bm_ascii *a;
    const episode *e;
} choice;

static void keep_classes(void *context, uint32_t first, const int32_t *acc, uint32_t n)
{
    const choice *c = context;
    for (uint32_t i = 0; i < c->e->n_classes; i++) {
        const uint32_t id = bm_get_u32(c->e->classes + 4u * i);
        if (id >= first && id - first < n) c->a->result[i] = acc[id - first];
    }
}

/* One step, unless the command takes too long; NULL, or what went wrong. */
static const char *step(bm_ascii *a, uint32_t token, uint32_t since)
{
    if (a->port->millis(a->port->user) - since > LONGEST_MS)
        return "Stopped after 120 s: ask for fewer inferences";
    const bm_status status = bm_step(a->s, token);
    return status == BM_OK ? NULL : bm_status_text(status);
}

typedef struct {
    bm_ascii *a;
    const uint8_t *patches;
} picture;

static const float *patch(void *context, uint32_t index, uint32_t side)
{
    const picture *p = context;
    bm_pixels(p->patches + index * BM_VISION, BM_VISION, p->a->vectors[side]);
    return p->a->vectors[side];
}

/* One inference; NULL, or what went wrong. */
static const char *infer_once(bm_ascii *a, const episode *e, uint32_t since)
{
    const char *why = NULL;
    bm_begin_episode(a->s);
    if (e->picture) {
        picture shown = {a, e->picture};
        const bm_status status = bm_set_image_from(a->s, patch, &shown);
        if (status != BM_OK) return bm_status_text(status);
    }
    for (uint32_t i = 0; !why && i <= e->n_prompt; i++)
        why = step(a, i ? bm_get_u32(e->prompt + 4u * (i - 1u)) : BM_EOS, since);
    if (why) return why;
    a->results = e->n_classes;
    a->is_choice = e->n_classes > 0;
    choice c = {a, e};
    if (a->is_choice) bm_logits(a->s, keep_classes, &c);
    while (!why && a->results < e->n_tokens) {
        const uint32_t token = bm_pick(a->s, &a->sampler);
        a->result[a->results++] = (int32_t)token;
        if (token == BM_EOS || a->results == e->n_tokens) break;
        why = step(a, token, since);
    }
    a->logit_scale = a->s->logit_scale;
    return why;
}

static const char *infer_times(bm_ascii *a, const episode *e, uint32_t n, uint32_t since)
{
    const char *why = NULL;
    for (uint32_t i = 0; !why && i < n; i++) why = infer_once(a, e, since);
    return why;
}

/* Of class i, relative to the likeliest. */
static uint32_t weight(const bm_ascii *a, uint32_t i, int32_t top)
{ return (uint32_t)bm_rne(bm_exp_neg((float)(a->result[i] - top) * a->logit_scale) * WEIGHT_ONE); }

/* Softmax over the classes in integers, so that it is the same text everywhere. */
static void put_probabilities(bm_ascii *a)
{
    int32_t top = a->result[0];
    uint64_t total = 0;
    for (uint32_t i = 1; i < a->results; i++) top = a->result[i] > top ? a->result[i] : top;
    for (uint32_t i = 0; i < a->results; i++) total += weight(a, i, top);
    for (uint32_t i = 0; i < a->results; i++) {
        const uint32_t p = (uint32_t)(((uint64_t)weight(a, i, top) * MICRO + total / 2u) / total);
        if (i) bm_ascii_char(a, ',');
        bm_ascii_number(a, p / MICRO, 1);
        bm_ascii_char(a, '.');
        bm_ascii_number(a, p % MICRO, 6);
    }
}

void bm_ascii_results(bm_ascii *a)
{
    if (a->results == 0) {
        bm_ascii_fail(a, "No inference yet");
        return;
    }
    bm_ascii_put(a, "m-results-[");
    if (a->is_choice) put_probabilities(a);
    for (uint32_t i = 0; !a->is_choice && i < a->results; i++) {
        if (i) bm_ascii_char(a, ',');
        bm_ascii_number(a, (uint32_t)a->result[i], 1);
    }
    bm_ascii_say(a, "]");
}

/* Warm-ups, then the measured inferences; NULL, or what went wrong. The clock is read next to the work, and told afterwards:
 * sending a line takes longer than a token of a small model. */
static const char *run(bm_ascii *a, const episode *e, uint32_t n, uint32_t warmups)
{
    const uint32_t since = a->port->millis(a->port->user);
    bm_ascii_say_number(a, "m-warmup-start-", warmups, "");
    const char *why = infer_times(a, e, warmups, since);
    if (why) return why;
    bm_ascii_say(a, "m-warmup-done");
    bm_ascii_say_number(a, "m-infer-start-", n, "");
    const uint64_t start = bm_ascii_microseconds(a);
    why = infer_times(a, e, n, since);
    const uint64_t end = bm_ascii_microseconds(a);
    if (why) return why;
    bm_ascii_say_number(a, "m-lap-us-", start, "");
    bm_ascii_say_number(a, "m-lap-us-", end, "");
    bm_ascii_say(a, "m-infer-done");
    return NULL;
}

void bm_ascii_infer(bm_ascii *a, bm_words *w)
{
    uint32_t n = 1, warmups = 10;
    episode e;
    if (!bm_words_optional(w, MOST_RUNS, &n) || n == 0) {
        bm_ascii_fail(a, "Inference iterations must be >0 and at most 1000000");
        return;
    }
    if (!bm_words_optional(w, MOST_RUNS, &warmups)) {
        bm_ascii_fail(a, "Inference warmup must be >=0 and at most 1000000");
        return;
    }
    if (!bm_words_done(a, w)) return;
    const char *why = read_input(a, &e);
    if (!why) why = run(a, &e, n, warmups);
    if (why) {
        a->results = 0;
        bm_ascii_fail(a, why);
    } else {
        bm_ascii_results(a);
    }
}
