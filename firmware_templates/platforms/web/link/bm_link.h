/* SPDX-License-Identifier: MIT-0 */
/* The link of a module, whose line is memory: frames as on every board, but no byte is lost and nobody waits. What arrives and what
 * is sent lies in rooms that grow; nothing is sent again. It stands in the place of the runtime's bm_link.h, with the same functions.
 */
#ifndef BM_LINK_H
#define BM_LINK_H

#include "bm_config.h"
#include "bm_port.h"
#include "bm_protocol.h"
#include "web.h"

#define BM_LINK_RING 32768u /* bytes that a host sends before it waits for an acknowledgement */
#define BM_LINK_SEGMENT 2048u /* largest payload */
#define BM_LINK_OVERHEAD 13u /* header and CRC */
#define BM_LINK_ENCODED \
    (BM_LINK_SEGMENT + BM_LINK_OVERHEAD + (BM_LINK_SEGMENT + BM_LINK_OVERHEAD) / 254u + 1u)

typedef void (*bm_text_fn)(void *context, const char *line, size_t n);

typedef struct {
    const struct bm_port *port;
    bm_text_fn text; /* a module has no text face */
    void *text_context;
    int open; /* a session is */
    int broken; /* it ended, or was replaced, in the middle of a request */
    uint16_t session;
    web_buffer in; /* of the host's stream: what nobody took yet */
    uint16_t in_end, acknowledged, out_end; /* offsets in the two streams */
    uint8_t payload[BM_LINK_SEGMENT]; /* of our stream: what no frame has yet */
    uint32_t waiting; /* bytes of it */
    int asked; /* the host wants a sign of life */
    uint8_t raw[BM_LINK_ENCODED + 1u];
    size_t n; /* bytes in raw; more than fit: skip to the next zero */
    uint8_t frame[BM_LINK_ENCODED + 2u];
    uint32_t frames, damaged, resent;
} bm_link;

void bm_link_init(bm_link *l, const struct bm_port *port);

/* Take what has arrived and send what is due. */
void bm_link_pump(bm_link *l);

/* n bytes of the host's stream. -1: the session ended, or they have not arrived (bm_serve.h asks for no more than a request has). */
int bm_link_read(bm_link *l, void *to, size_t n);

/* Append to our stream. -1: the session ended. */
int bm_link_write(bm_link *l, const void *from, size_t n);

/* Send all; -1: the session ended. */
int bm_link_drain(bm_link *l, uint32_t ms);

#endif
