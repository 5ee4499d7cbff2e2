/* SPDX-License-Identifier: MIT-0 */
/* Requests to the model and the board (bm_serve.h); those that compute are in bm_serve_steps.c. */
#include "bm_serve_internal.h"

#include <string.h>

#define PATTERN(i) ((uint8_t)((i) * 40503u >> 8))
#define DRAIN_MS 500u
#define BAUD_WAIT_MS 3000u

int bm_serve_take(bm_server *v, void *to, uint32_t n)
{
    if (n > v->left) return -1;
    v->left -= n;
    return bm_link_read(&v->link, to, n);
}

void bm_serve_head(bm_server *v, uint8_t message, uint32_t n)
{
    uint8_t head[5] = {message};
    bm_put_u32(head + 1, n);
    bm_link_write(&v->link, head, sizeof head);
}

static const char *text_of(int32_t status)
{
    switch (status) {
    case BM_RESULT_UNKNOWN: return "this firmware does not know the message";
    case BM_RESULT_MALFORMED: return "the message has the wrong size or order";
    case BM_RESULT_UNABLE: return "this firmware was built without that";
    case BM_RESULT_ASLEEP: return "the model did not start";
    case BM_RESULT_DAMAGED: return "the update is damaged";
    case BM_RESULT_OTHER_BUILD:
        return "the update is for another configuration, layout or size, which needs new firmware";
    case BM_RESULT_NO_ROOM: return "the update is larger than a slot";
    case BM_RESULT_STORAGE: return "the storage of the updates cannot be written";
    case BM_RESULT_UNSIGNED: return "the update is not signed with the key that this firmware asks for";
    default: return bm_status_text((bm_status)status);
    }
}

void bm_serve_result(bm_server *v, int32_t status, uint32_t value)
{
    uint8_t fields[BM_BYTES_RESULT];
    const char *text = status ? text_of(status) : "";
    bm_put_u32(bm_put_u32(fields, (uint32_t)status), value);
    bm_serve_head(v, BM_MESSAGE_RESULT, sizeof fields + (uint32_t)strlen(text));
    bm_link_write(&v->link, fields, sizeof fields);
    bm_link_write(&v->link, text, strlen(text));
}

static uint16_t flags(const bm_server *v)
{
    uint32_t f = 0;
#ifdef BM_TAPS
    f |= BM_FLAG_TAPS;
#endif
#ifdef BM_PROFILE
    f |= BM_FLAG_PROFILE;
#endif
    if (BM_TOKENIZER_BYTES) f |= BM_FLAG_TOKENIZER;
    if (BM_MEMORY_IN_STORE) f |= BM_FLAG_STORE;
    if (BM_KEYED) f |= BM_FLAG_KEYED;
    if (v->s && !v->rows.begin) f |= BM_FLAG_READ_ONLY;
    if (BM_EMULATED) f |= BM_FLAG_EMULATED;
    if (v->port->reset) f |= BM_FLAG_RESET;
    if (v->port->set_baud) f |= BM_FLAG_BAUD;
    if (v->s && v->counts) f |= BM_FLAG_SCORE;
    if (v->s && v->kept) f |= BM_FLAG_KEEP;
#if BM_UPDATES
    if (v->update) f |= BM_FLAG_UPDATE;
#endif
    return (uint16_t)f;
}

/* "way=kB/s" of the ways to stream the head, separated by spaces. */
static const char *streams(const bm_server *v)
{
#if BM_STREAM_ROWS
    if (v->s && v->s->streams[0]) return v->s->streams + 1;
#else
    (void)v;
#endif
    return "";
}

static void identity(bm_server *v)
{
    static const uint8_t made_with[32] = BM_MODEL_DIGEST;
    const uint8_t *digest = BM_UPDATES && v->s ? bm_model_digest(v->s) : made_with;
    static const uint32_t numbers[] = {BM_VOCAB, BM_D, BM_SLOTS, BM_CONTEXT, BM_IMAGE_INPUTS, BM_IMAGE_POOL,
        BM_TAP_COUNT, BM_ENC_LAYERS, BM_DEC_LAYERS, BM_READ_BLOCK, BM_RAM_TOTAL, BM_BLOB_BYTES};
    static const char build[13] = BM_BUILD_ID;
    const char *texts[] = {
        BM_MODEL_NAME, BM_BOARD, BM_KERNELS_NAME, __VERSION__, BM_RAM_TEXT, v->why ? v->why : "", streams(v)};
    uint8_t fields[BM_BYTES_IDENTITY] = {BM_PROTOCOL_VERSION, 0, (uint8_t)flags(v), (uint8_t)(flags(v) >> 8)};
    uint32_t all = sizeof fields;
    memcpy(fields + 4, digest, sizeof made_with);
    memcpy(fields + 36, build, 12);
    uint8_t *p = bm_put_u32(fields + 48, v->port->cycles_hz);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) p = bm_put_u32(p, numbers[i]);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) all += (uint32_t)strlen(texts[i]) + 1u;
    bm_serve_head(v, BM_MESSAGE_IDENTITY, all);
    bm_link_write(&v->link, fields, sizeof fields);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        bm_link_write(&v->link, texts[i], strlen(texts[i]) + 1u);
}

static void counters(bm_server *v)
{
    const struct bm_port *port = v->port;
    uint8_t fields[BM_BYTES_COUNTERS], *p = fields;
    p = bm_put_u32(p, port->stack_peak ? (uint32_t)port->stack_peak(port->user) : 0u);
    p = bm_put_u32(p, v->link.frames);
    p = bm_put_u32(p, v->link.damaged);
    p = bm_put_u32(p, v->link.resent);
    p = bm_put_u32(p, port->lost ? port->lost(port->user) : 0u);
    p = bm_put_u64(bm_put_u64(bm_put_u32(p, v->reads), v->read_bytes), v->read_cycles);
    bm_put_u64(bm_put_u64(bm_put_u32(p, v->writes), v->written_bytes), v->write_cycles);
    bm_serve_head(v, BM_MESSAGE_COUNTERS, sizeof fields);
    bm_link_write(&v->link, fields, sizeof fields);
}

static void sink(bm_server *v)
{
    uint8_t chunk[64];
    uint32_t wrong = 0, i = 0;
    while (v->left) {
        const uint32_t n = v->left < sizeof chunk ? v->left : (uint32_t)sizeof chunk;
        if (bm_serve_take(v, chunk, n) != 0) return;
        for (uint32_t k = 0; k < n; k++, i++) wrong += chunk[k] != PATTERN(i);
    }
    bm_serve_result(v, BM_OK, wrong);
}

static void source(bm_server *v, uint32_t n)
{
    uint8_t chunk[64];
    bm_serve_head(v, BM_MESSAGE_PATTERN, n);
    for (uint32_t i = 0; i < n;) {
        uint32_t k = 0;
        for (; k < sizeof chunk && i < n; k++, i++) chunk[k] = PATTERN(i);
        if (bm_link_write(&v->link, chunk, k) != 0) return;
    }
    bm_serve_result(v, BM_OK, n);
}

/* A speed that the host does not follow is given up. */
static void change_baud(bm_server *v, uint32_t baud)
{
    const struct bm_port *port = v->port;
    if (!port->set_baud) {
        bm_serve_result(v, BM_RESULT_UNABLE, 0);
        return;
    }
    bm_serve_result(v, BM_OK, baud);
    if (bm_link_drain(&v->link, DRAIN_MS) != 0 || port->set_baud(port->user, baud) != 0) return;
    const uint32_t since = port->millis(port->user);
    v->link.broken = 0;
    while (!v->link.broken && port->millis(port->user) - since < BAUD_WAIT_MS) bm_link_pump(&v->link);
    if (!v->link.broken) port->set_baud(port->user, 0);
}

static void reset(bm_server *v)
{
    if (!v->port->reset) {
        bm_serve_result(v, BM_RESULT_UNABLE, 0);
        return;
    }
    bm_link_pump(&v->link);                      /* the request is acknowledged */
    v->port->reset(v->port->user);
}

static void profile(bm_server *v, uint8_t how)
{
#ifdef BM_PROFILE
    v->profiling = how;
    bm_serve_result(v, BM_OK, how);
#else
    bm_serve_result(v, how ? BM_RESULT_UNABLE : BM_OK, 0);
#endif
}

/* Requests that need no model. Returns 0 if it is none of them. */
static int serve_board(bm_server *v, uint8_t message)
{
    uint8_t fields[4] = {0};
#if BM_UPDATES
    if (v->update && bm_serve_update(v, message)) return 1;
#endif
    switch (message) {
    case BM_MESSAGE_HELLO: identity(v); return 1;
    case BM_MESSAGE_STATUS: counters(v); return 1;
    case BM_MESSAGE_RESET: reset(v); return 1;
    case BM_MESSAGE_SINK: sink(v); return 1;
    case BM_MESSAGE_SOURCE:
    case BM_MESSAGE_BAUD:
        if (bm_serve_take(v, fields, 4) != 0) bm_serve_result(v, BM_RESULT_MALFORMED, 0);
        else if (message == BM_MESSAGE_SOURCE) source(v, bm_get_u32(fields));
        else change_baud(v, bm_get_u32(fields));
        return 1;
    default: return 0;
    }
}

static void end_episode(bm_server *v)
{
    const uint64_t since = v->port->cycles(v->port->user);
    const bm_status status = bm_end_episode(v->s);
    const uint64_t took = v->port->cycles(v->port->user) - since;
    bm_serve_result(v, status, took < UINT32_MAX ? (uint32_t)took : UINT32_MAX);
}

static void serve_model(bm_server *v, uint8_t message)
{
    uint8_t on = 0;
    switch (message) {
    case BM_MESSAGE_BEGIN:
        bm_begin_episode(v->s);
        bm_serve_result(v, BM_OK, 0);
        return;
    case BM_MESSAGE_END: end_episode(v); return;
    case BM_MESSAGE_IMAGE: bm_serve_image(v); return;
    case BM_MESSAGE_TOKENS: bm_serve_tokens(v); return;
    case BM_MESSAGE_GENERATE: bm_serve_generate(v); return;
    case BM_MESSAGE_TAPS: bm_serve_taps(v); return;
    case BM_MESSAGE_SCORE: bm_serve_score(v); return;
    case BM_MESSAGE_MEMORY_READ: bm_serve_memory_read(v); return;
    case BM_MESSAGE_MEMORY_WRITE: bm_serve_memory_write(v); return;
    case BM_MESSAGE_MEMORY:
    case BM_MESSAGE_PROFILE:
        if (bm_serve_take(v, &on, 1) != 0) bm_serve_result(v, BM_RESULT_MALFORMED, 0);
        else if (message == BM_MESSAGE_PROFILE) profile(v, on);
        else bm_serve_result(v, BM_OK, (uint32_t)(v->s->memory_on = on != 0));
        return;
    default: bm_serve_result(v, BM_RESULT_UNKNOWN, message);
    }
}

static void text_command(void *context, const char *line, size_t n)
{
    bm_server *v = context;
    bm_ascii_command(&v->text, line, n);
}

void bm_serve_init(bm_server *v, bm_state *s, const char *why, const struct bm_port *port, uint8_t *text)
{
    memset(v, 0, sizeof *v);
    v->s = s;
    v->why = why;
    v->port = port;
    bm_link_init(&v->link, port);
    if (!s) return;
#if BM_STREAM_ROWS && !defined BM_TAPS /* verification keeps to the copy, which shows who does not wait */
    static const bm_stream *const copy = &bm_stream_copy;
    if (!s->streams[0]) bm_stream_choose(s, &copy, 1u, port->cycles, port->user, port->cycles_hz);
#endif
    bm_serve_count(v);
    bm_serve_start_taps(v);
    if (!text) return;
    bm_ascii_init(&v->text, s, port, text, v->vectors);
    v->link.text = text_command;
    v->link.text_context = v;
}

void bm_serve_room(bm_server *v, uint32_t *counts, uint32_t bins, bm_kept *kept, uint8_t *arena)
{
    v->counts = counts;
    v->bins = bins;
    v->kept = kept;
    v->arena = arena;
}

void bm_serve_once(bm_server *v)
{
    uint8_t head[5], rest[32];
    if (v->link.broken) v->next = NULL; /* whoever asked is gone */
    v->link.broken = 0;
    if (v->next) {
        v->next(v);
    } else {
        if (bm_link_read(&v->link, head, sizeof head) != 0) return;
        v->left = bm_get_u32(head + 1);
        if (!serve_board(v, head[0])) {
            if (v->s) serve_model(v, head[0]);
            else bm_serve_result(v, BM_RESULT_ASLEEP, 0);
        }
    }
    if (v->next) return;
    while (v->left && bm_serve_take(v, rest, v->left < sizeof rest ? v->left : (uint32_t)sizeof rest) == 0)
        continue;
    bm_link_pump(&v->link);
}
