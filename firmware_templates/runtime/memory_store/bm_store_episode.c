/* SPDX-License-Identifier: MIT-0 */
/* The store's episodes: written beside what is live, made the memory by one record; and the tier that the model sees. */
#include <string.h>

#include "bm_bytes.h"
#include "bm_crc32.h"
#include "bm_store_internal.h"

static bm_store_status put_bytes(bm_store *s, uint64_t offset, const void *from, uint32_t n)
{
    const bm_store_status status = s->device.write(s->device.context, offset, from, n);
    s->episode.bytes += n;
    s->traffic.written += n;
    s->episode.writes++;
    return status == BM_STORE_OK ? BM_STORE_OK : bm_store_fail(s, status);
}

static bm_store_status sync_all(bm_store *s)
{
    const bm_store_status status = s->device.sync(s->device.context);
    s->episode.syncs++;
    return status == BM_STORE_OK ? BM_STORE_OK : bm_store_fail(s, status);
}

static bm_store_status write_record(bm_store *s, uint64_t sequence, uint32_t copies)
{
    uint8_t *unit = s->state[0].bytes;
    memset(unit, 0, BM_STORE_UNIT);
    bm_store_seal(unit, BM_STORE_RECORD, 0, sequence);
    for (uint32_t copy = 0; copy < 2u; copy++)
        if (copies >> copy & 1u && put_bytes(s, bm_store_at_copy(&s->at, 1u + (sequence & 1u), copy), unit,
                                       BM_STORE_UNIT) != BM_STORE_OK)
            return s->status;
    return BM_STORE_OK;
}

/* Before the first change after opening: mend what has one good copy, and make durable what was found. A record that a failed
 * commit left may be seen though only the device's cache holds it, and a sync that failed once need not write it again
 * (Linux drops such pages): so both copies are written anew, one after the other, the one that was not whole first. */
static bm_store_status settle(bm_store *s)
{
    if (s->bad_headers) {
        const uint32_t bad = s->bad_headers >> 1;
        if (bm_store_read_unit(s, bm_store_at_copy(&s->at, 0, 1u - bad)) != BM_STORE_OK) return s->status;
        if (!bm_store_sealed(s->state[0].bytes, BM_STORE_HEADER, BM_STORE_VERSION))
            return bm_store_damaged(s, BM_PIECE_HEADER, 1u - bad);
        if (put_bytes(s, bm_store_at_copy(&s->at, 0, bad), s->state[0].bytes, BM_STORE_UNIT) != BM_STORE_OK)
            return s->status;
        s->bad_headers = 0;
    }
    uint32_t copies = s->bad_records ? s->bad_records : 1u;
    for (int i = 0; i < 2; i++, copies ^= 3u) {
        s->bad_records = copies; /* until it is written: then the other one is known to last */
        if (write_record(s, s->sequence, copies) != BM_STORE_OK || sync_all(s) != BM_STORE_OK)
            return s->status;
    }
    s->bad_records = 0;
    s->settled = 1;
    return BM_STORE_OK;
}

static bm_store_status begin(bm_store *s)
{
    const bm_store_counters none = {0, 0, 0};
    bm_store_forget(s);
    s->writing = 0;
    s->episode = none;
    if (!s->mounted && bm_store_find_record(s) != BM_STORE_OK) return s->status;
    if (!s->settled && settle(s) != BM_STORE_OK) return s->status;
    s->writing = 1;
    s->next_block = 0;
    s->next_group = 0;
    s->changing = BM_STORE_NONE;
    return BM_STORE_OK;
}

/* Write the state of all groups below `group` for the new memory, changed or not: then one sequence number names them all,
 * and a unit of an older memory is found. The group that is open is next_group's. */
static bm_store_status advance(bm_store *s, uint32_t group)
{
    for (; s->next_group < group; s->next_group++) {
        bm_store_buffer *state = bm_store_load_state(s, s->next_group, NULL);
        if (!state) return s->status;
        bm_store_seal(state->bytes, BM_STORE_STATE, s->next_group, s->sequence + 1u);
        state->index = BM_STORE_NONE;
        if (put_bytes(s, bm_store_at_state(&s->at, s->next_group, s->sequence + 1u), state->bytes,
                BM_STORE_UNIT) != BM_STORE_OK)
            return s->status;
    }
    return BM_STORE_OK;
}

/* Blocks in ascending order, each once: so that no live home is written, and one group is open at a time. */
static bm_store_status get_to_change(bm_store *s, uint32_t block, bm_block_rows *rows)
{
    if (!s->writing || block < s->next_block) return bm_store_fail(s, BM_STORE_ORDER);
    if (advance(s, block / BM_STORE_GROUP) != BM_STORE_OK) return s->status;
    const bm_store_buffer *state = bm_store_load_state(s, block / BM_STORE_GROUP, NULL);
    if (!state) return s->status;
    for (int low = 0; low < 2; low++)
        if (bm_store_load_plane(s, &s->plane[low], state, block, low) != BM_STORE_OK) return s->status;
    s->changing = block;
    bm_store_set_rows(s, state, block, rows);
    rows->high = (int8_t *)s->plane[0].bytes;
    rows->low = (int8_t *)s->plane[1].bytes;
    return BM_STORE_OK;
}

static bm_store_status put(bm_store *s, uint32_t block, int rows_changed)
{
    if (!s->writing || block != s->changing) return bm_store_fail(s, BM_STORE_ORDER);
    s->changing = BM_STORE_NONE;
    s->next_block = block + 1u;
    if (!rows_changed) return BM_STORE_OK;
    const bm_store_buffer *state = bm_store_load_state(s, block / BM_STORE_GROUP, NULL);
    if (!state) return s->status;
    const uint32_t homes = bm_get_u32(state->bytes + BM_STATE_HOMES) ^ 1u << block % BM_STORE_GROUP;
    bm_put_u32(state->bytes + BM_STATE_HOMES, homes);
    for (int low = 0; low < 2; low++) {
        const bm_store_buffer *plane = &s->plane[low];
        bm_put_u32(bm_store_crc(state, block, low), bm_crc32(0, plane->bytes, plane->n));
        if (put_bytes(s, bm_store_at_plane(&s->at, block, bm_store_home(state, block), low), plane->bytes,
                plane->n) != BM_STORE_OK)
            return s->status;
    }
    return BM_STORE_OK;
}

/* Everything, then the record. When that fails, only the device knows which record it holds. */
static bm_store_status commit(bm_store *s)
{
    if (!s->writing) return bm_store_fail(s, BM_STORE_ORDER);
    if (advance(s, s->at.groups) != BM_STORE_OK || sync_all(s) != BM_STORE_OK) return s->status;
    s->mounted = 0;
    if (write_record(s, s->sequence + 1u, 3u) != BM_STORE_OK || sync_all(s) != BM_STORE_OK) return s->status;
    s->sequence++;
    s->mounted = 1;
    s->writing = 0;
    return BM_STORE_OK;
}

/* -- the tier --------------------------------------------------------------------------------------------------------- */

static bm_status answer(bm_store_status status) { return status == BM_STORE_OK ? BM_OK : BM_ERR_MEMORY; }

static bm_status tier_get(void *context, uint32_t block, int how, bm_block_rows *rows)
{
    bm_store *s = context;
    if (how == BM_TIER_CHANGE) return answer(get_to_change(s, block, rows));
    if (s->writing) { /* an episode that was given up: its changes are forgotten */
        s->writing = 0;
        bm_store_forget(s);
    }
    if (!s->mounted && bm_store_find_record(s) != BM_STORE_OK) return BM_ERR_MEMORY;
    return answer(bm_store_get_to_read(s, block, how == BM_TIER_READ_ALL, rows));
}

static bm_status tier_put(void *context, uint32_t block, int rows_changed)
{ return answer(put(context, block, rows_changed)); }

static bm_status tier_begin(void *context) { return answer(begin(context)); }

static bm_status tier_commit(void *context) { return answer(commit(context)); }

bm_tier bm_store_tier(bm_store *s)
{
    const int read_only = s->device.write == NULL;
    const bm_tier tier = {
        tier_get, tier_put, read_only ? NULL : tier_begin, read_only ? NULL : tier_commit, s, &s->traffic};
    return tier;
}
