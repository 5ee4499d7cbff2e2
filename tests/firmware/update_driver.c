/* SPDX-License-Identifier: Apache-2.0 */
/* Updates of a model on simulated storage that loses power, and messages that are damaged.
 *
 *   update_driver cuts UPDATES SEED        the power is cut at every write of every update, and again while it recovers
 *   update_driver messages COUNT SEED      damaged, doubled, missing and foreign messages, with restarts and cuts among them
 *   update_driver signed COUNT SEED        the same on a device that wants a signature, and messages of one who has no key
 *
 * Whatever comes: what runs is whole, and one of the models that were sent whole; never neither. Prints what was counted; exit
 * status 1 at the first bad state.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_bytes.h"
#include "bm_crc32.h"
#include "bm_protocol.h"
#include "bm_sha256.h"
#include "bm_update.h"

#define UNIT BM_UPDATE_UNIT
#define BLOB (3u * UNIT - 100u) /* built with BM_UPDATE_NOTED 2: the record is written on the way */
#define PROOF 60u
#define ALL (4u * UNIT)
#define FORGED 0x8000u /* numbers of models that nobody signed */

static uint8_t area[BM_UPDATE_AREAS][ALL]; /* the storage */
static uint8_t build[32], packages[2][ALL], heads[2][BM_UPDATE_HEAD];
static uint8_t *package = packages[0], *head = heads[0]; /* what is sent: the owner's, or another's */
static uint64_t seed;
static unsigned long writes, cut_at, cuts, starts, bad_states, crashes;
static int dead;                 /* the power is off */
static uint32_t crcs[1u << 16];  /* of the packages, by number */

static uint32_t draw(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

static int device_read(void *context, uint32_t a, uint32_t offset, void *to, uint32_t n)
{
    (void)context;
    if (dead) return -1;
    memcpy(to, area[a] + offset, n);
    return 0;
}

/* The write that dies leaves the old unit, an erased one, the new one, a part of it, or anything. */
static int device_write(void *context, uint32_t a, uint32_t offset, const void *unit)
{
    uint8_t *p = area[a] + offset;
    (void)context;
    if (dead) return -1;
    if (offset % UNIT || offset + UNIT > ALL) abort();
    if (++writes != cut_at) {
        memcpy(p, unit, UNIT);
        return 0;
    }
    dead = 1;
    cuts++;
    const uint32_t how = draw() % 5u, part = draw() % UNIT;
    if (how == 1 || how == 3) memset(p, 0xFF, UNIT);
    if (how == 2 || how == 3) memcpy(p, unit, how == 2 ? UNIT : part);
    if (how == 4)
        for (uint32_t i = 0; i < UNIT; i++) p[i] = (uint8_t)(draw() >> 5);
    return -1;
}

/* In the place of a signature: what stands for the key can be computed by the owner alone. */
static void sign(const uint8_t hash[32], uint8_t signature[32])
{
    for (int i = 0; i < 32; i++) signature[i] = (uint8_t)(hash[31 - i] ^ 0x5Au);
}

static int verify(const uint8_t hash[32], const uint8_t *signature, uint32_t n)
{
    uint8_t right[32];
    sign(hash, right);
    return n == sizeof right && memcmp(signature, right, sizeof right) == 0;
}

static bm_update_device device = {NULL, device_read, device_write, ALL, NULL};

/* Model `number`: its number stands in the blob, in the proof and in the head. Every seventh fails its proof, every ninth crashes. */
static int sound(uint32_t number) { return number % 7u != 3u && number % 9u != 4u; }

static void seal(uint8_t *h) { bm_put_u32(h + BM_UPDATE_CRC_AT, bm_crc32(0, h, BM_UPDATE_CRC_AT)); }

static void make_package(uint32_t number)
{
    bm_sha256 sha;
    uint32_t x = number * 2654435761u;
    uint8_t digest[32];
    memset(package, 0, ALL);
    memset(head, 0, BM_UPDATE_HEAD);
    for (uint32_t i = 0; i < BLOB; i++) package[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
    bm_put_u32(package, number);
    bm_put_u32(package + ALL - UNIT, number);
    memcpy(head, "BMUP", 4);
    bm_put_u32(head + BM_UPDATE_VERSION_AT, 1);
    bm_put_u32(head + BM_UPDATE_BLOB_AT, BLOB);
    bm_put_u32(head + BM_UPDATE_PROOF_AT, PROOF);
    memcpy(head + BM_UPDATE_BUILD_AT, build, 32);
    bm_put_u32(head + BM_UPDATE_MODEL_AT, number);
    bm_sha256_begin(&sha);
    bm_sha256_add(&sha, package, ALL);
    bm_sha256_end(&sha, head + BM_UPDATE_HASH_AT);
    bm_sha256_begin(&sha);
    bm_sha256_add(&sha, head, BM_UPDATE_SIGNATURE_AT);
    bm_sha256_end(&sha, digest);
    bm_put_u32(head + BM_UPDATE_SIGNATURE_AT, sizeof digest);
    sign(digest, head + BM_UPDATE_SIGNATURE_AT + 4u);
    seal(head);
    crcs[number % 65536u] = bm_crc32(0, package, ALL);
}

static uint32_t ran;             /* number of the model that the last start chose; 0: the factory's */
static int proving_crash;        /* the proof ended in a crash */

static int attempt(void *context, uint32_t a, const bm_slot *slot, int proof)
{
    bm_update *u = context;
    (void)slot;
    if (dead) return -1;
    const uint32_t number = bm_get_u32(area[a]);
    if (proof && !bm_update_whole(u, a)) return 1;
    if (crcs[number % 65536u] != bm_crc32(0, area[a], ALL)) {
        bad_states++;            /* it was called whole, and is not */
        return 1;
    }
    if (proof && number % 9u == 4u) {
        proving_crash = dead = 1;
        return -1;
    }
    if (proof && !sound(number)) return 1;
    ran = number;
    return 0;
}

/* Switch on, until a start comes to its end. `again`: the write at which the power goes once more, or 0. */
static void boot(bm_update *u, unsigned long again)
{
    for (int i = 0; i < 20; i++) {
        dead = proving_crash = 0;
        writes = 0;
        cut_at = again;
        again = 0;
        bm_update_open(u, &device, build, BLOB);
        ran = 0;
        starts++;
        bm_update_start(u, attempt, u);
        crashes += (unsigned long)proving_crash;
        if (!dead) {
            cut_at = 0;
            return;
        }
    }
    bad_states++;                /* it never comes up */
}

/* All requests of one update, from where the device is. Returns 1 if it was told to try the model. */
static int send(bm_update *u)
{
    uint32_t value = 0;
    if (bm_update_begin(u, head, BM_UPDATE_HEAD, &value) != 0) return 0;
    while (value < ALL) {
        const uint32_t at = value;
        if (bm_update_block(u, at, bm_crc32(0, package + at, UNIT), package + at, UNIT, &value) != 0)
            return 0;
    }
    return bm_update_finish(u, &value) == 0 && bm_update_activate(u, &value) == 0;
}

static int count_cuts(unsigned long updates)
{
    static uint8_t before[BM_UPDATE_AREAS][ALL];
    static bm_update u;
    uint32_t old = 0;
    for (uint32_t number = 1; number <= updates; number++) {
        make_package(number);
        memcpy(before, area, sizeof area);
        int cut = 1;
        for (unsigned long k = 1; cut; k++) {
            memcpy(area, before, sizeof area);
            boot(&u, 0);
            bad_states += ran != old;
            writes = 0;
            cut_at = k;
            const int told = send(&u);
            cut = dead;
            if (cut) boot(&u, draw() % 2u ? 1u + draw() % 3u : 0u);
            const uint32_t first = ran;
            bad_states += first != old && (first != number || !sound(number));
            /* The host comes again: the update goes on, and is tried with a cut at a write of the start. */
            if (!told && first == old && !send(&u)) bad_states++;
            boot(&u, draw() % 4u);
            bad_states += ran != (sound(number) ? number : old);
        }
        old = ran;
        if (bad_states) return 1;
    }
    printf("%lu %lu %lu %lu\n", cuts, starts, crashes, bad_states);
    return 0;
}

/* -- messages ---------------------------------------------------------------------------------- */

static void damage(uint8_t *p, uint32_t n)
{
    for (uint32_t i = 1u + draw() % 3u; i && n; i--) p[draw() % n] ^= (uint8_t)(1u << draw() % 8u);
}

/* One message: mostly the one that is due, mostly damaged. */
static void one(bm_update *u, uint32_t awaited)
{
    static uint8_t data[UNIT + 8u];
    uint8_t copy[BM_UPDATE_HEAD];
    uint32_t value, n = UNIT, at = awaited < ALL ? awaited : 0, crc;
    const uint32_t what = draw() % 32u, how = draw() % 8u;
    memcpy(copy, head, sizeof copy);
    if (what < 4) {
        if (how < 5) damage(copy, sizeof copy);
        if (how == 4) seal(copy);
        bm_update_begin(u, copy, how == 7 ? draw() % 300u : BM_UPDATE_HEAD, &value);
    } else if (what < 26) {
        if (how == 1) at = draw();
        if (how == 2) at = draw() % 6u * UNIT;
        memcpy(data, package + (at < ALL ? at / UNIT * UNIT : 0), UNIT);
        crc = bm_crc32(0, data, UNIT);
        if (how == 3) crc ^= 1u << draw() % 32u;
        if (how == 4) damage(data, UNIT);
        if (how == 5 && draw() % 8u == 0)
            damage(data, UNIT), crc = bm_crc32(0, data, UNIT); /* what no CRC finds */
        if (how == 6) n = draw() % UNIT;
        bm_update_block(u, at, crc, data, n, &value);
    } else if (what < 28) {
        bm_update_finish(u, &value);
    } else {
        bm_update_activate(u, &value);
    }
}

/* A sound package of another model, with the signature of the owner's, or none, or one of another length. */
static void forge(uint32_t number)
{
    package = packages[1];
    head = heads[1];
    make_package(number);
    memcpy(head + BM_UPDATE_SIGNATURE_AT, heads[0] + BM_UPDATE_SIGNATURE_AT, 36);
    const uint32_t how = draw() % 4u;
    if (how < 2) bm_put_u32(head + BM_UPDATE_SIGNATURE_AT, how ? draw() : 0);
    seal(head);
}

static int count_messages(unsigned long count)
{
    static bm_update u;
    uint32_t number = 1, changed = 0;
    make_package(number);
    boot(&u, 0);
    for (unsigned long i = 0; i < count; i++) {
        const bm_slot *s = &u.slot[u.running == BM_UPDATE_A ? 1 : 0];
        if (device.verify && draw() % 64u == 0) {
            forge(FORGED + number);
            if (draw() % 2u) package = packages[0], head = heads[0];
        }
        one(&u, s->received);
        const int tried = s->state == BM_SLOT_TRIAL,
                  was_cut = dead; /* then the request may have been noted, or not */
        if (!tried && !dead && draw() % 512u) continue;
        const uint32_t old = ran;
        writes = 0;
        boot(&u, draw() % 3u);
        /* The old one, or the one that was sent; and that only if it is sound. Whether it is whole, `attempt` saw. */
        bad_states += ran != old && (ran != number || !sound(number) || !(tried || was_cut));
        changed += ran != old;
        if (bad_states) return 1;
        if (tried || ran == number) {
            package = packages[0];
            head = heads[0];
            make_package(++number);
        }
        cut_at = draw() % 4u ? 0u : 1u + draw() % 30u;
        writes = 0;
    }
    printf("%lu %lu %u %lu\n", count, starts, changed, bad_states);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    seed = strtoul(argv[3], NULL, 10);
    for (uint32_t i = 0; i < sizeof build; i++) build[i] = (uint8_t)(i * 7u + 1u);
    for (uint32_t a = 0; a < BM_UPDATE_AREAS; a++)
        for (uint32_t i = 0; i < ALL; i++)
            area[a][i] = (uint8_t)(draw() >> 7); /* as it came from the factory: anything */
    const unsigned long n = strtoul(argv[2], NULL, 10);
    if (strcmp(argv[1], "signed") == 0) device.verify = verify;
    const int bad = strcmp(argv[1], "cuts") == 0 ? count_cuts(n) : count_messages(n);
    if (bad) printf("bad state: seed %s\n", argv[3]);
    return bad;
}
