/* SPDX-License-Identifier: MIT-0 */
/* Where every byte of a memory store lies (docs/reference/memory-store.md draws it; bitmar_tiny/memory/store.py writes the same).
 *
 *   unit 0        header, copy 0                        then, in this order:
 *   unit 1, 2     commit records of even, odd episodes  state homes 0 and 1: groups units each
 *                                                       high homes 0 and 1: blocks planes each
 *   last 3 units  the same, copy 1                      low homes 0 and 1: blocks planes each
 */
#ifndef BM_STORE_FORMAT_H
#define BM_STORE_FORMAT_H

#include <stdint.h>

#include "bm_numerics.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_STORE_VERSION 1u
#define BM_STORE_UNIT 4096u /* one erase block of NOR flash, one page of a file, 8 sectors of a card */
#define BM_STORE_GROUP 7u /* blocks whose scales, usage, checksums and homes one unit holds */
#define BM_STORE_PLANE(width) \
    (BM_READ_BLOCK * BM_PAD(width)) /* bytes of the high or the low codes of a block */

/* A sealed unit: magic, index, sequence, what it holds, and the CRC-32 of all that in the last four bytes. */
#define BM_STORE_HEADER 0x54534D42u /* "BMST"; index: version, sequence 0 */
#define BM_STORE_RECORD 0x52434D42u /* "BMCR"; index 0 */
#define BM_STORE_STATE 0x47534D42u /* "BMSG"; index: group */

/* Offsets in a unit of state. */
#define BM_STATE_HOMES 16u /* u32: bit i is the home of block i of the group */
#define BM_STATE_HIGH_CRC 20u /* u32 [7]: CRC-32 of the plane */
#define BM_STATE_LOW_CRC 48u
#define BM_STATE_SCALES 128u /* float32 [448] */
#define BM_STATE_USAGE 1920u /* u32 [448] */
/* Offsets in a header. */
#define BM_HEADER_SHAPE 16u /* u32 slots, width, bytes of a row, rows of a block, blocks of a group, unit */
#define BM_HEADER_SIZE 40u /* u64 of the whole store */
#define BM_HEADER_DIGEST 48u /* SHA-256 of the frozen model, which decides what the planes are */
#define BM_HEADER_RULE 80u /* the same for who has no model: 1 of keys and values, 0 of high and low bytes */

typedef struct {
    uint32_t slots, width, plane, blocks, groups; /* plane: bytes */
    uint64_t state, high, low, back, size; /* offsets of home 0 of each, of copy 1, and the end */
} bm_store_layout;

bm_store_layout bm_store_layout_of(uint32_t slots, uint32_t width);

uint64_t bm_store_at_copy(const bm_store_layout *at, uint32_t unit, uint32_t copy);
uint64_t bm_store_at_state(const bm_store_layout *at, uint32_t group, uint64_t sequence);
/* low: 0 for the high plane of a block, 1 for the low one. */
uint64_t bm_store_at_plane(const bm_store_layout *at, uint32_t block, uint32_t home, int low);

void bm_store_seal(uint8_t *unit, uint32_t magic, uint32_t index, uint64_t sequence);
/* Whether a unit is whole, of this kind and index. */
int bm_store_sealed(const uint8_t *unit, uint32_t magic, uint32_t index);
uint64_t bm_store_sequence(const uint8_t *unit);

/* Whether a header describes exactly this layout. */
int bm_store_header_fits(const uint8_t *unit, const bm_store_layout *at);

#ifdef __cplusplus
}
#endif
#endif
