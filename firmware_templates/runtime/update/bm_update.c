/* SPDX-License-Identifier: MIT-0 */
#include "bm_update.h"

#include <string.h>

#include "bm_bytes.h"
#include "bm_crc32.h"
#include "bm_protocol.h"
#include "bm_sha256.h"

/* A record: "BMUR", version, sequence, 0; then the slots; CRC-32 of all before it. */
#define FORMAT 1u
#define SLOT_AT(i) (16u + (uint32_t)(i) * (16u + BM_UPDATE_HEAD))
#define CRC_AT SLOT_AT(2)

static const uint8_t *head_of(const bm_update *u, uint32_t area) { return u->slot[area - 1u].head; }

static uint32_t blob_room(const uint8_t *head)
{ return bm_update_filled(bm_get_u32(head + BM_UPDATE_BLOB_AT)); }

static uint32_t all_of(const uint8_t *head)
{ return blob_room(head) + bm_update_filled(bm_get_u32(head + BM_UPDATE_PROOF_AT)); }

/* -- the record -------------------------------------------------------------------------------- */

static int read_record(bm_update *u, uint32_t place, uint32_t *sequence)
{
    uint8_t *p = u->unit;
    if (u->device.read(u->device.context, BM_UPDATE_RECORDS, place * BM_UPDATE_UNIT, p, CRC_AT + 4u) != 0)
        return 0;
    if (memcmp(p, "BMUR", 4) != 0 || bm_get_u32(p + 4) != FORMAT) return 0;
    if (bm_get_u32(p + CRC_AT) != bm_crc32(0, p, CRC_AT)) return 0;
    *sequence = bm_get_u32(p + 8);
    return *sequence % 2u == place;
}

static void take_record(bm_update *u)
{
    u->sequence = bm_get_u32(u->unit + 8);
    for (uint32_t i = 0; i < 2; i++) {
        const uint8_t *p = u->unit + SLOT_AT(i);
        bm_slot *s = &u->slot[i];
        s->state = p[0];
        s->tries = p[1];
        s->received = bm_get_u32(p + 4);
        s->order = bm_get_u32(p + 8);
        memcpy(s->head, p + 16, sizeof s->head);
    }
}

/* One write makes everything in u->slot hold. */
static int write_record(bm_update *u)
{
    uint8_t *p = u->unit;
    if (!u->device.write) return -1;
    memset(p, 0, sizeof u->unit);
    memcpy(p, "BMUR", 4);
    bm_put_u32(p + 4, FORMAT);
    bm_put_u32(p + 8, u->sequence + 1u);
    for (uint32_t i = 0; i < 2; i++) {
        const bm_slot *s = &u->slot[i];
        uint8_t *q = p + SLOT_AT(i);
        q[0] = s->state;
        q[1] = s->tries;
        bm_put_u32(bm_put_u32(q + 4, s->received), s->order);
        memcpy(q + 16, s->head, sizeof s->head);
    }
    bm_put_u32(p + CRC_AT, bm_crc32(0, p, CRC_AT));
    if (u->device.write(u->device.context, BM_UPDATE_RECORDS, (u->sequence + 1u) % 2u * BM_UPDATE_UNIT, p) !=
        0)
        return -1;
    u->sequence++;
    return 0;
}

/* What a write that failed left behind is not known: take the newest record that can be read. */
static void reload(bm_update *u)
{
    uint32_t s[2] = {0, 0};
    const int whole[2] = {read_record(u, 0, &s[0]), read_record(u, 1, &s[1])};
    u->sequence = 0;
    memset(u->slot, 0, sizeof u->slot);
    if (!whole[0] && !whole[1]) return;
    const uint32_t newest = whole[0] && whole[1] ? (int32_t)(s[1] - s[0]) > 0 : (uint32_t)whole[1];
    if (read_record(u, newest, &s[newest])) take_record(u);
}

static int note(bm_update *u)
{
    if (write_record(u) == 0) return 0;
    reload(u);
    return -1;
}

void bm_update_open(bm_update *u, const bm_update_device *device, const uint8_t *build, uint32_t blob_bytes)
{
    memset(u, 0, sizeof *u);
    u->device = *device;
    u->build = build;
    u->blob_bytes = blob_bytes;
    reload(u);
}

/* -- what runs --------------------------------------------------------------------------------- */

/* The head is from who has the key, and so is what its hash says. */
static int is_signed(const bm_update *u, const uint8_t *head)
{
    const uint32_t n = bm_get_u32(head + BM_UPDATE_SIGNATURE_AT);
    uint8_t digest[32];
    bm_sha256 sha;
    if (!u->device.verify) return 1;
    if (n == 0 || n > BM_UPDATE_SIGNATURE_ROOM) return 0;
    bm_sha256_begin(&sha);
    bm_sha256_add(&sha, head, BM_UPDATE_SIGNATURE_AT);
    bm_sha256_end(&sha, digest);
    return u->device.verify(digest, head + BM_UPDATE_SIGNATURE_AT + 4u, n) == 1;
}

/* A head that this firmware can run: of an older program that had another shape or key, none is. */
static int32_t check_head(const bm_update *u, const uint8_t *head)
{
    const uint32_t proof = bm_get_u32(head + BM_UPDATE_PROOF_AT);
    if (memcmp(head, "BMUP", 4) != 0 ||
        bm_get_u32(head + BM_UPDATE_CRC_AT) != bm_crc32(0, head, BM_UPDATE_CRC_AT))
        return BM_RESULT_DAMAGED;
    if (bm_get_u32(head + BM_UPDATE_VERSION_AT) != 1u ||
        memcmp(head + BM_UPDATE_BUILD_AT, u->build, 32) != 0 ||
        bm_get_u32(head + BM_UPDATE_BLOB_AT) != u->blob_bytes)
        return BM_RESULT_OTHER_BUILD;
    if (proof > u->device.slot_bytes || blob_room(head) > u->device.slot_bytes ||
        all_of(head) > u->device.slot_bytes)
        return BM_RESULT_NO_ROOM;
    return is_signed(u, head) ? 0 : BM_RESULT_UNSIGNED;
}

/* The slot to try next, or the factory's model. */
static uint32_t candidate(const bm_update *u)
{
    uint32_t best = BM_UPDATE_FACTORY;
    for (uint32_t area = BM_UPDATE_A; area <= BM_UPDATE_B; area++) {
        const bm_slot *s = &u->slot[area - 1u];
        if (s->state != BM_SLOT_GOOD && (s->state != BM_SLOT_TRIAL || !u->device.write)) continue;
        if (check_head(u, s->head) != 0) continue;
        if (best == BM_UPDATE_FACTORY || (int32_t)(s->order - u->slot[best - 1u].order) > 0) best = area;
    }
    return best;
}

/* A model on trial takes a try before it is started, so that one that hangs or crashes comes to an end. */
static int count_try(bm_update *u, bm_slot *s)
{
    if (s->tries >= BM_UPDATE_TRIES) s->state = BM_SLOT_FAILED;
    else s->tries++;
    return note(u);
}

uint32_t bm_update_start(bm_update *u, bm_update_try attempt, void *context)
{
    for (;;) {
        const uint32_t area = candidate(u);
        u->running = area;
        if (area == BM_UPDATE_FACTORY) return area;
        bm_slot *s = &u->slot[area - 1u];
        const int trial = s->state == BM_SLOT_TRIAL;
        if (trial && count_try(u, s) != 0)
            u->device.write = NULL; /* nothing new is tried without a note of it */
        if (trial && (!u->device.write || s->state != BM_SLOT_TRIAL)) continue;
        const int bad = attempt(context, area, s, trial);
        if (bad < 0) return u->running = BM_UPDATE_FACTORY;
        if (!bad && !trial) return area;
        s->state = bad ? BM_SLOT_FAILED : BM_SLOT_GOOD;
        const int noted = note(u);
        if (!bad) return area; /* it runs; without a note it proves itself again */
        if (noted != 0) s->state = BM_SLOT_FAILED; /* for this start */
    }
}

/* -- requests ---------------------------------------------------------------------------------- */

static bm_slot *target(bm_update *u) { return &u->slot[u->running == BM_UPDATE_A ? 1 : 0]; }

static uint32_t target_area(const bm_update *u)
{ return u->running == BM_UPDATE_A ? BM_UPDATE_B : BM_UPDATE_A; }

int32_t bm_update_begin(bm_update *u, const uint8_t *head, uint32_t n, uint32_t *value)
{
    bm_slot *s = target(u);
    *value = 0;
    if (n != BM_UPDATE_HEAD) return BM_RESULT_MALFORMED;
    const int32_t bad = check_head(u, head);
    if (bad) return bad;
    if (!u->device.write) return BM_RESULT_UNABLE;
    if (memcmp(s->head, head, BM_UPDATE_HEAD) == 0 && s->state >= BM_SLOT_RECEIVING &&
        s->state <= BM_SLOT_TRIAL) {
        *value = s->received;
        return 0;
    }
    memset(s, 0, sizeof *s);
    s->state = BM_SLOT_RECEIVING;
    memcpy(s->head, head, BM_UPDATE_HEAD);
    return note(u) == 0 ? 0 : BM_RESULT_STORAGE;
}

int32_t bm_update_block(
    bm_update *u, uint32_t offset, uint32_t crc, const uint8_t *data, uint32_t n, uint32_t *value)
{
    bm_slot *s = target(u);
    *value = s->received;
    if (s->state != BM_SLOT_RECEIVING || n != BM_UPDATE_UNIT) return BM_RESULT_MALFORMED;
    if (!u->device.write) return BM_RESULT_UNABLE;
    if (bm_crc32(0, data, n) != crc) return BM_RESULT_DAMAGED;
    if (offset != s->received || offset >= all_of(s->head)) return 0; /* the value says what is awaited */
    if (u->device.write(u->device.context, target_area(u), offset, data) != 0) return BM_RESULT_STORAGE;
    s->received += BM_UPDATE_UNIT;
    *value = s->received;
    if (s->received / BM_UPDATE_UNIT % BM_UPDATE_NOTED == 0 && note(u) != 0) return BM_RESULT_STORAGE;
    return 0;
}

int bm_update_whole(bm_update *u, uint32_t area)
{
    const uint8_t *head = head_of(u, area);
    uint8_t digest[32];
    bm_sha256 sha;
    bm_sha256_begin(&sha);
    for (uint32_t at = 0, all = all_of(head); at < all; at += BM_UPDATE_UNIT) {
        if (u->device.read(u->device.context, area, at, u->unit, BM_UPDATE_UNIT) != 0) return 0;
        bm_sha256_add(&sha, u->unit, BM_UPDATE_UNIT);
    }
    bm_sha256_end(&sha, digest);
    return memcmp(digest, head + BM_UPDATE_HASH_AT, sizeof digest) == 0;
}

int32_t bm_update_finish(bm_update *u, uint32_t *value)
{
    bm_slot *s = target(u);
    *value = s->received;
    if (s->state == BM_SLOT_COMPLETE || s->state == BM_SLOT_TRIAL) return 0;
    if (s->state != BM_SLOT_RECEIVING || s->received != all_of(s->head)) return BM_RESULT_MALFORMED;
    if (!bm_update_whole(u, target_area(u))) {
        s->received = *value = 0; /* all of it comes again */
        return note(u) == 0 ? BM_RESULT_DAMAGED : BM_RESULT_STORAGE;
    }
    s->state = BM_SLOT_COMPLETE;
    return note(u) == 0 ? 0 : BM_RESULT_STORAGE;
}

int32_t bm_update_activate(bm_update *u, uint32_t *value)
{
    bm_slot *s = target(u);
    *value = s->received;
    if (s->state == BM_SLOT_TRIAL) return 0;
    if (s->state != BM_SLOT_COMPLETE) return BM_RESULT_MALFORMED;
    s->state = BM_SLOT_TRIAL; /* no try was counted since bm_update_begin */
    s->order = u->sequence + 1u;
    return note(u) == 0 ? 0 : BM_RESULT_STORAGE;
}
