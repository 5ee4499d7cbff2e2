/* SPDX-License-Identifier: MIT-0 */
/* Requests that let the model compute: image, tokens, generation; taps and profile of a step. */
#include "bm_serve_internal.h"

#include <string.h>

#include "bm_crc32.h"

#define GENERATE_IDS 20u         /* offset of `ids` in the message, and its values */
enum { TEXT, IDS, ON };          /* ON: ids without EOS before them, where the stream is */

/* -- taps: every tensor that was asked for, as its CRC-32, or with its data ------------------ */

#ifdef BM_TAPS
enum { SILENT, CRC, DATA };
#define MORE 0x80000000u

static uint8_t modes[BM_TAP_COUNT];
static uint32_t tap_crc;         /* of the tensor so far */

static void tap(void *context, uint32_t id, const void *data, uint32_t rows, uint32_t row_bytes,
    uint32_t stride, int more)
{
    bm_server *v = context;
    const uint8_t *p = data;
    uint8_t fields[BM_BYTES_TAP];
    if (id >= BM_TAP_COUNT || modes[id] == SILENT) return;
    for (uint32_t r = 0; r < rows; r++) tap_crc = bm_crc32(tap_crc, p + (size_t)r * stride, row_bytes);
    if (modes[id] == DATA || !more) {
        bm_put_u32(bm_put_u32(fields, id | (more ? MORE : 0u)), tap_crc);
        bm_serve_head(
            v, BM_MESSAGE_TAP, (uint32_t)sizeof fields + (modes[id] == DATA ? rows * row_bytes : 0u));
        bm_link_write(&v->link, fields, sizeof fields);
    }
    for (uint32_t r = 0; r < rows && modes[id] == DATA; r++)
        bm_link_write(&v->link, p + (size_t)r * stride, row_bytes);
    if (!more) tap_crc = 0;
}

void bm_serve_start_taps(bm_server *v)
{
    v->s->tap = tap;
    v->s->tap_context = v;
}

void bm_serve_taps(bm_server *v)
{
    uint8_t mode = SILENT, pair[3];
    int bad = bm_serve_take(v, &mode, 1);
    memset(modes, mode, sizeof modes);
    tap_crc = 0;
    while (!bad && v->left) {
        bad = bm_serve_take(v, pair, sizeof pair);
        const uint32_t id = (uint32_t)pair[0] | (uint32_t)pair[1] << 8;
        if (!bad && id < BM_TAP_COUNT) modes[id] = pair[2];
    }
    bm_serve_result(v, bad ? BM_RESULT_MALFORMED : BM_OK, BM_TAP_COUNT);
}
#else
void bm_serve_start_taps(bm_server *v) { (void)v; }

void bm_serve_taps(bm_server *v) { bm_serve_result(v, BM_RESULT_UNABLE, 0); }
#endif

/* -- image ------------------------------------------------------------------------------------ */

typedef struct {
    bm_server *v;
    uint8_t pixels;
    int bad;
} image_source;

/* The host sends the vectors in the order in which bm_set_image_from asks for them. */
static const float *next_vector(void *context, uint32_t index, uint32_t side)
{
    image_source *from = context;
    bm_server *v = from->v;
    float *to = v->vectors[side];
    (void)index;
    if (from->pixels) {
        if (!from->bad) from->bad = bm_serve_take(v, v->pixels, BM_VISION);
        bm_pixels(v->pixels, BM_VISION, to);
    } else if (!from->bad) {
        from->bad = bm_serve_take(v, to, BM_VISION * sizeof *to);
    }
    return from->bad ? NULL : to;
}

void bm_serve_image(bm_server *v)
{
    image_source from = {v, 0, 0};
    if (bm_serve_take(v, &from.pixels, 1) != 0) {
        bm_serve_result(v, BM_RESULT_MALFORMED, 0);
        return;
    }
    const bm_status status = bm_set_image_from(v->s, next_vector, &from);
    bm_serve_result(v, from.bad || (status == BM_OK && v->left) ? BM_RESULT_MALFORMED : (int32_t)status, 0);
}

/* -- steps ------------------------------------------------------------------------------------ */

#ifdef BM_PROFILE
enum { WHERE = 1 }; /* what of a step is measured: where its time went, or (2) only all of it */

static void mark(void *context, uint32_t part)
{
    bm_server *v = context;
    const uint64_t t = v->port->cycles(v->port->user);
    v->cycles[v->s->section][part] += (uint32_t)(t - v->last);
    v->last = t;
}

static void send_profile(bm_server *v, uint64_t start, uint64_t end, int decode)
{
    uint8_t fields[BM_BYTES_STEP], cell[4];
    fields[0] = (uint8_t)decode;
    bm_put_u64(bm_put_u64(fields + 1, start), end - start);
    bm_serve_head(v, BM_MESSAGE_STEP, (uint32_t)(sizeof fields + sizeof v->cycles));
    bm_link_write(&v->link, fields, sizeof fields);
    for (uint32_t i = 0; i < BM_SECTIONS * BM_PARTS; i++) {
        bm_put_u32(cell, v->cycles[i / BM_PARTS][i % BM_PARTS]);
        bm_link_write(&v->link, cell, sizeof cell);
    }
}
#endif

/* One token in, and one out if `next` is wanted. Nothing else happens between the two looks at the clock. */
static bm_status step(bm_server *v, uint32_t token, uint32_t *next)
{
#ifdef BM_PROFILE
    const uint64_t start = v->last = v->port->cycles(v->port->user);
    if (v->profiling) memset(v->cycles, 0, sizeof v->cycles);
    v->s->mark = v->profiling == WHERE ? mark : NULL;
    v->s->mark_context = v;
#endif
    const bm_status status = bm_step(v->s, token);
    if (next && (status == BM_OK || status == BM_ERR_MEMORY)) *next = bm_pick(v->s, &v->sampler);
#ifdef BM_PROFILE
    if (v->profiling == WHERE) mark(v, BM_PART_OTHER);
    if (v->profiling)
        send_profile(
            v, start, v->profiling == WHERE ? v->last : v->port->cycles(v->port->user), next != NULL);
#endif
    return status;
}

/* The request is answered. */
static void finish(bm_server *v, bm_status status, uint32_t value)
{
    v->next = NULL;
    bm_serve_result(v, status, value);
}

static void take_token(bm_server *v)
{
    uint8_t id[4];
    if (v->left == 0) {
        finish(v, BM_OK, v->stream.made);
        return;
    }
    if (bm_serve_take(v, id, sizeof id) != 0) return;
    bm_link_pump(&v->link); /* acknowledges before the work begins */
    const bm_status status = step(v, bm_get_u32(id), NULL);
    v->stream.made += status == BM_OK;
    if (status != BM_OK) finish(v, status, v->stream.made);
}

void bm_serve_tokens(bm_server *v)
{
    if (v->left % 4u) {
        bm_serve_result(v, BM_RESULT_MALFORMED, 0);
        return;
    }
    v->stream.made = 0;
    v->next = take_token;
}

static void send_token(bm_server *v, uint32_t token)
{
    uint8_t id[4];
    size_t n = 0;
    const uint8_t *text = BM_TOKENIZER_BYTES ? bm_tokenizer_decode(&v->s->tokenizer, token, &n) : NULL;
    bm_put_u32(id, token);
    bm_serve_head(v, BM_MESSAGE_TOKEN, (uint32_t)(sizeof id + n));
    bm_link_write(&v->link, id, sizeof id);
    if (n) bm_link_write(&v->link, text, n);
}

static uint32_t prompt[BM_SERVE_PROMPT];

/* The prompt as ids; returns how many, or -1. */
static int32_t take_prompt(bm_server *v, int as_ids)
{
    static uint8_t text[BM_SERVE_PROMPT * 4u];
    const uint32_t n = v->left;
    if (n > (as_ids ? sizeof text : BM_SERVE_PROMPT) || (as_ids && n % 4u) || bm_serve_take(v, text, n) != 0)
        return -1;
    if (as_ids) {
        for (uint32_t i = 0; i < n / 4u; i++) prompt[i] = bm_get_u32(text + 4u * i);
        return (int32_t)(n / 4u);
    }
#if BM_TOKENIZER_BYTES
    static bm_tokenizer_cell cells[BM_SERVE_PROMPT];
    size_t count = 0;
    if (n && bm_tokenizer_encode(&v->s->tokenizer, text, n, cells, BM_SERVE_PROMPT, prompt, BM_SERVE_PROMPT,
                 &count) != BM_TOKENIZER_OK)
        return -1;
    return (int32_t)count;
#else
    return n ? -1 : 0;
#endif
}

/* The next token of the prompt, or of what is written. */
static void write_token(bm_server *v)
{
    const int prefill = v->stream.i < v->stream.count;
    if (v->stream.made == v->stream.limit) {
        finish(v, BM_OK, v->stream.made);
        return;
    }
    bm_link_pump(&v->link);
    const bm_status status = step(v, v->stream.token, prefill ? NULL : &v->stream.token);
    if (status != BM_OK || (!prefill && v->stream.token == BM_EOS)) {
        finish(v, status, v->stream.made);
    } else if (prefill) {
        v->stream.token = prompt[v->stream.i];
    } else {
        send_token(v, v->stream.token);
        v->stream.made++;
    }
    v->stream.i++;
}

void bm_serve_generate(bm_server *v)
{
    uint8_t f[BM_BYTES_GENERATE];
    float temperature = 0.0f;
    if (bm_serve_take(v, f, sizeof f) != 0) {
        bm_serve_result(v, BM_RESULT_MALFORMED, 0);
        return;
    }
    const uint32_t bits = bm_get_u32(f + 8);
    memcpy(&temperature, &bits, sizeof temperature);
    const int32_t count = take_prompt(v, f[GENERATE_IDS]);
    const uint32_t first = f[GENERATE_IDS] == ON; /* the first token of the prompt in the place of EOS */
    if (count < (int32_t)first || !(temperature >= 0.0f && temperature <= 100.0f)) {
        bm_serve_result(v, BM_RESULT_MALFORMED, 0);
        return;
    }
    bm_sampler_init(
        &v->sampler, temperature, bm_get_u32(f + 4), bm_get_u32(f + 12) | (uint64_t)bm_get_u32(f + 16) << 32);
    v->stream.i = first;
    v->stream.count = (uint32_t)count;
    v->stream.limit = bm_get_u32(f);
    v->stream.made = 0;
    v->stream.token = first ? prompt[0] : BM_EOS;
    v->next = write_token;
}
