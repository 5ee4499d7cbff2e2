/* SPDX-License-Identifier: MIT-0 */
/* Between the store's reads and its episodes. */
#ifndef BM_STORE_INTERNAL_H
#define BM_STORE_INTERNAL_H

#include "bm_store.h"

/* Remember why a call fails; an episode that is being written is given up. */
bm_store_status bm_store_fail(bm_store *s, bm_store_status status);
bm_store_status bm_store_damaged(bm_store *s, bm_store_kind kind, uint32_t index);

/* Nothing in RAM is of use any more. */
void bm_store_forget(bm_store *s);

/* One unit into the first buffer of states. */
bm_store_status bm_store_read_unit(bm_store *s, uint64_t offset);

bm_store_status bm_store_find_record(bm_store *s);
bm_store_buffer *bm_store_load_state(bm_store *s, uint32_t group, const bm_store_buffer *keep);
bm_store_status bm_store_load_plane(
    bm_store *s, bm_store_buffer *b, const bm_store_buffer *state, uint32_t block, int low);

/* Of a block, as its group's state has it: which home is live, and where the checksum of a plane is. */
uint32_t bm_store_home(const bm_store_buffer *state, uint32_t block);
uint8_t *bm_store_crc(const bm_store_buffer *state, uint32_t block, int low);

void bm_store_set_rows(const bm_store *s, const bm_store_buffer *state, uint32_t block, bm_block_rows *rows);
/* The high plane, or all of a block. */
bm_store_status bm_store_get_to_read(bm_store *s, uint32_t block, int all, bm_block_rows *rows);

#endif
