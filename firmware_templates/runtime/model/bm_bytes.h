/* SPDX-License-Identifier: MIT-0 */
/* Integers in files and messages: little-endian, at any address. What writes returns the byte behind. */
#ifndef BM_BYTES_H
#define BM_BYTES_H

#include <stdint.h>

/* 32 bits wide, so that it may be shifted. */
static inline uint32_t bm_get_u16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static inline uint32_t bm_get_u32(const uint8_t *p)
{ return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

static inline uint64_t bm_get_u64(const uint8_t *p)
{ return bm_get_u32(p) | (uint64_t)bm_get_u32(p + 4) << 32; }

static inline uint8_t *bm_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    return p + 2;
}

static inline uint8_t *bm_put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) *p++ = (uint8_t)(v >> 8 * i);
    return p;
}

static inline uint8_t *bm_put_u64(uint8_t *p, uint64_t v)
{ return bm_put_u32(bm_put_u32(p, (uint32_t)v), (uint32_t)(v >> 32)); }

#endif
