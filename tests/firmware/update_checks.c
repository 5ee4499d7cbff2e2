/* SPDX-License-Identifier: Apache-2.0 */
/* Every check of bm_update.c, one at a time: what it refuses, and that nothing has changed then. Exit status 1 and a line at the
 * first that does not hold; a start that never ends is ended by a signal.
 */
#define _POSIX_C_SOURCE 200809L
#include <unistd.h>

#include "update_sim.h"

#define MUST(what) \
    do { \
        if (!(what)) { \
            printf("line %d: %s\n", __LINE__, #what); \
            exit(1); \
        } \
    } while (0)

#define RECORD(place) (area[BM_UPDATE_RECORDS] + (place) * UNIT)
#define RECORD_CRC_AT (16u + 2u * (16u + BM_UPDATE_HEAD))

static bm_update u;
static uint32_t value, tried, noted_tries;
static int verdict; /* of the next attempts */
static long fail_at; /* the write that fails, counted from now; the power stays on */

static int flaky_write(void *context, uint32_t a, uint32_t offset, const void *unit)
{ return fail_at && --fail_at == 0 ? -1 : device_write(context, a, offset, unit); }

static int doubtful_read(void *context, uint32_t a, uint32_t offset, void *to, uint32_t n)
{ return device_read(context, a, offset, to, n) - 1; }

static int attempt(void *context, uint32_t a, const bm_slot *slot, int proof)
{
    static bm_update beside;
    (void)context;
    (void)slot;
    (void)proof;
    tried++;
    bm_update_open(&beside, &device, build, BLOB);
    noted_tries = beside.slot[a - 1u].tries;
    return verdict;
}

static uint32_t boot(void)
{
    tried = 0;
    bm_update_open(&u, &device, build, BLOB);
    return bm_update_start(&u, attempt, NULL);
}

/* A device as it comes from the factory, switched on. */
static void anew(void)
{
    verdict = 0;
    fail_at = 0;
    sim_fill();
    device.write = flaky_write;
    device.verify = NULL;
    MUST(boot() == BM_UPDATE_FACTORY && tried == 0);
}

static int32_t begin(void) { return bm_update_begin(&u, head, BM_UPDATE_HEAD, &value); }

static int32_t block(uint32_t at)
{ return bm_update_block(&u, at, bm_crc32(0, package + at, UNIT), package + at, UNIT, &value); }

static void receive(uint32_t number)
{
    make_package(number);
    MUST(begin() == 0 && value == 0);
    for (uint32_t at = 0; at < ALL; at += UNIT) MUST(block(at) == 0 && value == at + UNIT);
}

static void bring(uint32_t number)
{
    receive(number);
    MUST(bm_update_finish(&u, &value) == 0 && bm_update_activate(&u, &value) == 0);
}

static void seal_record(uint32_t place)
{ bm_put_u32(RECORD(place) + RECORD_CRC_AT, bm_crc32(0, RECORD(place), RECORD_CRC_AT)); }

/* -- the record -------------------------------------------------------------------------------- */

static void check_record(void)
{
    static uint8_t whole[UNIT];
    anew();
    bring(1);
    MUST(boot() == BM_UPDATE_A);
    const uint32_t place = u.sequence % 2u, sequence = u.sequence;
    memcpy(whole, RECORD(place), UNIT);

    RECORD(place)[20] ^= 1; /* without its CRC: the one before holds, of the try */
    bm_update_open(&u, &device, build, BLOB);
    MUST(u.sequence == sequence - 1u && u.slot[0].state == BM_SLOT_TRIAL);
    for (uint32_t at = 0; at < 8u; at += 4u) { /* of another kind, of another version */
        memcpy(RECORD(place), whole, UNIT);
        memset(RECORD(place ^ 1u), 0, UNIT);
        RECORD(place)[at] ^= 1;
        seal_record(place);
        MUST(boot() == BM_UPDATE_FACTORY && u.sequence == 0);
    }
    memcpy(RECORD(place ^ 1u), whole, UNIT); /* where no such number belongs */
    memset(RECORD(place), 0, UNIT);
    MUST(boot() == BM_UPDATE_FACTORY && u.sequence == 0);

    for (uint32_t p = 0; p < 2; p++) { /* the numbers begin anew: 0 is newer than 2^32 - 1 */
        memcpy(RECORD(p), whole, UNIT);
        bm_put_u32(RECORD(p) + 8, p ? 0xFFFFFFFFu : 0u);
        RECORD(p)[16] = p ? BM_SLOT_FAILED : BM_SLOT_GOOD;
        seal_record(p);
    }
    MUST(boot() == BM_UPDATE_A);

    receive(2);
    MUST(bm_update_finish(&u, &value) == 0);
    fail_at = 1; /* what could not be noted does not hold */
    MUST(bm_update_activate(&u, &value) == BM_RESULT_STORAGE && u.slot[1].state == BM_SLOT_COMPLETE);
    MUST(boot() == BM_UPDATE_A && tried == 1);
}

/* -- heads ------------------------------------------------------------------------------------- */

static void refused(int32_t result)
{
    const uint32_t sequence = u.sequence;
    value = 1;
    MUST(begin() == result && value == 0 && u.sequence == sequence && u.slot[0].state == BM_SLOT_EMPTY);
    make_package(1);
}

static void check_head(void)
{
    static const struct {
        uint32_t at, to;
        int32_t result;
    } wrong[] = {{0, 0, BM_RESULT_DAMAGED}, {BM_UPDATE_VERSION_AT, 2, BM_RESULT_OTHER_BUILD},
        {BM_UPDATE_BUILD_AT, 0, BM_RESULT_OTHER_BUILD}, {BM_UPDATE_BUILD_AT + 28u, 0, BM_RESULT_OTHER_BUILD},
        {BM_UPDATE_BLOB_AT, BLOB - UNIT, BM_RESULT_OTHER_BUILD},
        {BM_UPDATE_PROOF_AT, UNIT + 1u, BM_RESULT_NO_ROOM},
        {BM_UPDATE_PROOF_AT, 0xFFFFFFFFu, BM_RESULT_NO_ROOM}};
    anew();
    make_package(1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        bm_put_u32(head + wrong[i].at, wrong[i].to);
        seal(head);
        refused(wrong[i].result);
    }
    head[BM_UPDATE_HASH_AT] ^= 1;
    refused(BM_RESULT_DAMAGED);
    MUST(bm_update_begin(&u, head, BM_UPDATE_HEAD - 1u, &value) == BM_RESULT_MALFORMED);
    MUST(bm_update_begin(&u, head, BM_UPDATE_HEAD + 1u, &value) == BM_RESULT_MALFORMED);
    u.device.write = NULL;
    refused(BM_RESULT_UNABLE);

    bm_update_open(&u, &device, build, 0xFFFFE001u); /* with its proof it would have no bytes again */
    bm_put_u32(head + BM_UPDATE_BLOB_AT, u.blob_bytes);
    seal(head);
    refused(BM_RESULT_NO_ROOM);
}

/* -- signatures -------------------------------------------------------------------------------- */

static int asked, answer;

static int asking(const uint8_t hash[32], const uint8_t *signature, uint32_t n)
{
    asked++;
    MUST(n > 0 && n <= BM_UPDATE_SIGNATURE_ROOM); /* all of it lies in the head */
    return answer ? answer : verify(hash, signature, n);
}

static void check_signature(void)
{
    static const uint32_t sizes[] = {0, BM_UPDATE_SIGNATURE_ROOM + 1u, 0xFFFFFFFFu};
    anew();
    u.device.verify = asking;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        make_package(1);
        bm_put_u32(head + BM_UPDATE_SIGNATURE_AT, sizes[i]);
        seal(head);
        refused(BM_RESULT_UNSIGNED);
    }
    answer = -1; /* the library could not say */
    refused(BM_RESULT_UNSIGNED);
    answer = 0;
    for (uint32_t at = 0; at < BM_UPDATE_SIGNATURE_AT + 36u; at++) {
        if (at < 48u || (at >= BM_UPDATE_SIGNATURE_AT && at < BM_UPDATE_SIGNATURE_AT + 4u)) continue;
        head[at] ^= 0x80u; /* model, hash, layout; the signature itself */
        seal(head);
        refused(BM_RESULT_UNSIGNED);
    }
    MUST(begin() == 0 && asked > 80);

    anew(); /* a program without a key took it; the next one has a key */
    make_package(1);
    head[BM_UPDATE_SIGNATURE_AT + 4u] ^= 1;
    seal(head);
    MUST(begin() == 0);
    for (uint32_t at = 0; at < ALL; at += UNIT) MUST(block(at) == 0);
    MUST(bm_update_finish(&u, &value) == 0 && bm_update_activate(&u, &value) == 0 && boot() == BM_UPDATE_A);
    device.verify = asking;
    MUST(boot() == BM_UPDATE_FACTORY && tried == 0);
}

/* -- starts ------------------------------------------------------------------------------------ */

static void check_trial(void)
{
    anew();
    bring(1);
    device.write = NULL; /* nothing new is tried where no try can be counted */
    MUST(boot() == BM_UPDATE_FACTORY && tried == 0);
    device.write = flaky_write;
    fail_at = 1;
    MUST(boot() == BM_UPDATE_FACTORY && tried == 0);
    verdict = -1; /* no fault of the model */
    MUST(boot() == BM_UPDATE_FACTORY && tried == 1 && u.slot[0].state == BM_SLOT_TRIAL);
    verdict = 0;
    fail_at = 2; /* it runs, and proves itself again */
    MUST(boot() == BM_UPDATE_A && tried == 1 && noted_tries == 2);
    MUST(boot() == BM_UPDATE_A && tried == 1 && noted_tries == 3 && u.slot[0].state == BM_SLOT_GOOD);

    bring(2);
    verdict = -1; /* as if it crashed: its tries come to an end, and A runs */
    for (uint32_t i = 1; i <= BM_UPDATE_TRIES; i++) {
        boot();
        MUST(tried == 1 && noted_tries == i);
    }
    verdict = 0;
    MUST(boot() == BM_UPDATE_A && tried == 1 && u.slot[1].state == BM_SLOT_FAILED);
    MUST(bm_update_activate(&u, &value) == BM_RESULT_MALFORMED);
}

/* The first attempt of a start fails, the next is right. */
static int first_bad(void *context, uint32_t a, const bm_slot *slot, int proof)
{ return attempt(context, a, slot, proof) || tried == 1; }

static void check_fall_back(void)
{
    anew();
    bring(1);
    MUST(boot() == BM_UPDATE_A);
    bring(2);
    bm_update_open(&u, &device, build, BLOB);
    tried = 0;
    MUST(bm_update_start(&u, first_bad, NULL) == BM_UPDATE_A && u.running == BM_UPDATE_A && tried == 2);
    MUST(u.slot[1].state == BM_SLOT_FAILED && boot() == BM_UPDATE_A && tried == 1);

    MUST(
        begin() == 0 && value == 0 && u.slot[1].state == BM_SLOT_RECEIVING); /* a failed one may come again */
    for (uint32_t at = 0; at < ALL; at += UNIT) MUST(block(at) == 0);
    MUST(bm_update_finish(&u, &value) == 0 && bm_update_activate(&u, &value) == 0);
    MUST(u.slot[1].tries == 0 && boot() == BM_UPDATE_B && tried == 1); /* the newest of two */
    MUST(begin() == 0 && u.slot[0].state == BM_SLOT_RECEIVING);
    boot(); /* it was noted before its first block: what was good is no longer */
    MUST(u.running == BM_UPDATE_B && u.slot[0].state == BM_SLOT_RECEIVING);
    bring(3);
    MUST(boot() == BM_UPDATE_A && u.slot[0].order > u.slot[1].order);
    bm_update_open(&u, &device, build, BLOB); /* a good one that is no longer */
    tried = 0;
    MUST(bm_update_start(&u, first_bad, NULL) == BM_UPDATE_B && u.slot[0].state == BM_SLOT_FAILED);

    build[31] ^= 1; /* a program of another shape */
    MUST(boot() == BM_UPDATE_FACTORY && tried == 0);
    build[31] ^= 1;
    verdict = 1; /* bad, and no note of it can be written: the start ends */
    device.write = NULL;
    MUST(boot() == BM_UPDATE_FACTORY && tried == 1);
    verdict = 0;
    MUST(boot() == BM_UPDATE_B);
    device.write = flaky_write;
    verdict = 1;
    fail_at = 1;
    MUST(boot() == BM_UPDATE_FACTORY && tried == 1);
}

/* -- requests ---------------------------------------------------------------------------------- */

static void check_blocks(void)
{
    static uint8_t before[ALL];
    anew();
    make_package(1);
    MUST(block(0) == BM_RESULT_MALFORMED); /* of nothing */
    MUST(begin() == 0);
    memcpy(before, area[BM_UPDATE_A], ALL);
    MUST(bm_update_block(&u, 0, bm_crc32(0, package, UNIT - 1u), package, UNIT - 1u, &value) ==
         BM_RESULT_MALFORMED);
    MUST(bm_update_block(&u, 0, bm_crc32(0, package, UNIT) ^ 1u, package, UNIT, &value) == BM_RESULT_DAMAGED);
    MUST(block(UNIT) == 0 && value == 0);
    fail_at = 1;
    MUST(block(0) == BM_RESULT_STORAGE && value == 0);
    u.device.write = NULL;
    MUST(block(0) == BM_RESULT_UNABLE);
    MUST(bm_update_finish(&u, &value) == BM_RESULT_MALFORMED);
    MUST(bm_update_activate(&u, &value) == BM_RESULT_MALFORMED);
    MUST(memcmp(before, area[BM_UPDATE_A], ALL) == 0);
    u.device.write = flaky_write;

    MUST(block(0) == 0 && block(0) == 0 && value == UNIT); /* doubled */
    MUST(block(UNIT) == 0);
    MUST(begin() == 0 && value == 2u * UNIT); /* resumed */
    boot();
    MUST(u.slot[0].received == 2u * UNIT && begin() == 0 && value == 2u * UNIT); /* noted */
    MUST(bm_update_finish(&u, &value) == BM_RESULT_MALFORMED);
    MUST(block(2u * UNIT) == 0);
    fail_at = 2;
    MUST(block(3u * UNIT) == BM_RESULT_STORAGE && u.slot[0].received == 2u * UNIT); /* as the record says */
    MUST(block(2u * UNIT) == 0 && block(3u * UNIT) == 0);
    MUST(bm_update_block(&u, ALL, bm_crc32(0, package, UNIT), package, UNIT, &value) == 0 && value == ALL);
    MUST(begin() == 0 && value == ALL);
    make_package(2); /* another one begins at its beginning */
    MUST(begin() == 0 && value == 0 && u.slot[0].received == 0);
}

static void check_end(void)
{
    anew();
    receive(1);
    area[BM_UPDATE_A][ALL - 1u] ^= 1; /* in the filling, which only the hash covers */
    MUST(bm_update_finish(&u, &value) == BM_RESULT_DAMAGED && value == 0);
    MUST(u.slot[0].state == BM_SLOT_RECEIVING && u.slot[0].received == 0);
    boot();
    MUST(u.slot[0].received == 0);
    receive(1);
    u.device.read = doubtful_read; /* what cannot be read is not whole, even if all bytes came */
    MUST(!bm_update_whole(&u, BM_UPDATE_A));
    u.device.read = device_read;
    MUST(bm_update_whole(&u, BM_UPDATE_A));
    fail_at = 1;
    MUST(bm_update_finish(&u, &value) == BM_RESULT_STORAGE);
    for (uint32_t at = u.slot[0].received; at < ALL; at += UNIT) MUST(block(at) == 0);
    MUST(bm_update_activate(&u, &value) == BM_RESULT_MALFORMED);
    MUST(bm_update_finish(&u, &value) == 0 && u.slot[0].state == BM_SLOT_COMPLETE);
    MUST(bm_update_finish(&u, &value) == 0 && value == ALL && begin() == 0 && value == ALL);
    MUST(block(0) == BM_RESULT_MALFORMED);
    MUST(boot() == BM_UPDATE_FACTORY && tried == 0); /* it is there, and nobody asked for it */
    MUST(bm_update_activate(&u, &value) == 0 && bm_update_activate(&u, &value) == 0);
    MUST(bm_update_finish(&u, &value) == 0 && begin() == 0 && value == ALL);
    MUST(boot() == BM_UPDATE_A);

    static uint8_t before[ALL]; /* the slot that runs is never written */
    memcpy(before, area[BM_UPDATE_A], ALL);
    bring(2);
    MUST(memcmp(before, area[BM_UPDATE_A], ALL) == 0 && u.slot[0].state == BM_SLOT_GOOD);
    MUST(memcmp(package, area[BM_UPDATE_B], ALL) == 0);
}

int main(void)
{
    alarm(3);
    check_record();
    check_head();
    check_signature();
    check_trial();
    check_fall_back();
    check_blocks();
    check_end();
    return 0;
}
