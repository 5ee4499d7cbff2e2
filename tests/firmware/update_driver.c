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
#include "update_sim.h"

#define FORGED 0x8000u /* numbers of models that nobody signed */

static unsigned long starts, bad_states, crashes;

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
    sim_fill();
    const unsigned long n = strtoul(argv[2], NULL, 10);
    if (strcmp(argv[1], "signed") == 0) device.verify = verify;
    const int bad = strcmp(argv[1], "cuts") == 0 ? count_cuts(n) : count_messages(n);
    if (bad) printf("bad state: seed %s\n", argv[3]);
    return bad;
}
