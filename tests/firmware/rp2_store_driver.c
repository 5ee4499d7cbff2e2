/* SPDX-License-Identifier: Apache-2.0 */
/* The Pico's store in its flash (rp2_store.c of a project, as it is) on a simulated NOR flash, which loses power. See driver.h.
 *
 * The flash lies at its real address, as the processor sees it: nowhere while its chip is told something, and old where the cache was
 * not flushed. The functions of the boot ROM are here, and check their order.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "bare_store.h"
#include "bm_tier.h"
#include "driver.h"
#include "nor_flash.h"
#include "rp2.h"

#define XIP ((uint8_t *)0x10000000)
#define BLOCKS ((BM_SLOTS + BM_READ_BLOCK - 1u) / BM_READ_BLOCK)
#define MOST 150u /* operations of an episode, about */
#define WORK (2u * 4096u + 2u * BM_READ_BLOCK * BM_PAD(BM_D))

#define FIRST ((uint32_t)(rp2_memory - XIP))
#define STORE ((size_t)(rp2_memory_end - rp2_memory))

extern uint8_t rp2_memory[], rp2_memory_end[];

static nor_flash flash;
static uint32_t interrupts_on = 1;
static enum { READS, CONNECTED, COMMANDS, SLOW } mode;
static int cached; /* what the cache has is old */
static const char *why; /* there is no store */
static bm_tier rows;
enum { WRITTEN, FAILED, DARK };

/* -- the chip --------------------------------------------------------------------------------------------------------- */

void bare_interrupts_off(void) { interrupts_on = 0; }

void bare_interrupts_on(void)
{
    nor_must(mode == READS, "interrupts while the flash cannot be read, or is slow");
    interrupts_on = 1;
}

static void show(int how) { nor_must(mprotect(XIP, NOR_BYTES, how) == 0, "no room at its address"); }

static void goes(int from, int to, const char *what)
{
    nor_must(!interrupts_on, "interrupts are on");
    nor_must((int)mode == from, what);
    mode = to;
}

static void connect(void) { goes(READS, CONNECTED, "connected twice"); }

static void leave_xip(void)
{
    goes(CONNECTED, COMMANDS, "not connected");
    show(PROT_NONE);
}

static void erase(uint32_t at, size_t n, uint32_t block, uint8_t instruction)
{
    goes(COMMANDS, COMMANDS, "erased while it is read");
    nor_must(block == NOR_SECTOR && instruction == 0x20u, "another instruction than that of a sector");
    for (size_t done = 0; done < n; done += NOR_SECTOR) nor_erase(&flash, at + (uint32_t)done);
    cached = 1;
}

static void program(uint32_t at, const uint8_t *from, size_t n)
{
    goes(COMMANDS, COMMANDS, "programmed while it is read");
    for (size_t done = 0; done < n; done += NOR_PAGE) nor_program(&flash, at + (uint32_t)done, from + done);
    cached = 1;
}

static void flush_cache(void)
{
    goes(COMMANDS, COMMANDS, "flushed while it is read");
    cached = 0;
}

static void enter_xip(void)
{
    goes(COMMANDS, SLOW, "not told anything");
    show(PROT_READ | PROT_WRITE);
    if (!cached) memcpy(rp2_memory, flash.bytes + FIRST, STORE);
    show(PROT_READ);
}

void rp2_fast_flash(void) { goes(SLOW, READS, "made fast at the wrong time"); }

uintptr_t rp2_rom(uint32_t code)
{
    static void (*const functions[])(void) = {
        connect, leave_xip, (void (*)(void))erase, (void (*)(void))program, flush_cache, enter_xip};
    static const char names[] = "IFEXRERPFCCX";
    for (uint32_t i = 0; i < 6u; i++)
        if (code == ((uint32_t)names[2u * i] | (uint32_t)names[2u * i + 1u] << 8))
            return (uintptr_t)functions[i];
    return 0;
}

/* -- the program ------------------------------------------------------------------------------------------------------ */

void *bm_store_work(bm_state *s)
{
    static uint8_t work[WORK] __attribute__((aligned(64)));
    (void)s;
    return work;
}

void bm_use_memory(bm_state *s, const bm_tier *given)
{
    (void)s;
    rows = *given;
}

static void power_on(void)
{
    flash.operations = 0;
    flash.cut_at = 0;
    interrupts_on = 0;
    cached = 0;
    mode = COMMANDS;
    enter_xip();
    rp2_fast_flash();
    interrupts_on = 1;
    why = bare_store_start(NULL);
}

/* Which episode wrote the codes of every block, and its scales and usage. */
typedef struct {
    uint32_t codes[BLOCKS], state[BLOCKS];
} memory;

static uint8_t byte_of(uint32_t episode, uint32_t i)
{ return (uint8_t)((episode * 2654435761u + i * 40503u) >> 13); }

static void fill(void *to, uint32_t n, uint32_t episode)
{
    for (uint32_t i = 0; i < n; i++) ((uint8_t *)to)[i] = byte_of(episode, i);
}

static int has(const void *what, uint32_t n, uint32_t episode)
{
    for (uint32_t i = 0; i < n; i++)
        if (((const uint8_t *)what)[i] != byte_of(episode, i)) return 0;
    return 1;
}

static int changes(uint32_t episode, uint32_t block) { return (episode + block) % 2u == 0; }

static memory after(const memory *m, uint32_t episode)
{
    memory next = *m;
    for (uint32_t b = 0; b < BLOCKS; b++) {
        next.state[b] = episode;
        if (changes(episode, b)) next.codes[b] = episode;
    }
    return next;
}

static bm_status write_episode(uint32_t episode)
{
    bm_block_rows r;
    bm_status status = rows.begin(rows.context);
    for (uint32_t b = 0; b < BLOCKS && status == BM_OK; b++) {
        status = rows.get(rows.context, b, BM_TIER_CHANGE, &r);
        if (status != BM_OK) break;
        fill(r.scales, 4u * r.n, episode);
        fill(r.usage, 4u * r.n, episode + 1u);
        if (changes(episode, b)) fill(r.high, r.n * BM_PAD(BM_D), episode + 2u);
        if (changes(episode, b)) fill(r.low, r.n * BM_PAD(BM_D), episode + 3u);
        status = rows.put(rows.context, b, changes(episode, b));
    }
    return status == BM_OK ? rows.commit(rows.context) : status;
}

/* Whether the flash holds this memory to a program that starts. */
static int holds(const memory *m)
{
    bm_block_rows r;
    power_on();
    if (why) return 0;
    for (uint32_t b = 0; b < BLOCKS; b++) {
        if (rows.get(rows.context, b, BM_TIER_READ_ALL, &r) != BM_OK) return 0;
        if (!has(r.scales, 4u * r.n, m->state[b]) || !has(r.usage, 4u * r.n, m->state[b] + 1u)) return 0;
        if (!has(r.high, r.n * BM_PAD(BM_D), m->codes[b] + 2u) ||
            !has(r.low, r.n * BM_PAD(BM_D), m->codes[b] + 3u))
            return 0;
    }
    return 1;
}

/* -- calls ------------------------------------------------------------------------------------------------------------ */

/* The memory that the project begins with, and two episodes, after which every block is one of ours. */
static memory begin_with(const call *c)
{
    memory m = {{0}, {0}};
    nor_must(mmap(XIP, NOR_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == XIP,
        "no room at its address");
    memset(&flash, 0, sizeof flash);
    flash.chance = 1u + c->u[1];
    nor_must(c->bytes[0] == STORE, "another store");
    memcpy(flash.bytes + FIRST, c->a[0], STORE);
    power_on();
    nor_must(!why, "the first store does not open");
    for (uint32_t episode = 1; episode < 3u; episode++) {
        nor_must(write_episode(episode) == BM_OK, "an episode fails");
        m = after(&m, episode);
    }
    nor_must(holds(&m), "two episodes are not read back");
    return m;
}

static int complain(const char *what, uint32_t episode, uint32_t at, uint32_t fate)
{
    fprintf(stderr, "episode %u, cut at operation %u, of which fate %u was done: %s\n", (unsigned)episode,
        (unsigned)at, (unsigned)fate, what);
    return 1;
}

/* An episode, until the power goes. */
static int write_cut(uint32_t episode, uint32_t at, nor_fate fate)
{
    flash.operations = 0;
    flash.cut_at = at;
    flash.fate = fate;
    if (setjmp(flash.dark)) return DARK;
    return write_episode(episode) == BM_OK ? WRITTEN : FAILED;
}

/* The power goes at one operation of an episode, and again somewhere in the one after it. 1: that went wrong; -1: the episode has fewer
 * operations, and is written. */
static int cut_once(const memory *old, uint32_t episode, uint32_t at, nor_fate fate)
{
    const memory next = after(old, episode);
    const memory *now = old;
    power_on();
    int how = write_cut(episode, at, fate);
    if (how == FAILED) return complain("it fails", episode, at, fate);
    if (how == WRITTEN) return holds(&next) ? -1 : complain("it is lost", episode, at, fate);
    if (!holds(now)) now = &next;
    if (!holds(now)) return complain("neither the memory before nor after it", episode, at, fate);
    const memory later = after(now, episode + 1u);
    how = write_cut(episode + 1u, 1u + (at * 7u + episode) % MOST, (nor_fate)((fate + at) % NOR_FATES));
    if (how == FAILED) return complain("the next episode fails", episode, at, fate);
    if (holds(&later) || (how == DARK && holds(now))) return 0;
    return complain("the next episode is lost, or a mixture", episode, at, fate);
}

/* u: episodes, seed; a: store that the project begins with. result: how many cuts went wrong, of how many. */
static void cuts(call *c)
{
    static uint8_t start[NOR_BYTES];
    memory m = begin_with(c);
    for (uint32_t episode = 3; episode < 3u + c->u[0]; episode++) {
        int found = 0;
        memcpy(start, flash.bytes + FIRST, STORE);
        for (uint32_t at = 1; found >= 0; at++)
            for (uint32_t fate = 0; fate < NOR_FATES && found >= 0; fate++) {
                memcpy(flash.bytes + FIRST, start, STORE);
                flash.chance = c->u[1] + episode * 65537u + at * NOR_FATES + fate + 1u;
                found = cut_once(&m, episode, at, (nor_fate)fate);
                c->result[0] += found == 1;
                c->result[1] += found >= 0;
                if (c->result[0] == 5u) return;
            }
        m = after(&m, episode);
    }
}

/* Every sector's erasures. u: episodes, 0, episodes between one start and the next; a: store, u32 [sectors of the flash]. */
static void wear(call *c)
{
    memory m = begin_with(c);
    memset(flash.erasures, 0, sizeof flash.erasures);
    for (uint32_t i = 0; i < c->u[0]; i++) {
        if (i % c->u[2] == 0) power_on();
        nor_must(write_episode(3u + i) == BM_OK, "an episode fails");
        m = after(&m, 3u + i);
    }
    nor_must(holds(&m), "the memory is lost");
    memcpy(c->a[1], flash.erasures, sizeof flash.erasures);
}

/* A sector that keeps a bit. u: 0, seed, sector of the store; a: store. result: whether an episode was refused; whether the memory is that of
 * the episode, or, where it was refused, the one before. */
static void worn(call *c)
{
    const memory old = begin_with(c), next = after(&old, 3);
    flash.worn = 1u + FIRST / NOR_SECTOR + c->u[2];
    power_on();
    c->result[0] = write_episode(3) != BM_OK;
    c->result[1] = (uint32_t)(holds(&next) || (c->result[0] && holds(&old)));
}

/* A page whose bits are to become 1 again: ends the program. */
static void trap(call *c)
{
    uint8_t page[NOR_PAGE] = {0};
    (void)c;
    nor_erase(&flash, 0);
    nor_program(&flash, 0, page);
    page[9] = 1;
    nor_program(&flash, 0, page);
}

static const entry functions[] = {{"cuts", cuts}, {"wear", wear}, {"worn", worn}, {"trap", trap}};

int main(void) { return driver_serve(functions, sizeof functions / sizeof *functions); }
