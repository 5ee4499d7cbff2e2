/* SPDX-License-Identifier: MIT-0 */
/* The link to a host: two reliable streams of bytes over a line that loses, damages and doubles bytes, and carries log text in
 * between. docs/reference/serial-protocol.md draws it; numbers of kinds are in bm_protocol.h.
 *
 * A frame is COBS-encoded between zero bytes, so a receiver finds the next one after any garbage:
 *   kind u8, session u16, offset u16, acknowledged u16, length u16, payload[length], CRC-32 of all before it; little-endian.
 * offset: where the payload lies in the sender's stream; acknowledged: what the sender has taken of the other one (both modulo
 * 2^16). What is not acknowledged is sent again from there, in smaller pieces while the line is bad.
 */
#ifndef BM_LINK_H
#define BM_LINK_H

#include "bm_config.h"
#include "bm_port.h"
#include "bm_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef BM_LINK_RING
#define BM_LINK_RING \
    4096u /* bytes sent and not yet acknowledged; bytes received and not yet taken: powers of 2 up to 32768 */
#define BM_LINK_SEGMENT 1024u /* largest payload: a power of 2 up to 2048 */
#endif
#define BM_LINK_LEAST 16u /* smallest largest payload, on a bad line */
#define BM_LINK_OVERHEAD 13u /* header and CRC */
#define BM_LINK_ENCODED \
    (BM_LINK_SEGMENT + BM_LINK_OVERHEAD + (BM_LINK_SEGMENT + BM_LINK_OVERHEAD) / 254u + 1u)
#define BM_LINK_DEAD_MS 10000u /* a host that acknowledges nothing for so long is gone */

/* A line of printable text that ends in '%', outside of frames: a command of the ASCII mode, without its end. */
typedef void (*bm_text_fn)(void *context, const char *line, size_t n);

typedef struct {
    const struct bm_port *port;
    bm_text_fn text; /* may be NULL */
    void *text_context;
    int open; /* a session is */
    int broken; /* it ended, or was replaced, in the middle of what reads or writes now */
    uint16_t session;
    /* What is sent: out_head .. out_sent waits for an acknowledgement, out_sent .. out_end for its turn. */
    uint8_t out[BM_LINK_RING];
    uint16_t out_head, out_sent, out_end;
    uint16_t segment; /* largest payload now */
    uint16_t clean; /* bytes acknowledged since something was lost */
    uint32_t wait_ms, since_ms; /* until what is not acknowledged is sent again; from when on */
    int again; /* the host asked for a repetition */
    uint32_t repeated_ms; /* when the last one was */
    uint32_t heard_ms; /* when something new was acknowledged */
    int timing; /* how long the acknowledgement of offset `timed`, sent at timed_ms, takes */
    uint16_t timed;
    uint32_t timed_ms, round_ms;
    /* What is received: in_taken .. in_end lies in the ring. */
    uint8_t in[BM_LINK_RING];
    uint16_t in_taken, in_end, acknowledged;
    uint8_t owes; /* kind of the frame that the host should get soon; 0: none */
    uint32_t answered_ms; /* when the last of those was sent */
    uint8_t raw[BM_LINK_ENCODED + 1u];
    size_t n; /* bytes in raw; more than fit: skip to the next zero */
    int framed; /* the last byte was a zero */
    uint8_t frame[BM_LINK_ENCODED + 2u];
    uint32_t frames, damaged, resent;
} bm_link;

void bm_link_init(bm_link *l, const struct bm_port *port);

/* Take what has arrived and send what is due. */
void bm_link_pump(bm_link *l);

/* n bytes of the host's stream; waits for them. -1: the session ended (broken); what was read is worth nothing. */
int bm_link_read(bm_link *l, void *to, size_t n);

/* Append to our stream; waits while the ring is full. -1: the session ended. */
int bm_link_write(bm_link *l, const void *from, size_t n);

/* Wait until all is acknowledged, at most so long. -1 if it is not. */
int bm_link_drain(bm_link *l, uint32_t ms);

#ifdef __cplusplus
}
#endif
#endif
