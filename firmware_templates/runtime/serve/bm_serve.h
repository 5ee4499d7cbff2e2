/* SPDX-License-Identifier: MIT-0 */
/* The firmware's loop: requests of a host over the link, answered by the model. The same on every board.
 * Messages: bm_protocol.h and docs/reference/serial-protocol.md.
 */
#ifndef BM_SERVE_H
#define BM_SERVE_H

#include "bitmar.h"
#include "bm_ascii.h"
#include "bm_link.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_SERVE_PROMPT 256u     /* bytes of a prompt, and its tokens, at most */
#define BM_SECTIONS (BM_ENC_LAYERS + BM_DEC_LAYERS + 4u)

/* The state of a stream, kept while others go on from it. */
typedef struct {
    bm_state state;
    uint8_t arena[BM_RAM_TOTAL];
} bm_kept;

typedef struct bm_server {
    bm_state *s;                 /* NULL while the model did not start */
    const struct bm_port *port;
    const char *why;             /* why it did not */
    bm_link link;
    bm_ascii text;               /* the text face, on the same line */
    bm_sampler sampler;
    uint32_t left;               /* bytes of the message that nobody read yet */
    uint32_t next_block;         /* of the memory, that memory_write awaits */
    void (*next)(struct bm_server
            *server); /* of a request that takes many tokens: the next one. NULL: it is answered */
    struct {
        uint32_t i, count, limit, made,
            token; /* prompt so far and in all; to write, and written so far; last one */
    } stream;
    int profiling;
    /* Room for what not every board can afford (bm_serve_room). */
    uint32_t *counts, bins;      /* of logits: how many have each value */
    bm_kept *kept;
    uint8_t *arena;
    /* One step, while it is measured. */
    uint64_t last;               /* when the last mark came */
    uint32_t cycles[BM_SECTIONS][BM_PARTS];
    /* The memory's rows behind a tier that counts. */
    bm_tier rows;
    uint32_t reads, writes;
    uint64_t read_bytes, read_cycles, written_bytes, write_cycles;
    uint8_t pixels[BM_VISION];
    float vectors[BM_IMAGE_POOL][BM_VISION];
#if BM_UPDATES
    struct bm_update *update;    /* bm_update.h; NULL: without */
#endif
} bm_server;

/* s: a model that started; or NULL, and why it did not. text: [BM_ASCII_INPUT] for the commands of bm_ascii.h, or NULL: without them. */
void bm_serve_init(
    bm_server *server, bm_state *s, const char *why, const struct bm_port *port, uint8_t *text);

/* More room, more answers. counts [bins]: for `score`, which is quickest where all logits of a position lie within so many values of
 * each other. kept: for several continuations of one context, with the BM_RAM_TOTAL bytes that the model works in; or NULL. */
void bm_serve_room(bm_server *server, uint32_t *counts, uint32_t bins, bm_kept *kept, uint8_t *arena);

/* Answer one request, or take one token of it (`next`). Waits for it; returns after it, or when the session ended. */
void bm_serve_once(bm_server *server);

#ifdef __cplusplus
}
#endif
#endif
