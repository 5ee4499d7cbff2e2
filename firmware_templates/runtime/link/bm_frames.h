/* SPDX-License-Identifier: MIT-0 */
/* Frames of the link as bytes (bm_link.h draws them): made and read the same way at every end. */
#ifndef BM_FRAMES_H
#define BM_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "bm_bytes.h"
#include "bm_crc32.h"

#define BM_FRAME_HEADER 9u /* bytes before the payload; behind it are 4 of the CRC */

/* COBS (Cheshire and Baker 1999) of bytes that come in pieces, between two zero bytes. */
typedef struct {
    uint8_t *to;
    size_t code, end; /* where the length of the current run goes, and the next byte */
    uint32_t crc; /* of what came so far */
} bm_encoder;

static inline void bm_frame_add(bm_encoder *e, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (from[i]) e->to[e->end++] = from[i];
        if (from[i] == 0 || e->end - e->code == 255u) {
            e->to[e->code] = (uint8_t)(e->end - e->code);
            e->code = e->end++;
        }
    }
    e->crc = bm_crc32(e->crc, from, n);
}

/* A frame in `to`, whose payload of `length` bytes is added next. */
static inline bm_encoder bm_frame_begin(
    uint8_t *to, uint8_t kind, uint16_t session, uint16_t offset, uint16_t acknowledged, uint16_t length)
{
    uint8_t header[BM_FRAME_HEADER] = {kind};
    bm_encoder e = {to, 1, 2, 0};
    bm_put_u16(header + 1, session);
    bm_put_u16(header + 3, offset);
    bm_put_u16(header + 5, acknowledged);
    bm_put_u16(header + 7, length);
    to[0] = 0;
    bm_frame_add(&e, header, sizeof header);
    return e;
}

/* Returns the bytes of the whole frame. */
static inline size_t bm_frame_end(bm_encoder *e)
{
    uint8_t crc[4];
    bm_put_u32(crc, e->crc);
    bm_frame_add(e, crc, sizeof crc);
    e->to[e->code] = (uint8_t)(e->end - e->code);
    e->to[e->end] = 0;
    return e->end + 1u;
}

/* What lay between two zero bytes, in place; returns the length, or 0 if it is no COBS. */
static inline size_t bm_frame_decode(uint8_t *p, size_t n)
{
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        const size_t code = p[i];
        if (code == 0 || i + code > n) return 0;
        for (size_t k = 1; k < code; k++) p[out++] = p[i + k];
        i += code;
        if (code < 255u && i < n) p[out++] = 0;
    }
    return out;
}

/* Whether decoded bytes are a frame as it was sent. */
static inline int bm_frame_whole(const uint8_t *p, size_t n)
{
    return n >= BM_FRAME_HEADER + 4u && bm_get_u16(p + 7) == n - BM_FRAME_HEADER - 4u &&
           bm_crc32(0, p, n - 4u) == bm_get_u32(p + n - 4u);
}

#endif
