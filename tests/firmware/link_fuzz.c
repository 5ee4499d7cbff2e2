/* SPDX-License-Identifier: Apache-2.0 */
/* Throw frames at the firmware's loop: noise, damaged frames, whole frames with wrong messages and right ones with wild fields;
 * updates among them, and restarts.
 *
 *   link_fuzz FRAMES SEED       prints how many frames were taken whole, how many were damaged, how many messages were answered, how
 *                               many blocks of updates were written, how many updates were tried
 *
 * Whatever comes, the loop must go on: at the end a clean session still gets an answer that is right. What a start runs is the
 * package, byte by byte.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_crc32.h"
#include "bm_serve.h"
#include "bm_sha256.h"
#include "link_fuzz_update.h"

extern const uint8_t bm_blob[];

static uint8_t memory[BM_RAM_TOTAL] __attribute__((aligned(64)));
static uint32_t counts[64];
static bm_kept kept;
static uint8_t text[BM_ASCII_INPUT];
static bm_server server;
static bm_state state;
static uint64_t seed;
static unsigned long frames, wanted, answers;
static uint8_t queue[8192]; /* what the line brings next */
static size_t at, end;
static uint32_t ms;
static int finishing; /* 1: a session is opened, 2: hello was sent */
static uint8_t tail[65536]; /* what the board answered since then */
static size_t tail_n;

static unsigned long whole_frames, damaged_frames; /* before the last start */
/* A message of several frames: what of it the link has not taken yet begins at in_end - pending_from. */
static uint8_t pending[5u + 8u + UNIT + 16u];
static uint32_t pending_n;
static uint16_t pending_from, pending_session;

static uint32_t draw(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

static void put_u16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put_u32(uint8_t *p, uint32_t v)
{
    put_u16(p, v);
    put_u16(p + 2, v >> 16);
}

static void put(uint8_t c)
{
    if (end < sizeof queue) queue[end++] = c;
}

/* A whole frame, COBS and all. */
static void put_frame(
    uint8_t kind, uint32_t session, uint32_t offset, uint32_t acknowledged, const uint8_t *payload, size_t n)
{
    uint8_t plain[2048] = {kind};
    put_u16(plain + 1, session);
    put_u16(plain + 3, offset);
    put_u16(plain + 5, acknowledged);
    put_u16(plain + 7, (uint32_t)n);
    memcpy(plain + 9, payload, n);
    put_u32(plain + 9 + n, bm_crc32(0, plain, 9 + n));
    const size_t all = n + 13u;
    put(0);
    for (size_t i = 0; i <= all;) {
        size_t run = 0;
        while (i + run < all && plain[i + run] && run < 254u) run++;
        put((uint8_t)(run + 1u));
        for (size_t k = 0; k < run; k++) put(plain[i + k]);
        i += run + (run < 254u);
        if (run == 254u && i == all) break;
    }
    put(0);
}

/* A message of any kind, mostly with a fitting length, its fields anything. */
static size_t message(uint8_t *p)
{
    static const uint8_t kinds[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 16, 64, 0, 17, 255};
    static const uint32_t sizes[] = {0, 0, 1, 4, 0, 1, 4, 25, 1, 0, 4, 60, 4, 0};
    const uint32_t k = draw() % (uint32_t)sizeof kinds, odd = draw() % 8u;
    uint32_t n = k < sizeof sizes / sizeof *sizes ? sizes[k] : draw() % 40u;
    if (odd == 0) n = draw() % 200u;
    if (kinds[k] == 4) n *= draw() % 4u;
    p[0] = kinds[k];
    put_u32(p + 1, odd == 1 ? draw() : n);
    for (uint32_t i = 0; i < n; i++) p[5 + i] = (uint8_t)(draw() >> 8 & (draw() % 3u ? 0xFFu : 1u));
    if (kinds[k] == 4 && odd)
        for (uint32_t i = 0; i + 3 < n; i += 4) put_u32(p + 5 + i, draw() % BM_VOCAB);
    if (kinds[k] == 8 && n >= 21) put_u32(p + 5, draw() % 4u); /* few tokens: time */
    if (kinds[k] == 14) put_u32(p + 5, draw() % 3000u);
    return 5u + n;
}

/* The next piece of the message that is under way: 1, or 0: all of it was sent, or nobody waits for it any more. */
static int next_piece(void)
{
    const bm_link *l = &server.link;
    const uint32_t done = (uint16_t)(l->in_end - pending_from);
    if (!l->open || l->session != pending_session || done >= pending_n || draw() % 256u == 0)
        return (int)(pending_n = 0);
    const uint32_t most = 1u + draw() % 1024u, n = pending_n - done < most ? pending_n - done : most;
    const uint32_t offset = draw() % 16u ? l->in_end : (uint32_t)(l->in_end - draw() % 2000u);
    put_frame(BM_FRAME_DATA, l->session, offset, l->out_sent, pending + done, n);
    return 1;
}

static void begin_update_message(void)
{
    uint32_t n;
    pending[0] = update_payload(pending + 5, &n);
    put_u32(pending + 1, draw() % 64u ? n : draw() % 9000u);
    pending_n = 5u + n;
    pending_from = server.link.in_end;
    pending_session = server.link.session;
}

static void next_frame(void)
{
    uint8_t body[1024];
    const bm_link *l = &server.link;
    const uint32_t what = draw() % 16u;
    at = end = 0;
    frames++;
    ms += draw() % 20u;
    if (pending_n && what > 3 && next_piece()) {
        if (draw() % 32u == 0) queue[draw() % end] = (uint8_t)draw(); /* damaged on the way */
        if (draw() % 64u == 0) end = draw() % (end + 1u);
        return;
    }
    if (what == 0) { /* noise */
        for (uint32_t n = draw() % 300u; n; n--) put((uint8_t)(draw() >> 4));
        return;
    }
    if (what == 1) { /* text, too long a line among it */
        for (uint32_t n = draw() % 1500u; n; n--) put((uint8_t)(' ' + draw() % 95u));
        return;
    }
    if (l->open && !pending_n && what > 12) {
        begin_update_message();
        return;
    }
    if (!l->open || what == 2) {
        body[0] = draw() % 8u ? BM_PROTOCOL_VERSION : (uint8_t)draw();
        put_frame(BM_FRAME_OPEN, 1u + draw() % 3u, 0, 0, body, draw() % 16u ? 1 : 0);
    } else {
        const size_t n = what < 4 ? draw() % 100u : message(body);
        const uint32_t offset = draw() % 16u ? l->in_end : draw(), seen = draw() % 8u ? l->out_sent : draw();
        if (what < 4)
            for (size_t i = 0; i < n; i++) body[i] = (uint8_t)draw();
        put_frame(draw() % 16u ? BM_FRAME_DATA : (uint8_t)(draw() % 8u),
            draw() % 16u ? l->session : draw() % 4u, offset, seen, body, n);
    }
    if (draw() % 8u == 0 && end) queue[draw() % end] = (uint8_t)draw(); /* damaged on the way */
    if (draw() % 32u == 0) end = draw() % (end + 1u);
}

/* The end: a clean session must get an answer. */
static void finish(void)
{
    const uint8_t version = BM_PROTOCOL_VERSION, hello[5] = {BM_MESSAGE_HELLO};
    at = end = 0;
    put_frame(BM_FRAME_OPEN, 9999, 0, 0, &version, 1);
    put_frame(BM_FRAME_DATA, 9999, 0, 0, hello, sizeof hello);
    tail_n = 0;
}

static size_t port_read(void *user, void *into, size_t room)
{
    static int pause;
    (void)user;
    pause = !pause && at == end; /* the loop works on what it has before more comes */
    if (pause) return 0;
    if (at == end && frames < wanted) next_frame();
    else if (at == end && finishing == 0) finish(), finishing = 1;
    else if (at == end && finishing++ > 1000) {
        static const uint8_t digest[32] = BM_MODEL_DIGEST;
        int found = 0;
        for (size_t i = 0; i + 32 <= tail_n; i++) found |= memcmp(tail + i, digest, 8) == 0;
        printf("%lu %lu %lu %lu %lu\n", whole_frames + server.link.frames,
            damaged_frames + server.link.damaged, answers, blocks, tried);
        exit(bad_states ? 4 : found ? 0 : 3);
    }
    const size_t n = end - at < room ? end - at : room;
    memcpy(into, queue + at, n);
    at += n;
    return n;
}

static void port_write(void *user, const void *from, size_t n)
{
    (void)user;
    answers++;
    if (tail_n + n <= sizeof tail) memcpy(tail + tail_n, from, n), tail_n += n;
}

static uint64_t port_cycles(void *user)
{
    static uint64_t t;
    (void)user;
    return t += 3;
}

static uint32_t port_millis(void *user)
{
    (void)user;
    return ms;
}

static void port_idle(void *user, uint32_t wait)
{
    (void)user;
    ms += wait;
}

/* Switch the device on: it runs what lies in a slot, or its own model. */
static void restart(void)
{
    static const struct bm_port port = {
        NULL, port_read, port_write, port_cycles, port_millis, NULL, 1000, NULL, port_idle, NULL, NULL};
    bm_ram ram[BM_RAMS];
    const uint32_t runs = update_boot();
    whole_frames += server.link.frames;
    damaged_frames += server.link.damaged;
    bm_ram_slice(memory, ram);
    if (bm_init(&state, runs ? area[runs] : bm_blob, BM_BLOB_BYTES, ram) != BM_OK) exit(2);
    bm_serve_init(&server, &state, NULL, &port, text);
    bm_serve_room(&server, counts, sizeof counts / sizeof *counts, &kept, memory);
    server.update = &update;
    pending_n = 0;
}

int main(int argc, char **argv)
{
    wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000u;
    seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 0u;
    update_make(bm_blob);
    restart();
    for (uint32_t answered = 0;; answered++) {
        const int tries = update.slot[update.running == BM_UPDATE_A ? 1 : 0].state == BM_SLOT_TRIAL;
        if (frames < wanted && (tries ? draw() % 4u == 0 : answered % 4096u == 4095u)) restart();
        bm_serve_once(&server);
    }
}
