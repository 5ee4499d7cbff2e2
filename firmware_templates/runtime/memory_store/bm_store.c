/* SPDX-License-Identifier: MIT-0 */
/* The store's reads and checks. See bm_store.h for the promise, docs/explanation/memory-store.md for the bytes and the proof. */
#include "bm_store_internal.h"

#include <string.h>

#include "bm_bytes.h"
#include "bm_crc32.h"

const char *bm_store_text(bm_store_status status)
{
    switch (status) {
    case BM_STORE_OK: return "all is well";
    case BM_STORE_MISSING: return "there is no such file or device";
    case BM_STORE_PERMISSION: return "this user may not open it";
    case BM_STORE_BUSY: return "another program has it open";
    case BM_STORE_READ_ONLY: return "it is write-protected";
    case BM_STORE_FULL: return "the disk that holds it is full";
    case BM_STORE_SHORT: return "it is cut short: the memory's store ends beyond it";
    case BM_STORE_IO: return "the device reported an error";
    case BM_STORE_TIMEOUT: return "the device did not answer in time";
    case BM_STORE_BLANK: return "it is blank: no memory was ever written to it";
    case BM_STORE_FOREIGN: return "it holds something else than a memory";
    case BM_STORE_NEWER: return "its format is newer than this program";
    case BM_STORE_SHAPE: return "its memory has other slots or another width than the model's";
    case BM_STORE_MODEL: return "its memory belongs to another model";
    case BM_STORE_DAMAGED: return "a part of it is damaged";
    case BM_STORE_ORDER: return "its blocks were changed out of order, or outside an episode";
    case BM_STORE_BUFFERS_BAD: return "its buffers are missing, or not aligned to 64 bytes";
    }
    return "unknown status";
}

const char *bm_store_kind_text(bm_store_kind kind)
{
    switch (kind) {
    case BM_PIECE_HEADER: return "header, copy";
    case BM_PIECE_RECORD: return "commit record, copy";
    case BM_PIECE_STATE: return "scales and usage of group";
    case BM_PIECE_HIGH: return "high bytes of block";
    case BM_PIECE_LOW: return "low bytes of block";
    }
    return "unknown piece";
}

#define LOW_PLANE 0x80000000u /* in the index of a buffer */

static bm_store_status read_device(bm_store *s, bm_store_buffer *b, uint64_t offset)
{
    s->traffic.read += b->n;
    return s->device.read(s->device.context, offset, b->bytes, b->n);
}

/* What was begun is finished first, even if it is of no use any more: the device still writes into the buffer. */
static void forget(bm_store *s, bm_store_buffer *b)
{
    if (b->pending) (void)read_device(s, b, b->offset);
    b->pending = 0;
    b->index = BM_STORE_NONE;
}

void bm_store_forget(bm_store *s)
{
    for (int i = 0; i < 2; i++) {
        forget(s, &s->state[i]);
        forget(s, &s->plane[i]);
    }
}

bm_store_status bm_store_fail(bm_store *s, bm_store_status status)
{
    s->status = status;
    if (s->writing) bm_store_forget(s); /* the state that an episode has changed in RAM */
    s->writing = 0;
    return status;
}

bm_store_status bm_store_damaged(bm_store *s, bm_store_kind kind, uint32_t index)
{
    s->piece.kind = kind;
    s->piece.index = index;
    return bm_store_fail(s, BM_STORE_DAMAGED);
}

/* -- reading ---------------------------------------------------------------------------------------------------------- */

static void begin_read(bm_store *s, bm_store_buffer *b, uint32_t index, uint64_t offset)
{
    if (b->index == index) return;
    forget(s, b);
    b->index = index;
    b->offset = offset;
    b->pending = 1;
    s->device.prefetch(s->device.context, offset, b->bytes, b->n);
}

/* Bring bytes into a buffer, which then holds nothing of use until the caller has checked them. */
static bm_store_status finish_read(bm_store *s, bm_store_buffer *b, uint64_t offset)
{
    if (b->pending && b->offset != offset) forget(s, b);
    b->pending = 0;
    b->index = BM_STORE_NONE;
    const bm_store_status status = read_device(s, b, offset);
    return status == BM_STORE_OK ? BM_STORE_OK : bm_store_fail(s, status);
}

static bm_store_buffer *holder(bm_store_buffer pair[2], uint32_t index, const bm_store_buffer *keep)
{
    for (int i = 0; i < 2; i++)
        if (pair[i].index == index) return &pair[i];
    return &pair[0] == keep ? &pair[1] : &pair[0];
}

/* The unit of a group's state, checked; `keep` stays as it is. NULL: s->status. */
bm_store_buffer *bm_store_load_state(bm_store *s, uint32_t group, const bm_store_buffer *keep)
{
    bm_store_buffer *b = holder(s->state, group, keep);
    if (b->index == group && !b->pending) return b;
    if (finish_read(s, b, bm_store_at_state(&s->at, group, s->sequence)) != BM_STORE_OK) return NULL;
    if (!bm_store_sealed(b->bytes, BM_STORE_STATE, group) || bm_store_sequence(b->bytes) != s->sequence) {
        bm_store_damaged(s, BM_PIECE_STATE, group);
        return NULL;
    }
    b->index = group;
    return b;
}

uint32_t bm_store_home(const bm_store_buffer *state, uint32_t block)
{ return bm_get_u32(state->bytes + BM_STATE_HOMES) >> block % BM_STORE_GROUP & 1u; }

uint8_t *bm_store_crc(const bm_store_buffer *state, uint32_t block, int low)
{ return state->bytes + (low ? BM_STATE_LOW_CRC : BM_STATE_HIGH_CRC) + 4u * (block % BM_STORE_GROUP); }

bm_store_status bm_store_load_plane(
    bm_store *s, bm_store_buffer *b, const bm_store_buffer *state, uint32_t block, int low)
{
    if (finish_read(s, b, bm_store_at_plane(&s->at, block, bm_store_home(state, block), low)) != BM_STORE_OK)
        return s->status;
    if (bm_crc32(0, b->bytes, b->n) != bm_get_u32(bm_store_crc(state, block, low)))
        return bm_store_damaged(s, low ? BM_PIECE_LOW : BM_PIECE_HIGH, block);
    return BM_STORE_OK;
}

/* While the caller works on a block, the device reads the next one, and early in a group the state of the next group. */
static void read_ahead(
    bm_store *s, const bm_store_buffer *state, const bm_store_buffer *plane, uint32_t block)
{
    const uint32_t next = block + 1u, group = block / BM_STORE_GROUP;
    if (!s->device.prefetch || next == s->at.blocks) return;
    if (block % BM_STORE_GROUP == 0 && group + 1u < s->at.groups)
        begin_read(s, holder(s->state, group + 1u, state), group + 1u,
            bm_store_at_state(&s->at, group + 1u, s->sequence));
    if (next % BM_STORE_GROUP == 0) state = bm_store_load_state(s, group + 1u, state);
    if (state)
        begin_read(s, holder(s->plane, next, plane), next,
            bm_store_at_plane(&s->at, next, bm_store_home(state, next), 0));
}

void bm_store_set_rows(const bm_store *s, const bm_store_buffer *state, uint32_t block, bm_block_rows *rows)
{
    const uint32_t left = s->at.slots - block * BM_READ_BLOCK, first = block % BM_STORE_GROUP * BM_READ_BLOCK;
    rows->n = left < BM_READ_BLOCK ? left : BM_READ_BLOCK;
    rows->scales = (float *)(void *)(state->bytes + BM_STATE_SCALES) + first;
    rows->usage = (uint32_t *)(void *)(state->bytes + BM_STATE_USAGE) + first;
}

/* A plane of the block, checked, in one of the two buffers; the other, `keep`, stays as it is. NULL: s->status. A low
 * plane's index differs from the high one's. */
static bm_store_buffer *hold_plane(
    bm_store *s, const bm_store_buffer *state, uint32_t block, int low, const bm_store_buffer *keep)
{
    const uint32_t index = low ? block | LOW_PLANE : block;
    bm_store_buffer *plane = holder(s->plane, index, keep);
    if (plane->index != index || plane->pending) {
        if (bm_store_load_plane(s, plane, state, block, low) != BM_STORE_OK) return NULL;
        plane->index = index;
    }
    return plane;
}

/* all: both planes, so that there is no room to read ahead. */
bm_store_status bm_store_get_to_read(bm_store *s, uint32_t block, int all, bm_block_rows *rows)
{
    const bm_store_buffer *state = bm_store_load_state(s, block / BM_STORE_GROUP, NULL), *low = NULL;
    const bm_store_buffer *high = state ? hold_plane(s, state, block, 0, NULL) : NULL;
    if (high && all) low = hold_plane(s, state, block, 1, high);
    if (!high || (all && !low)) return s->status;
    if (!all) read_ahead(s, state, high, block);
    bm_store_set_rows(s, state, block, rows);
    rows->high = (int8_t *)high->bytes;
    rows->low = low ? (int8_t *)low->bytes : NULL;
    return BM_STORE_OK;
}

/* -- open ------------------------------------------------------------------------------------------------------------- */

/* What the n bytes of a header's unit are; n is less where the device ends within it. */
static bm_store_status kind_of_header(const uint8_t *unit, uint32_t n)
{
    uint32_t i = 1;
    if (n >= 4u && bm_get_u32(unit) == BM_STORE_HEADER) {
        if (n < BM_STORE_UNIT) return BM_STORE_SHORT;
        const uint32_t version = bm_get_u32(unit + 4);
        if (!bm_store_sealed(unit, BM_STORE_HEADER, version)) return BM_STORE_DAMAGED;
        return version == BM_STORE_VERSION ? BM_STORE_OK : BM_STORE_NEWER;
    }
    while (i < n && unit[i] == unit[0]) i++;
    return i == n && (unit[0] == 0 || unit[0] == 0xFFu) ? BM_STORE_BLANK : BM_STORE_FOREIGN;
}

bm_store_status bm_store_read_unit(bm_store *s, uint64_t offset)
{
    if (offset + BM_STORE_UNIT > s->device.size) return BM_STORE_SHORT;
    return finish_read(s, &s->state[0], offset);
}

/* A copy of the header, into state[0]. The first one's kind is known even of a device that ends within it. */
static bm_store_status read_header(bm_store *s, uint32_t copy)
{
    uint8_t *unit = s->state[0].bytes;
    uint32_t n = BM_STORE_UNIT;
    bm_store_status status = bm_store_read_unit(s, bm_store_at_copy(&s->at, 0, copy));
    if (status == BM_STORE_SHORT && copy == 0 && s->device.size > 0 && s->device.size < n) {
        n = (uint32_t)s->device.size;
        status = s->device.read(s->device.context, 0, unit, n);
    }
    return status == BM_STORE_OK ? kind_of_header(unit, n) : status;
}

/* Both copies of the header; one is enough. digest NULL: of any model. */
static bm_store_status check_header(bm_store *s, const uint8_t *digest)
{
    const uint8_t *unit = s->state[0].bytes;
    bm_store_status worst = BM_STORE_BLANK;
    s->bad_headers = 0;
    for (uint32_t copy = 0; copy < 2u; copy++) {
        const bm_store_status status = read_header(s, copy);
        if (status == BM_STORE_NEWER) return bm_store_fail(s, status);
        if (status == BM_STORE_OK && !bm_store_header_fits(unit, &s->at))
            return bm_store_fail(s, BM_STORE_SHAPE);
        if (status == BM_STORE_OK && digest && memcmp(unit + BM_HEADER_DIGEST, digest, 32) != 0)
            return bm_store_fail(s, BM_STORE_MODEL);
        if (status == BM_STORE_OK) continue;
        s->bad_headers |= 1u << copy;
        /* What the device begins with decides what it is; that it ends early comes second. */
        if (worst == BM_STORE_BLANK && (copy == 0 || status != BM_STORE_SHORT)) worst = status;
    }
    if (s->bad_headers == 3u)
        return worst == BM_STORE_DAMAGED ? bm_store_damaged(s, BM_PIECE_HEADER, 0) : bm_store_fail(s, worst);
    return s->device.size < s->at.size ? bm_store_fail(s, BM_STORE_SHORT) : BM_STORE_OK;
}

/* The newest whole record names the live memory. A record cut off in both copies was never committed; one that cannot be read may
 * be the newest, and without it an older memory would be taken for the live one. */
bm_store_status bm_store_find_record(bm_store *s)
{
    const uint8_t *unit = s->state[0].bytes;
    int found = 0;
    s->mounted = 0;
    s->bad_records = 3u;
    for (uint32_t parity = 0; parity < 2u; parity++) {
        bm_store_status read = BM_STORE_OK;
        int whole = 0;
        for (uint32_t copy = 0; copy < 2u; copy++) {
            const bm_store_status status = bm_store_read_unit(s, bm_store_at_copy(&s->at, 1u + parity, copy));
            if (status != BM_STORE_OK) read = status;
            if (status != BM_STORE_OK || !bm_store_sealed(unit, BM_STORE_RECORD, 0)) continue;
            const uint64_t sequence = bm_store_sequence(unit);
            if ((sequence & 1u) != parity) continue;
            whole = 1;
            if (found && sequence < s->sequence) continue;
            if (!found || sequence > s->sequence) s->bad_records = 3u;
            s->sequence = sequence;
            s->bad_records &= ~(1u << copy);
            found = 1;
        }
        if (!whole && read != BM_STORE_OK) return bm_store_fail(s, read);
    }
    if (!found) return bm_store_damaged(s, BM_PIECE_RECORD, 0);
    s->mounted = 1;
    s->settled = 0;
    return BM_STORE_OK;
}

bm_store_status bm_store_open(bm_store *s, const bm_store_device *device, uint32_t slots, uint32_t width,
    const uint8_t *digest, void *buffers)
{
    memset(s, 0, sizeof *s);
    if (!buffers || ((uintptr_t)buffers & 63u) != 0) return s->status = BM_STORE_BUFFERS_BAD;
    s->device = *device;
    s->at = bm_store_layout_of(slots, width);
    uint8_t *next = buffers;
    for (int i = 0; i < 2; i++) {
        const bm_store_buffer state = {.bytes = next, .index = BM_STORE_NONE, .n = BM_STORE_UNIT};
        const bm_store_buffer plane = {
            .bytes = next + BM_STORE_UNIT, .index = BM_STORE_NONE, .n = s->at.plane};
        s->state[i] = state;
        s->plane[i] = plane;
        next += BM_STORE_UNIT + s->at.plane;
    }
    if (check_header(s, digest) != BM_STORE_OK) return s->status;
    return bm_store_find_record(s);
}

/* -- verify ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    void (*found)(void *context, bm_store_piece piece);
    void *context;
    int bad;
} report;

static void name(report *r, bm_store_kind kind, uint32_t index)
{
    const bm_store_piece piece = {kind, index};
    r->bad = 1;
    r->found(r->context, piece);
}

static void name_copies(report *r, bm_store_kind kind, uint32_t copies)
{
    for (uint32_t copy = 0; copy < 2u; copy++)
        if (copies >> copy & 1u) name(r, kind, copy);
}

bm_store_status bm_store_verify(
    bm_store *s, void (*found)(void *context, bm_store_piece piece), void *context)
{
    report r = {found, context, 0};
    s->writing = 0;
    bm_store_forget(s);
    bm_store_status status = check_header(s, NULL);
    name_copies(&r, BM_PIECE_HEADER, s->bad_headers);
    if (status != BM_STORE_OK) return status;
    status = bm_store_find_record(s);
    name_copies(&r, BM_PIECE_RECORD, s->bad_records);
    if (status != BM_STORE_OK) return status;
    for (uint32_t block = 0; block < s->at.blocks; block++) {
        const uint32_t group = block / BM_STORE_GROUP;
        const bm_store_buffer *state = bm_store_load_state(s, group, NULL);
        if (!state && block % BM_STORE_GROUP == 0) name(&r, BM_PIECE_STATE, group);
        for (int low = 0; state && low < 2; low++)
            if (bm_store_load_plane(s, &s->plane[low], state, block, low) != BM_STORE_OK)
                name(&r, low ? BM_PIECE_LOW : BM_PIECE_HIGH, block);
    }
    return r.bad ? bm_store_fail(s, BM_STORE_DAMAGED) : BM_STORE_OK;
}
