/* SPDX-License-Identifier: MIT-0 */
/* Frames and sessions on a line that is memory (bm_link.h of this folder). The host's side is the same as on every line. */
#include "bm_link.h"

#include <string.h>

#include "bm_frames.h"

void bm_link_init(bm_link *l, const struct bm_port *port)
{
    memset(l, 0, sizeof *l);
    l->port = port;
}

static void send_frame(bm_link *l, uint8_t kind, uint16_t session, const uint8_t *payload, uint32_t length)
{
    bm_encoder e = bm_frame_begin(l->frame, kind, session, l->out_end, l->in_end, (uint16_t)length);
    bm_frame_add(&e, payload, length);
    l->port->write(l->port->user, l->frame, bm_frame_end(&e));
    if (kind == BM_FRAME_DATA) l->acknowledged = l->in_end;
}

static void flush(bm_link *l)
{
    if (!l->waiting) return;
    send_frame(l, BM_FRAME_DATA, l->session, l->payload, l->waiting);
    l->out_end = (uint16_t)(l->out_end + l->waiting);
    l->waiting = 0;
}

/* Neither stream has anything of the session that was. */
static void end_session(bm_link *l)
{
    l->open = 0;
    l->broken = 1;
    l->in.first = l->in.end = 0;
    l->in_end = l->acknowledged = l->out_end = 0;
    l->waiting = 0;
    l->asked = 0;
}

static void take_open(bm_link *l, uint16_t session, const uint8_t *payload, uint32_t length)
{
    uint8_t answer[9] = {BM_PROTOCOL_VERSION};
    bm_put_u16(answer + 1, BM_LINK_RING);
    bm_put_u16(answer + 3, BM_LINK_SEGMENT);
    bm_put_u32(answer + 5, l->port->millis(l->port->user));
    if (length >= 1u && payload[0] == BM_PROTOCOL_VERSION && !(l->open && l->session == session)) {
        end_session(l);
        l->open = 1;
        l->session = session;
    }
    send_frame(l, BM_FRAME_OPENED, session, answer, sizeof answer);
}

/* What is known already is not taken again; what is ahead of its turn is asked for. */
static void take_data(bm_link *l, uint16_t offset, const uint8_t *payload, uint32_t length)
{
    const uint32_t known = (uint16_t)(l->in_end - offset);
    if (known >= length) return;
    if (web_put(&l->in, payload + known, length - known) != 0) {
        end_session(l); /* a request for which there is no memory */
        return;
    }
    l->in_end = (uint16_t)(l->in_end + length - known);
}

/* A whole frame, decoded. Returns 0 if it is none. */
static int take_frame(bm_link *l, const uint8_t *p, size_t n)
{
    if (!bm_frame_whole(p, n)) return 0;
    const uint16_t session = (uint16_t)bm_get_u16(p + 1);
    const uint8_t *payload = p + BM_FRAME_HEADER;
    l->frames++;
    if (p[0] == BM_FRAME_OPEN) {
        take_open(l, session, payload, bm_get_u16(p + 7));
    } else if ((p[0] == BM_FRAME_DATA || p[0] == BM_FRAME_AGAIN) && (!l->open || session != l->session)) {
        send_frame(l, BM_FRAME_CLOSED, session, p, 0);
    } else if (p[0] == BM_FRAME_DATA || p[0] == BM_FRAME_AGAIN) {
        take_data(l, (uint16_t)bm_get_u16(p + 3), payload, bm_get_u16(p + 7));
        l->asked |= p[0] == BM_FRAME_AGAIN;
    } else if (p[0] == BM_FRAME_CLOSED && l->open && session == l->session) {
        end_session(l);
    }
    return 1;
}

static void take_byte(bm_link *l, uint8_t c)
{
    if (c != 0) {
        if (l->n < sizeof l->raw) l->raw[l->n] = c;
        l->n += l->n <= sizeof l->raw;
        return;
    }
    const size_t n = l->n <= BM_LINK_ENCODED ? bm_frame_decode(l->raw, l->n) : 0;
    if (l->n && !take_frame(l, l->raw, n)) l->damaged++;
    l->n = 0;
}

void bm_link_pump(bm_link *l)
{
    uint8_t chunk[256];
    size_t got;
    while ((got = l->port->read(l->port->user, chunk, sizeof chunk)) > 0)
        for (size_t i = 0; i < got; i++) take_byte(l, chunk[i]);
    if (!l->open) return;
    flush(l);
    if (l->asked || l->acknowledged != l->in_end) send_frame(l, BM_FRAME_DATA, l->session, l->payload, 0);
    l->asked = 0;
}

int bm_link_read(bm_link *l, void *to, size_t n)
{
    if (l->broken || !l->open || l->in.end - l->in.first < n) return -1;
    memcpy(to, l->in.bytes + l->in.first, n);
    l->in.first += (uint32_t)n;
    return 0;
}

int bm_link_write(bm_link *l, const void *from, size_t n)
{
    const uint8_t *p = from;
    if (l->broken || !l->open) return -1;
    while (n) {
        const size_t room = sizeof l->payload - l->waiting, some = n < room ? n : room;
        memcpy(l->payload + l->waiting, p, some);
        l->waiting += (uint32_t)some;
        p += some;
        n -= some;
        if (l->waiting == sizeof l->payload) flush(l);
    }
    return 0;
}

int bm_link_drain(bm_link *l, uint32_t ms)
{
    (void)ms;
    bm_link_pump(l);
    return l->open ? 0 : -1;
}
