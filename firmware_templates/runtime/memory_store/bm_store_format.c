/* SPDX-License-Identifier: MIT-0 */
/* Offsets and seals of a memory store. */
#include "bm_store_format.h"

#include "bm_bytes.h"
#include "bm_crc32.h"

#define SEAL (BM_STORE_UNIT - 4u)

bm_store_layout bm_store_layout_of(uint32_t slots, uint32_t width)
{
    bm_store_layout at = {.slots = slots, .width = width, .plane = BM_STORE_PLANE(width)};
    at.blocks = (slots + BM_READ_BLOCK - 1u) / BM_READ_BLOCK;
    at.groups = (at.blocks + BM_STORE_GROUP - 1u) / BM_STORE_GROUP;
    at.state = 3u * BM_STORE_UNIT;
    at.high = at.state + 2u * (uint64_t)at.groups * BM_STORE_UNIT;
    at.low = at.high + 2u * (uint64_t)at.blocks * at.plane;
    at.back = at.low + 2u * (uint64_t)at.blocks * at.plane;
    at.size = at.back + 3u * BM_STORE_UNIT;
    return at;
}

uint64_t bm_store_at_copy(const bm_store_layout *at, uint32_t unit, uint32_t copy)
{ return (copy ? at->back : 0u) + (uint64_t)unit * BM_STORE_UNIT; }

uint64_t bm_store_at_state(const bm_store_layout *at, uint32_t group, uint64_t sequence)
{ return at->state + ((sequence & 1u) * at->groups + group) * BM_STORE_UNIT; }

uint64_t bm_store_at_plane(const bm_store_layout *at, uint32_t block, uint32_t home, int low)
{ return (low ? at->low : at->high) + ((uint64_t)home * at->blocks + block) * at->plane; }

void bm_store_seal(uint8_t *unit, uint32_t magic, uint32_t index, uint64_t sequence)
{
    bm_put_u32(unit, magic);
    bm_put_u32(unit + 4, index);
    bm_put_u64(unit + 8, sequence);
    bm_put_u32(unit + SEAL, bm_crc32(0, unit, SEAL));
}

int bm_store_sealed(const uint8_t *unit, uint32_t magic, uint32_t index)
{
    return bm_get_u32(unit) == magic && bm_get_u32(unit + 4) == index &&
           bm_get_u32(unit + SEAL) == bm_crc32(0, unit, SEAL);
}

uint64_t bm_store_sequence(const uint8_t *unit) { return bm_get_u64(unit + 8); }

int bm_store_header_fits(const uint8_t *unit, const bm_store_layout *at)
{
    const uint32_t want[6] = {
        at->slots, at->width, BM_PAD(at->width), BM_READ_BLOCK, BM_STORE_GROUP, BM_STORE_UNIT};
    for (uint32_t i = 0; i < 6u; i++)
        if (bm_get_u32(unit + BM_HEADER_SHAPE + 4u * i) != want[i]) return 0;
    return bm_get_u64(unit + BM_HEADER_SIZE) == at->size;
}
