/* The memory's store (bm_store.h): layout, mounting, reading ahead, commits. */
#include "bm_store.h"

#include <string.h>

#include "bm_crc32.h"

#define ROW_GROUP 64u            /* BM_READ_BLOCK */
#define GROUPS_PER_STATE (BM_STORE_STATE_ROWS / ROW_GROUP)
#define HEADER_BYTES 68u
#define RECORD_HEAD 24u          /* before the bitmap */

const char *bm_store_text(bm_store_status status)
{
    switch (status) {
    case BM_STORE_OK: return "ok";
    case BM_STORE_IO: return "the memory's card or file cannot be read or written";
    case BM_STORE_READ_ONLY: return "the memory's card or file is write-protected";
    case BM_STORE_MISSING: return "there is no memory store on the card or in the file";
    case BM_STORE_FOREIGN: return "the card or file holds something else than a memory store";
    case BM_STORE_NEWER: return "the memory store was written by a newer version";
    case BM_STORE_SHAPE: return "the memory store has rows of another number or width";
    case BM_STORE_MODEL: return "the memory store belongs to another model";
    case BM_STORE_SHORT: return "the card or file is too small for the memory store";
    case BM_STORE_DAMAGED: return "a block of the memory store is damaged";
    case BM_STORE_NO_COMMIT: return "no commit record of the memory store is whole";
    }
    return "unknown status";
}

static void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void put64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* ---- layout -------------------------------------------------------------------------------- */

static uint32_t plane_bytes(const bm_store *s)
{
    return ROW_GROUP * BM_STORE_ALIGN(s->width, 64u);
}

static uint32_t record_bytes(uint32_t slots)
{
    return RECORD_HEAD + BM_STORE_BITMAP(slots);
}

static uint64_t record_at(uint32_t slots, uint32_t sector, uint32_t place, uint32_t copy)
{
    return 2u * sector + (uint64_t)(copy * BM_STORE_RING + place) * BM_STORE_ALIGN(record_bytes(slots), sector);
}

/* Where home `home` of a block lies: high planes, low planes, states, each kind's first homes before its second. */
static uint64_t block_at(uint32_t slots, uint32_t width, uint32_t sector, uint32_t kind, uint32_t index, uint32_t home)
{
    const uint64_t groups = (slots + ROW_GROUP - 1u) / ROW_GROUP, states = (slots + BM_STORE_STATE_ROWS - 1u) / BM_STORE_STATE_ROWS;
    const uint64_t rows = BM_STORE_ALIGN(BM_STORE_ROWS_BYTES(width), sector), state = BM_STORE_ALIGN(BM_STORE_STATE_BYTES, sector);
    uint64_t at = record_at(slots, sector, 0, 2);
    if (kind == BM_STORE_HIGH) return at + (home * groups + index) * rows;
    at += 2u * groups * rows;
    if (kind == BM_STORE_LOW) return at + (home * groups + index) * rows;
    at += 2u * groups * rows;
    return at + (home * states + index) * state;
}

uint64_t bm_store_size(uint32_t slots, uint32_t width, uint32_t sector)
{
    return block_at(slots, width, sector, BM_STORE_STATE, 0, 2);
}

static uint64_t at_of(const bm_store *s, uint32_t kind, uint32_t index, uint32_t home)
{
    return block_at(s->slots, s->width, s->device->sector, kind, index, home);
}

static uint32_t payload_of(const bm_store *s, uint32_t kind)
{
    return kind == BM_STORE_STATE ? 8u * BM_STORE_STATE_ROWS : plane_bytes(s);
}

static uint32_t bit_of(const bm_store *s, uint32_t kind, uint32_t index)
{
    return kind == BM_STORE_STATE ? s->groups + index : index;
}

static uint32_t home_in(const uint8_t *map, uint32_t bit)
{
    return map[bit / 8u] >> bit % 8u & 1u;
}

/* ---- device -------------------------------------------------------------------------------- */

static int fail(bm_store *s, bm_store_status status, uint32_t kind, uint32_t index, uint32_t home)
{
    const bm_store_place place = {kind, index, home};
    s->status = status;
    s->bad = place;
    return -1;
}

static int read_now(bm_store *s, uint64_t at, void *to, uint32_t n)
{
    return s->device->fetch(s->device->context, at, to, n) || s->device->wait(s->device->context) ? -1 : 0;
}

static int write_out(bm_store *s, uint64_t at, const void *from, uint32_t n)
{
    s->written += n;
    s->writes++;
    return s->device->write(s->device->context, at, from, n);
}

static int sync_out(bm_store *s)
{
    s->syncs++;
    return s->device->sync(s->device->context);
}

/* ---- blocks -------------------------------------------------------------------------------- */

/* Is this the block that it should be? Its CRC is the last thing in it. */
static int whole(const bm_store *s, const uint8_t *bytes, uint32_t kind, uint32_t index)
{
    const uint32_t n = payload_of(s, kind);
    const uint8_t *t = bytes + n;
    return get32(t) == kind && get32(t + 4) == index && get64(t + 8) <= s->sequence && get32(t + 16) == s->slots &&
           get32(t + 28) == bm_crc32(0, bytes, n + 28u);
}

static uint32_t crc_of(const bm_store *s, const uint8_t *bytes, uint32_t kind)
{
    return get32(bytes + payload_of(s, kind) + 28u);
}

static uint32_t bytes_of(const bm_store *s, uint32_t kind)
{
    return kind == BM_STORE_STATE ? BM_STORE_STATE_BYTES : BM_STORE_ROWS_BYTES(s->width);
}

/* Seal a block with the sequence of the episode that is being written, and write it to one of its homes. */
static int write_block(bm_store *s, uint8_t *bytes, uint32_t kind, uint32_t index, uint32_t home)
{
    const uint32_t n = payload_of(s, kind), size = bytes_of(s, kind);
    uint8_t *t = bytes + n;
    memset(t, 0, size - n);
    put32(t, kind);
    put32(t + 4, index);
    put64(t + 8, s->sequence + 1u);
    put32(t + 16, s->slots);
    put32(t + 28, bm_crc32(0, bytes, n + 28u));
    s->next_sum += get32(t + 28);
    return write_out(s, at_of(s, kind, index, home), bytes, size) ? fail(s, BM_STORE_IO, kind, index, home) : 0;
}

static int begin_fetch(bm_store *s, bm_store_buffer *buffer, uint32_t kind, uint32_t index)
{
    const uint32_t home = home_in(s->live, bit_of(s, kind, index));
    buffer->index = index;
    buffer->checked = 0;
    if (s->device->fetch(s->device->context, at_of(s, kind, index, home), buffer->bytes, bytes_of(s, kind)) == 0) return 0;
    buffer->index = BM_STORE_NONE;
    return fail(s, BM_STORE_IO, kind, index, home);
}

static int check(bm_store *s, bm_store_buffer *buffer, uint32_t kind)
{
    if (buffer->checked) return 0;
    if (!whole(s, buffer->bytes, kind, buffer->index)) {
        const uint32_t index = buffer->index;
        buffer->index = BM_STORE_NONE;
        return fail(s, BM_STORE_DAMAGED, kind, index, home_in(s->live, bit_of(s, kind, index)));
    }
    buffer->checked = 1;
    return 0;
}

static void forget(bm_store *s)
{
    for (int i = 0; i < 2; i++) s->rows[i].index = s->state[i].index = BM_STORE_NONE;
}

/* ---- the tier ------------------------------------------------------------------------------ */

static void show(bm_store *s, uint32_t block, const uint8_t *high, const uint8_t *low, bm_store_buffer *state, bm_block_rows *rows)
{
    const uint32_t first = block % GROUPS_PER_STATE * ROW_GROUP, left = s->slots - block * ROW_GROUP;
    rows->high = (int8_t *)(uintptr_t)high;
    rows->low = (int8_t *)(uintptr_t)low;
    rows->scales = (float *)(void *)state->bytes + first;
    rows->usage = (uint32_t *)(void *)state->bytes + BM_STORE_STATE_ROWS + first;
    rows->n = left < ROW_GROUP ? left : ROW_GROUP;
}

/* The block, and the next one on its way into the other buffers. */
static int get_to_read(bm_store *s, uint32_t block, bm_block_rows *rows)
{
    const uint32_t state = block / GROUPS_PER_STATE, next = block + 1u;
    bm_store_buffer *r = s->rows + block % 2u, *t = s->state + state % 2u;
    if (r->index != block && begin_fetch(s, r, BM_STORE_HIGH, block)) return -1;
    if (t->index != state && begin_fetch(s, t, BM_STORE_STATE, state)) return -1;
    if (s->device->wait(s->device->context)) {
        forget(s);
        return fail(s, BM_STORE_IO, BM_STORE_HIGH, block, home_in(s->live, block));
    }
    if (check(s, r, BM_STORE_HIGH) || check(s, t, BM_STORE_STATE)) return -1;
    if (next < s->groups) {
        bm_store_buffer *r2 = s->rows + next % 2u, *t2 = s->state + next / GROUPS_PER_STATE % 2u;
        if (r2->index != next && begin_fetch(s, r2, BM_STORE_HIGH, next)) return -1;
        if (t2->index != next / GROUPS_PER_STATE && begin_fetch(s, t2, BM_STORE_STATE, next / GROUPS_PER_STATE)) return -1;
    }
    show(s, block, r->bytes, NULL, t, rows);
    return 0;
}

/* Write the state block that was changed, if there is one. */
static int flush_state(bm_store *s)
{
    if (s->changed == BM_STORE_NONE) return 0;
    const uint32_t index = s->changed, bit = bit_of(s, BM_STORE_STATE, index), home = 1u - home_in(s->live, bit);
    s->changed = BM_STORE_NONE;
    s->next_sum -= s->old_crc;
    s->next[bit / 8u] = (uint8_t)(s->next[bit / 8u] ^ 1u << bit % 8u);
    s->state[0].index = BM_STORE_NONE;
    return write_block(s, s->state[0].bytes, BM_STORE_STATE, index, home);
}

/* The block with both planes, in both buffers of rows, and its state in the first. */
static int get_to_change(bm_store *s, uint32_t block, bm_block_rows *rows)
{
    const uint32_t state = block / GROUPS_PER_STATE;
    if (s->device->wait(s->device->context)) return fail(s, BM_STORE_IO, BM_STORE_HIGH, block, 0);
    if (s->changed != BM_STORE_NONE && s->changed != state && flush_state(s)) return -1;
    s->rows[0].index = s->rows[1].index = s->state[1].index = BM_STORE_NONE;
    if (begin_fetch(s, s->rows, BM_STORE_HIGH, block) || begin_fetch(s, s->rows + 1, BM_STORE_LOW, block)) return -1;
    if (s->device->wait(s->device->context)) return fail(s, BM_STORE_IO, BM_STORE_HIGH, block, home_in(s->live, block));
    if (s->changed != state && (begin_fetch(s, s->state, BM_STORE_STATE, state) || s->device->wait(s->device->context)))
        return fail(s, BM_STORE_IO, BM_STORE_STATE, state, home_in(s->live, bit_of(s, BM_STORE_STATE, state)));
    if (check(s, s->rows, BM_STORE_HIGH) || check(s, s->rows + 1, BM_STORE_LOW)) return -1;
    if (s->changed != state) {
        if (check(s, s->state, BM_STORE_STATE)) return -1;
        s->old_crc = crc_of(s, s->state[0].bytes, BM_STORE_STATE);
    }
    show(s, block, s->rows[0].bytes, s->rows[1].bytes, s->state, rows);
    s->rows[0].index = s->rows[1].index = BM_STORE_NONE;       /* the planes are not what a read expects there */
    return 0;
}

static bm_status tier_get(void *context, uint32_t block, int how, bm_block_rows *rows)
{
    bm_store *s = context;
    if (s->lost) return BM_ERR_MEMORY;
    return (how == BM_TIER_READ ? get_to_read : get_to_change)(s, block, rows) ? BM_ERR_MEMORY : BM_OK;
}

static bm_status tier_put(void *context, uint32_t block, int rows_changed)
{
    bm_store *s = context;
    const uint32_t home = 1u - home_in(s->live, block);
    if (!s->writing) return BM_ERR_MEMORY;
    s->changed = block / GROUPS_PER_STATE;
    if (!rows_changed) return BM_OK;
    s->next_sum -= crc_of(s, s->rows[0].bytes, BM_STORE_HIGH) + crc_of(s, s->rows[1].bytes, BM_STORE_LOW);
    s->next[block / 8u] = (uint8_t)(s->next[block / 8u] ^ 1u << block % 8u);
    return write_block(s, s->rows[0].bytes, BM_STORE_HIGH, block, home) || write_block(s, s->rows[1].bytes, BM_STORE_LOW, block, home)
               ? BM_ERR_MEMORY : BM_OK;
}

static bm_status tier_begin(void *context)
{
    bm_store *s = context;
    if (s->device->read_only) fail(s, BM_STORE_READ_ONLY, BM_STORE_HEADER, 0, 0);
    if (s->device->read_only || s->lost) return BM_ERR_MEMORY;
    memcpy(s->next, s->live, BM_STORE_BITMAP(s->slots));
    s->next_sum = s->sum;
    s->changed = BM_STORE_NONE;
    s->writing = 1;
    s->written = s->writes = s->syncs = 0;
    return BM_OK;
}

/* ---- header and commit record -------------------------------------------------------------- */

static void make_header(const bm_store *s, uint8_t *h)
{
    memset(h, 0, BM_STORE_UNIT);
    memcpy(h, "BMMS", 4);
    put32(h + 4, BM_STORE_VERSION);
    put32(h + 8, s->slots);
    put32(h + 12, s->width);
    put32(h + 16, s->device->sector);
    put32(h + 20, BM_STORE_RING);
    memcpy(h + 24, s->digest, 32);
    put64(h + 56, bm_store_size(s->slots, s->width, s->device->sector));
    put32(h + 64, bm_crc32(0, h, 64));
}

static int write_headers(bm_store *s, uint8_t *buffer)
{
    make_header(s, buffer);
    for (uint32_t copy = 0; copy < 2u; copy++)
        if (write_out(s, (uint64_t)copy * s->device->sector, buffer, BM_STORE_UNIT)) return fail(s, BM_STORE_IO, BM_STORE_HEADER, 0, copy);
    return 0;
}

/* Both copies of the record for sequence + 1, in the next place of the ring. */
static int write_records(bm_store *s, uint8_t *buffer)
{
    const uint32_t n = record_bytes(s->slots), place = (uint32_t)((s->sequence + 1u) % BM_STORE_RING);
    memset(buffer, 0, BM_STORE_STATE_BYTES);
    memcpy(buffer, "BMMC", 4);
    put64(buffer + 8, s->sequence + 1u);
    put32(buffer + 16, s->next_sum);
    put32(buffer + 20, n);
    memcpy(buffer + RECORD_HEAD, s->next, BM_STORE_BITMAP(s->slots));
    put32(buffer + 4, bm_crc32(0, buffer + 8, n - 8u));
    for (uint32_t copy = 0; copy < 2u; copy++)
        if (write_out(s, record_at(s->slots, s->device->sector, place, copy), buffer, BM_STORE_ALIGN(n, BM_STORE_UNIT)))
            return fail(s, BM_STORE_IO, BM_STORE_RECORD, place, copy);
    return 0;
}

/* The data first, and safely there; then the record that makes it count. */
static int commit(bm_store *s)
{
    uint8_t *buffer = s->state[1].bytes;
    s->state[1].index = BM_STORE_NONE;
    if (flush_state(s)) return -1;
    if ((s->weak & 3u) && write_headers(s, buffer)) return -1;
    if (sync_out(s)) return fail(s, BM_STORE_IO, BM_STORE_RECORD, 0, 0);
    if (write_records(s, buffer) || sync_out(s)) {
        s->lost = 1;                             /* it may be there or not */
        return fail(s, BM_STORE_IO, BM_STORE_RECORD, 0, 0);
    }
    memcpy(s->live, s->next, BM_STORE_BITMAP(s->slots));
    s->sum = s->next_sum;
    s->sequence++;
    s->weak = 0;
    forget(s);
    return 0;
}

static bm_status tier_commit(void *context)
{
    bm_store *s = context;
    const int bad = !s->writing || commit(s);
    s->writing = 0;
    return bad ? BM_ERR_MEMORY : BM_OK;
}

bm_tier bm_store_tier(bm_store *s)
{
    const bm_tier tier = {tier_get, tier_put, tier_begin, tier_commit, s};
    return tier;
}

/* ---- mounting ------------------------------------------------------------------------------ */

static void lay_out(bm_store *s, const bm_device *device, uint32_t slots, uint32_t width, void *work)
{
    uint8_t *next = work;
    memset(s, 0, sizeof *s);
    s->device = device;
    s->slots = slots;
    s->width = width;
    s->groups = (slots + ROW_GROUP - 1u) / ROW_GROUP;
    s->states = (slots + BM_STORE_STATE_ROWS - 1u) / BM_STORE_STATE_ROWS;
    for (int i = 0; i < 2; i++, next += BM_STORE_ROWS_BYTES(width)) s->rows[i].bytes = next;
    for (int i = 0; i < 2; i++, next += BM_STORE_STATE_BYTES) s->state[i].bytes = next;
    s->live = next;
    s->next = next + BM_STORE_BITMAP(slots);
    s->changed = BM_STORE_NONE;
    forget(s);
}

/* What is wrong with a header; BM_STORE_MISSING for one that was never written. */
static bm_store_status judge_header(const bm_store *s, const uint8_t *h, const uint8_t *digest)
{
    uint32_t blank = 1;
    for (uint32_t i = 1; i < BM_STORE_UNIT; i++) blank &= h[i] == h[0];
    if (blank && (h[0] == 0 || h[0] == 0xFF)) return BM_STORE_MISSING;
    if (memcmp(h, "BMMS", 4) != 0) return BM_STORE_FOREIGN;
    if (get32(h + 64) != bm_crc32(0, h, 64)) return BM_STORE_DAMAGED;
    if (get32(h + 4) != BM_STORE_VERSION) return BM_STORE_NEWER;
    if (get32(h + 8) != s->slots || get32(h + 12) != s->width || get32(h + 16) != s->device->sector || get32(h + 20) != BM_STORE_RING)
        return BM_STORE_SHAPE;
    if (digest && memcmp(h + 24, digest, 32) != 0) return BM_STORE_MODEL;
    return get64(h + 56) > s->device->size ? BM_STORE_SHORT : BM_STORE_OK;
}

/* One good copy is enough; a bad one beside it is remembered and mended with the next commit. */
static bm_store_status read_header(bm_store *s, const uint8_t *digest)
{
    bm_store_status found[2];
    for (uint32_t copy = 0; copy < 2u; copy++) {
        uint8_t *h = s->rows[copy].bytes;
        if (s->device->size < 2u * (uint64_t)s->device->sector) return BM_STORE_MISSING;
        if (read_now(s, (uint64_t)copy * s->device->sector, h, BM_STORE_UNIT)) return BM_STORE_IO;
        found[copy] = judge_header(s, h, digest);
    }
    for (uint32_t copy = 0; copy < 2u; copy++) {
        if (found[copy] == BM_STORE_DAMAGED || found[copy] == BM_STORE_MISSING || found[copy] == BM_STORE_FOREIGN) continue;
        memcpy(s->digest, s->rows[copy].bytes + 24, 32);
        if (found[1u - copy] != found[copy]) s->weak |= 2u >> copy;
        return found[copy];
    }
    return found[0] == BM_STORE_DAMAGED ? found[0] : found[1] == BM_STORE_DAMAGED ? found[1] : found[0];
}

/* The newest whole record, and which of its copies are whole. */
static bm_store_status read_records(bm_store *s)
{
    const uint32_t n = record_bytes(s->slots);
    uint8_t *buffer = s->state[0].bytes;
    uint32_t copies = 0;
    for (uint32_t i = 0; i < 2u * BM_STORE_RING; i++) {
        const uint32_t place = i % BM_STORE_RING, copy = i / BM_STORE_RING;
        if (read_now(s, record_at(s->slots, s->device->sector, place, copy), buffer, BM_STORE_ALIGN(n, BM_STORE_UNIT))) return BM_STORE_IO;
        const uint64_t sequence = get64(buffer + 8);
        if (memcmp(buffer, "BMMC", 4) != 0 || get32(buffer + 4) != bm_crc32(0, buffer + 8, n - 8u) || sequence % BM_STORE_RING != place ||
            sequence < s->sequence || sequence == 0)
            continue;
        copies = sequence > s->sequence ? 1u << copy : copies | 1u << copy;
        s->sequence = sequence;
        s->sum = get32(buffer + 16);
        memcpy(s->live, buffer + RECORD_HEAD, BM_STORE_BITMAP(s->slots));
    }
    s->weak |= (3u & ~copies) << 2;
    return s->sequence ? BM_STORE_OK : BM_STORE_NO_COMMIT;
}

bm_store_status bm_store_mount(bm_store *s, const bm_device *device, uint32_t slots, uint32_t width, const uint8_t *digest, void *work)
{
    lay_out(s, device, slots, width, work);
    s->status = read_header(s, digest);
    if (s->status == BM_STORE_OK) s->status = read_records(s);
    s->lost = s->status != BM_STORE_OK;
    forget(s);
    return s->status;
}

/* One block of the new store, in its first home. */
static int create_group(bm_store *s, const bm_tier *from, uint32_t block)
{
    bm_block_rows r;
    uint8_t *high = s->rows[0].bytes, *low = s->rows[1].bytes;
    float *scales = (float *)(void *)s->state[0].bytes + block % GROUPS_PER_STATE * ROW_GROUP;
    uint32_t *usage = (uint32_t *)(void *)scales + BM_STORE_STATE_ROWS;
    const uint32_t stride = BM_STORE_ALIGN(s->width, 64u);
    if (from->get(from->context, block, BM_TIER_CHANGE, &r) != BM_OK) return -1;
    if (block % GROUPS_PER_STATE == 0) memset(s->state[0].bytes, 0, BM_STORE_STATE_BYTES);
    memset(high, 0, plane_bytes(s));
    memset(low, 0, plane_bytes(s));
    for (uint32_t i = 0; i < r.n; i++) {
        memcpy(high + i * stride, r.high + i * stride, s->width);
        memcpy(low + i * stride, r.low + i * stride, s->width);
    }
    memcpy(scales, r.scales, r.n * sizeof *scales);
    memcpy(usage, r.usage, r.n * sizeof *usage);
    if (write_block(s, high, BM_STORE_HIGH, block, 0) || write_block(s, low, BM_STORE_LOW, block, 0)) return -1;
    if (block % GROUPS_PER_STATE != GROUPS_PER_STATE - 1u && block + 1u < s->groups) return 0;
    return write_block(s, s->state[0].bytes, BM_STORE_STATE, block / GROUPS_PER_STATE, 0);
}

/* An old store must not come back to life while a new one is written over it: its headers and records go first. */
static int erase_old(bm_store *s)
{
    uint8_t *zeros = s->state[1].bytes;
    memset(zeros, 0, BM_STORE_STATE_BYTES);
    for (uint64_t at = 0; at < block_at(s->slots, s->width, s->device->sector, BM_STORE_HIGH, 0, 0); at += BM_STORE_UNIT)
        if (write_out(s, at, zeros, BM_STORE_UNIT)) return -1;
    return sync_out(s);
}

bm_store_status bm_store_create(bm_store *s, const bm_device *device, uint32_t slots, uint32_t width, const uint8_t *digest,
                                const bm_tier *rows, void *work)
{
    lay_out(s, device, slots, width, work);
    memcpy(s->digest, digest, 32);
    if (device->read_only) return s->status = BM_STORE_READ_ONLY;
    if (device->size < bm_store_size(slots, width, device->sector)) return s->status = BM_STORE_SHORT;
    memset(s->next, 0, BM_STORE_BITMAP(slots));
    int bad = erase_old(s);
    for (uint32_t block = 0; block < s->groups && !bad; block++) bad = create_group(s, rows, block);
    bad = bad || sync_out(s) || write_records(s, s->state[1].bytes) || write_headers(s, s->state[1].bytes) || sync_out(s);
    return bad ? s->status = BM_STORE_IO : bm_store_mount(s, device, slots, width, digest, work);
}

static uint32_t verify_block(bm_store *s, uint32_t kind, uint32_t index, uint32_t *sum, void (*found)(void *, const bm_store_place *),
                             void *context)
{
    const bm_store_place place = {kind, index, home_in(s->live, bit_of(s, kind, index))};
    uint8_t *bytes = kind == BM_STORE_STATE ? s->state[0].bytes : s->rows[0].bytes;
    if (read_now(s, at_of(s, kind, index, place.home), bytes, bytes_of(s, kind)) == 0 && whole(s, bytes, kind, index)) {
        *sum += crc_of(s, bytes, kind);
        return 0;
    }
    if (found) found(context, &place);
    return 1;
}

uint32_t bm_store_verify(bm_store *s, void (*found)(void *context, const bm_store_place *place), void *context)
{
    uint32_t damaged = 0, sum = 0;
    s->device->wait(s->device->context);
    forget(s);
    for (uint32_t i = 0; i < 4u; i++) {
        const bm_store_place place = {i < 2u ? BM_STORE_HEADER : BM_STORE_RECORD, (uint32_t)(s->sequence % BM_STORE_RING), i % 2u};
        if (!(s->weak >> i & 1u)) continue;
        damaged++;
        if (found) found(context, &place);
    }
    for (uint32_t i = 0; i < s->groups; i++) {
        damaged += verify_block(s, BM_STORE_HIGH, i, &sum, found, context);
        damaged += verify_block(s, BM_STORE_LOW, i, &sum, found, context);
    }
    for (uint32_t i = 0; i < s->states; i++) damaged += verify_block(s, BM_STORE_STATE, i, &sum, found, context);
    if (damaged == 0 && sum != s->sum) {
        const bm_store_place place = {BM_STORE_RECORD, (uint32_t)(s->sequence % BM_STORE_RING), 0};
        damaged++;
        if (found) found(context, &place);
    }
    return damaged;
}
