/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's host that brings updates: messages of one package, mostly the one that is due, often damaged, out of order or cut
 * off; and the device's storage. The package holds the very model that the program has.
 */
#ifndef LINK_FUZZ_UPDATE_H
#define LINK_FUZZ_UPDATE_H

#include "bm_bytes.h"
#include "bm_update.h"

#define UNIT BM_UPDATE_UNIT
#define BLOB_ROOM ((BM_BLOB_BYTES + UNIT - 1u) / UNIT * UNIT)
#define ALL (BLOB_ROOM + UNIT)

static uint8_t area[BM_UPDATE_AREAS][ALL] __attribute__((aligned(64)));
static uint8_t package[ALL], head[BM_UPDATE_HEAD];
static bm_update update;
static unsigned long blocks, tried, bad_states;

static uint32_t draw(void);

static int area_read(void *context, uint32_t a, uint32_t offset, void *to, uint32_t n)
{
    (void)context;
    memcpy(to, area[a] + offset, n);
    return 0;
}

static int area_write(void *context, uint32_t a, uint32_t offset, const void *unit)
{
    (void)context;
    if (offset % UNIT || offset + UNIT > ALL || (a != BM_UPDATE_RECORDS && a == update.running)) abort();
    memcpy(area[a] + offset, unit, UNIT);
    blocks += a != BM_UPDATE_RECORDS;
    return 0;
}

static void update_seal(uint8_t *h) { bm_put_u32(h + BM_UPDATE_CRC_AT, bm_crc32(0, h, BM_UPDATE_CRC_AT)); }

static void update_make(const uint8_t *blob)
{
    static const uint8_t build[32] = BM_UPDATE_BUILD, digest[32] = BM_MODEL_DIGEST;
    bm_sha256 sha;
    memcpy(package, blob, BM_BLOB_BYTES);
    memcpy(package + BLOB_ROOM, "BMPV", 4);
    memcpy(head, "BMUP", 4);
    bm_put_u32(head + BM_UPDATE_VERSION_AT, 1);
    bm_put_u32(head + BM_UPDATE_BLOB_AT, BM_BLOB_BYTES);
    bm_put_u32(head + BM_UPDATE_PROOF_AT, 16);
    memcpy(head + BM_UPDATE_BUILD_AT, build, sizeof build);
    memcpy(head + BM_UPDATE_MODEL_AT, digest, sizeof digest);
    bm_sha256_begin(&sha);
    bm_sha256_add(&sha, package, sizeof package);
    bm_sha256_end(&sha, head + BM_UPDATE_HASH_AT);
    update_seal(head);
}

/* What is called whole is the package. */
static int update_attempt(void *context, uint32_t a, const bm_slot *slot, int proof)
{
    (void)context;
    (void)slot;
    if (proof && !bm_update_whole(&update, a)) return 1;
    tried += (unsigned)proof;
    bad_states += memcmp(area[a], package, sizeof package) != 0;
    return bad_states != 0;
}

/* Start the device: the area that runs. */
static uint32_t update_boot(void)
{
    static const bm_update_device device = {NULL, area_read, area_write, ALL, NULL};
    static const uint8_t build[32] = BM_UPDATE_BUILD;
    bm_update_open(&update, &device, build, BM_BLOB_BYTES);
    return bm_update_start(&update, update_attempt, NULL);
}

static void update_damage(uint8_t *p, uint32_t n)
{
    for (uint32_t i = 1u + draw() % 3u; i && n; i--) p[draw() % n] ^= (uint8_t)(1u << draw() % 8u);
}

/* Payload of a message, [8 + UNIT + 16]; its number and length. */
static uint8_t update_payload(uint8_t *p, uint32_t *n)
{
    const bm_slot *s = &update.slot[update.running == BM_UPDATE_A ? 1 : 0];
    const uint32_t what = draw() % 32u, how = draw() % 16u;
    uint32_t at = s->received, crc;
    *n = draw() % 16u ? 0u : draw() % 16u;
    memset(p, 0, 16);
    if (what == 0) return BM_MESSAGE_UPDATE_STATUS;
    if (what == 1 || s->state < BM_SLOT_RECEIVING || s->state > BM_SLOT_TRIAL) {
        *n = how ? BM_UPDATE_HEAD : draw() % 300u;
        memcpy(p, head, BM_UPDATE_HEAD);
        if (how == 1 || how == 2) update_damage(p, BM_UPDATE_HEAD);
        if (how == 2) update_seal(p);
        return BM_MESSAGE_UPDATE_BEGIN;
    }
    if (what == 2 || (s->received == ALL && s->state == BM_SLOT_RECEIVING && how > 3))
        return BM_MESSAGE_UPDATE_FINISH;
    if (what == 3 || s->state != BM_SLOT_RECEIVING) return BM_MESSAGE_UPDATE_ACTIVATE;
    *n = 8u + (how == 3 ? draw() % (UNIT + 16u) : UNIT);
    if (how == 4) at = draw();
    if (how == 5) at = draw() % (ALL / UNIT + 1u) * UNIT;
    memcpy(p + 8, package + (at < ALL ? at / UNIT * UNIT : 0), UNIT);
    crc = bm_crc32(0, p + 8, UNIT);
    if (how == 6) crc ^= 1u << draw() % 32u;
    if (how == 7) update_damage(p + 8, UNIT);
    if (how == 8 && draw() % 64u == 0)
        update_damage(p + 8, UNIT), crc = bm_crc32(0, p + 8, UNIT); /* what no CRC finds */
    bm_put_u32(bm_put_u32(p, at), crc);
    if (how == 9) *n = draw() % 8u;
    return BM_MESSAGE_UPDATE_BLOCK;
}

#endif
