/* SPDX-License-Identifier: MIT-0 */
/* Frames, sessions and retransmission (bm_link.h). The host's side is bitmar_tiny/device/link.py. */
#include "bm_link.h"

#include <string.h>

#include "bm_frames.h"

#define WAIT_MS 50u              /* for an acknowledgement, and four round trips; doubles up to: */
#define WAIT_MOST_MS 400u
#define HASTE_MS 4u /* at least, between two repetitions because of a gap, and two answers to garbage */
#define IDLE_MS 100u
#define MASK (BM_LINK_RING - 1u)

/* Bytes from a to b, two offsets into a stream. */
static uint16_t distance(uint16_t a, uint16_t b) { return (uint16_t)(b - a); }

static uint32_t now(const bm_link *l) { return l->port->millis(l->port->user); }

void bm_link_init(bm_link *l, const struct bm_port *port)
{
    memset(l, 0, sizeof *l);
    l->port = port;
}

/* Send a frame with `length` bytes of our stream from `offset` on, or with `payload`. */
static void send_frame(
    bm_link *l, uint8_t kind, uint16_t session, uint16_t offset, const uint8_t *payload, uint16_t length)
{
    bm_encoder e = bm_frame_begin(l->frame, kind, session, offset, l->in_taken, length);
    if (payload) {
        bm_frame_add(&e, payload, length);
    } else {
        const uint16_t first = offset & MASK, whole = (uint16_t)(BM_LINK_RING - first),
                       n = length < whole ? length : whole;
        bm_frame_add(&e, l->out + first, n);
        bm_frame_add(&e, l->out, (size_t)(length - n));
    }
    l->port->write(l->port->user, l->frame, bm_frame_end(&e));
    if (kind == BM_FRAME_DATA || kind == BM_FRAME_AGAIN) l->acknowledged = l->in_taken;
    if (kind == l->owes) l->owes = 0;
}

/* The host should get such a frame soon; a request to send again is the stronger one. */
static void owe(bm_link *l, uint8_t kind)
{
    if (l->open && l->owes != BM_FRAME_AGAIN) l->owes = kind;
}

/* Everything not acknowledged is sent again, in smaller pieces. */
static void repeat(bm_link *l)
{
    l->resent++;
    l->again = 0;
    l->repeated_ms = now(l);
    l->out_sent = l->out_head;
    l->since_ms = now(l);
    l->clean = 0;
    l->timing = 0;
    if (l->segment > BM_LINK_LEAST) l->segment = (uint16_t)(l->segment / 2u);
}

static void take_open(bm_link *l, uint16_t session, const uint8_t *payload, uint16_t length)
{
    uint8_t answer[9] = {BM_PROTOCOL_VERSION};
    const uint32_t up = now(l);
    bm_put_u16(answer + 1, BM_LINK_RING);
    bm_put_u16(answer + 3, BM_LINK_SEGMENT);
    bm_put_u32(answer + 5, up);
    if (length >= 1u && payload[0] == BM_PROTOCOL_VERSION && !(l->open && l->session == session)) {
        l->broken = 1;
        l->open = 1;
        l->session = session;
        l->out_head = l->out_sent = l->out_end = 0;
        l->in_taken = l->in_end = l->acknowledged = 0;
        l->owes = 0;
        l->again = 0;
        l->segment = BM_LINK_SEGMENT;
        l->clean = 0;
        l->timing = 0;
        l->round_ms = 0;
        l->wait_ms = WAIT_MS;
    }
    send_frame(l, BM_FRAME_OPENED, session, 0, answer, sizeof answer);
}

static void take_acknowledgement(bm_link *l, uint16_t at, uint16_t length)
{
    const uint16_t more = distance(l->out_head, at);
    if (more == 0 || more > distance(l->out_head, l->out_end)) {
        if (length == 0 && l->out_sent != l->out_head && now(l) - l->since_ms >= HASTE_MS + 2u * l->round_ms)
            l->again = 1; /* it has had the time to arrive, and did not */
        return;
    }
    if (more > distance(l->out_head, l->out_sent)) l->out_sent = at; /* it had arrived the first time */
    l->out_head = at;
    l->again = 0;
    l->since_ms = l->heard_ms = now(l);
    if (l->timing && distance(l->timed, at) < BM_LINK_RING) {
        l->round_ms = (3u * l->round_ms + (l->since_ms - l->timed_ms)) / 4u;
        l->timing = 0;
    }
    l->wait_ms = WAIT_MS + 4u * l->round_ms;
    l->clean = (uint16_t)(l->clean + more);
    if (l->clean >= 4u * l->segment && l->segment < BM_LINK_SEGMENT) {
        l->segment = (uint16_t)(l->segment * 2u);
        l->clean = 0;
    }
}

/* The host misses something. */
static void take_again(bm_link *l)
{
    if (l->out_sent == l->out_head) owe(l, BM_FRAME_DATA);
    else l->again = 1;
}

static void take_data(bm_link *l, uint16_t offset, const uint8_t *payload, uint16_t length)
{
    const uint16_t room = (uint16_t)(BM_LINK_RING - distance(l->in_taken, l->in_end));
    const uint16_t known = distance(offset, l->in_end); /* bytes of it that we have */
    if (length == 0) return;
    if (known > BM_LINK_RING ||
        known >= length) { /* something before it is missing; or the host does not know that it arrived */
        owe(l, known > BM_LINK_RING ? BM_FRAME_AGAIN : BM_FRAME_DATA);
        return;
    }
    uint16_t n = (uint16_t)(length - known);
    if (n > room) n = room;
    for (uint16_t i = 0; i < n; i++) l->in[(uint16_t)(l->in_end + i) & MASK] = payload[known + i];
    l->in_end = (uint16_t)(l->in_end + n);
}

/* A whole frame, decoded. Returns 0 if it is none. */
static int take_frame(bm_link *l, const uint8_t *p, size_t n)
{
    if (!bm_frame_whole(p, n)) return 0;
    const uint16_t length = (uint16_t)bm_get_u16(p + 7), session = (uint16_t)bm_get_u16(p + 1);
    l->frames++;
    if (p[0] == BM_FRAME_OPEN) {
        take_open(l, session, p + BM_FRAME_HEADER, length);
    } else if ((p[0] == BM_FRAME_DATA || p[0] == BM_FRAME_AGAIN) && (!l->open || session != l->session)) {
        send_frame(l, BM_FRAME_CLOSED, session, 0, p, 0);
    } else if (p[0] == BM_FRAME_DATA || p[0] == BM_FRAME_AGAIN) {
        take_acknowledgement(l, (uint16_t)bm_get_u16(p + 5), length);
        take_data(l, (uint16_t)bm_get_u16(p + 3), p + BM_FRAME_HEADER, length);
        if (p[0] == BM_FRAME_AGAIN) take_again(l);
    } else if (p[0] == BM_FRAME_CLOSED && l->open && session == l->session) {
        l->open = 0;
        l->broken = 1;
    }
    return 1;
}

static int printable(uint8_t c) { return (c >= ' ' && c < 127) || c == '\r' || c == '\n' || c == '\t'; }

/* What came before a '%', if it is a command: no frame is all text, since its second byte is its kind, and a '%' right after a zero
 * may be a frame's first. */
static int take_text(bm_link *l)
{
    size_t first = 0;
    if (!l->text || l->n > sizeof l->raw) return 0;
    for (size_t i = 0; i < l->n; i++) {
        if (!printable(l->raw[i])) return 0;
        if (first == i && l->raw[i] <= ' ') first++;
    }
    const size_t n = l->n - first;
    if (n == 0 && l->framed) return 0;
    l->n = 0;
    l->text(l->text_context, (const char *)l->raw + first, n);
    return 1;
}

static void take_byte(bm_link *l, uint8_t c)
{
    if (c == '%' && take_text(l)) return;
    l->framed = c == 0;
    if (c != 0) {
        if (l->n < sizeof l->raw) l->raw[l->n] = c;
        l->n += l->n <= sizeof l->raw;
        return;
    }
    const size_t n = l->n <= BM_LINK_ENCODED ? bm_frame_decode(l->raw, l->n) : 0;
    if (l->n && !take_frame(l, l->raw, n)) {
        l->damaged++;
        owe(l, BM_FRAME_AGAIN);
    }
    l->n = 0;
}

static void send_segments(bm_link *l)
{
    while (l->out_sent != l->out_end) {
        const uint16_t waiting = distance(l->out_sent, l->out_end);
        const uint16_t n = waiting < l->segment ? waiting : l->segment;
        if (l->out_sent == l->out_head) l->since_ms = now(l);
        send_frame(l, BM_FRAME_DATA, l->session, l->out_sent, NULL, n);
        l->out_sent = (uint16_t)(l->out_sent + n);
        if (!l->timing) {
            l->timing = 1;
            l->timed = l->out_sent;
            l->timed_ms = now(l);
        }
    }
}

static void acknowledge(bm_link *l)
{ send_frame(l, l->owes ? l->owes : BM_FRAME_DATA, l->session, l->out_sent, NULL, 0); }

/* What is due: a repetition, new bytes, an acknowledgement. */
static void send_due(bm_link *l)
{
    const uint32_t t = now(l);
    if (l->out_head == l->out_end) l->heard_ms = t;
    if (t - l->heard_ms > BM_LINK_DEAD_MS) {
        l->open = 0;
        l->broken = 1;
        return;
    }
    if (l->out_sent != l->out_head && t - l->since_ms >= l->wait_ms) {
        repeat(l);
        l->wait_ms = l->wait_ms * 2u < WAIT_MOST_MS ? l->wait_ms * 2u : WAIT_MOST_MS;
    } else if (l->again && t - l->repeated_ms >= HASTE_MS + 2u * l->round_ms) {
        repeat(l);
    }
    send_segments(l);
    const int late = l->owes && t - l->answered_ms >= HASTE_MS;
    if (distance(l->acknowledged, l->in_taken) >= BM_LINK_RING / 4u || late) {
        l->answered_ms = t;
        acknowledge(l);
    }
}

static size_t receive(bm_link *l)
{
    uint8_t chunk[128];
    size_t got, all = 0;
    while ((got = l->port->read(l->port->user, chunk, sizeof chunk)) > 0) {
        for (size_t i = 0; i < got; i++) take_byte(l, chunk[i]);
        all += got;
    }
    return all;
}

void bm_link_pump(bm_link *l)
{
    receive(l);
    if (!l->open) return;
    send_due(l);
    if (l->in_taken != l->acknowledged) acknowledge(l);
}

/* There is nothing to do until something arrives, or is late. */
static void rest(bm_link *l)
{
    if (l->open && l->in_taken != l->acknowledged) acknowledge(l);
    else if (l->port->idle)
        l->port->idle(l->port->user, l->open && (l->out_head != l->out_end || l->owes) ? HASTE_MS : IDLE_MS);
}

int bm_link_read(bm_link *l, void *to, size_t n)
{
    uint8_t *p = to;
    while (!l->broken) {
        while (n && l->in_taken != l->in_end) {
            *p++ = l->in[l->in_taken & MASK];
            l->in_taken++;
            n--;
        }
        if (n == 0) return 0;
        const size_t got = receive(l);
        if (l->open) send_due(l);
        if (got == 0 && !l->broken) rest(l);
    }
    return -1;
}

int bm_link_write(bm_link *l, const void *from, size_t n)
{
    const uint8_t *p = from;
    while (!l->broken && l->open) {
        while (n && distance(l->out_head, l->out_end) < BM_LINK_RING) {
            l->out[l->out_end & MASK] = *p++;
            l->out_end++;
            n--;
        }
        if (n == 0) return 0;
        const size_t got = receive(l);
        if (l->open) send_due(l);
        if (got == 0 && !l->broken) rest(l);
    }
    return -1;
}

int bm_link_drain(bm_link *l, uint32_t ms)
{
    const uint32_t since = now(l);
    while (l->open && l->out_head != l->out_end && now(l) - since < ms) {
        const size_t got = receive(l);
        if (l->open) send_due(l);
        if (got == 0) rest(l);
    }
    return l->open && l->out_head == l->out_end ? 0 : -1;
}
