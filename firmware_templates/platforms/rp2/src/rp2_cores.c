/* SPDX-License-Identifier: MIT-0 */
/* Two cores: core 1 does part 1 of every job, the caller on core 0 part 0. Which core computes a part does not change its bits.
 *
 * Core 1 waits in RAM and with no interrupt switched on, so it reads nothing while core 0 writes the flash. It sleeps between jobs (WFE);
 * SEV wakes it, also where it comes before the WFE. A fault of core 1 is told like one of core 0: both have the same vectors.
 *
 * Sources: RP2040 Datasheet (SIO, power-on state machine; 2.8.2, launching code on core 1); RP2350 Datasheet (the same; 5.3).
 */
#include "bare_split.h"
#include "rp2.h"

#if BM_THREADS > 1
#define SIO 0xD0000000u
#define FIFO_STATUS REG(SIO + 0x50u)
#define FIFO_WRITE REG(SIO + 0x54u)
#define FIFO_READ REG(SIO + 0x58u)
#define FIFO_HAS 1u
#define FIFO_ROOM 2u
#define VTOR REG(0xE000ED08u)
#define CPACR REG(0xE000ED88u)

#define STACK_WORDS 768u /* a product of the kernels m0 takes 3 KB with its tables */
#define PATIENCE_MS 10u /* for the boot ROM of core 1, which answers within microseconds */

static struct {
    bm_part_fn work;
    void *job;
    uint32_t number; /* of the job; a change is the signal to start (atomic) */
    uint32_t done; /* number of the last job whose part 1 is finished (atomic) */
} pool;

/* Where core 1 begins. */
RP2_IN_RAM static void help(void)
{
#if __ARM_ARCH > 6
    CPACR |= 0xFu << 20; /* each core has a floating point unit of its own */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    for (uint32_t last = 0;;) {
        const uint32_t number = __atomic_load_n(&pool.number, __ATOMIC_ACQUIRE);
        if (number == last) {
            __asm__ volatile("wfe");
            continue;
        }
        pool.work(pool.job, 1, 2);
        last = number;
        __atomic_store_n(&pool.done, last, __ATOMIC_RELEASE);
    }
}

RP2_IN_RAM static void split(bm_part_fn work, void *job)
{
    const uint32_t number = __atomic_load_n(&pool.number, __ATOMIC_RELAXED) + 1u;
    pool.work = work;
    pool.job = job;
    __atomic_store_n(&pool.number, number, __ATOMIC_RELEASE);
    __asm__ volatile("dsb\n\tsev" ::: "memory");
    work(job, 0, 2);
    while (__atomic_load_n(&pool.done, __ATOMIC_ACQUIRE) != number) continue;
}

static int waits_for(uint32_t status, uint32_t since)
{
    while (!(FIFO_STATUS & status))
        if (bare_line_millis(NULL) - since > PATIENCE_MS) return -1;
    return 0;
}

/* The boot ROM of core 1 is told six words and says each one back; after another answer all begins anew. */
static int launch(void)
{
    static uint64_t stack[STACK_WORDS]; /* aligned to 8 bytes */
    const uint32_t words[] = {
        0, 0, 1, VTOR, (uint32_t)(uintptr_t)(stack + STACK_WORDS), (uint32_t)(uintptr_t)help};
    const uint32_t since = bare_line_millis(NULL);
    SET(PSM_OFF) = PSM_CORE1; /* a debug probe restarts core 0 alone */
    while (!(REG(PSM_OFF) & PSM_CORE1)) continue;
    CLEAR(PSM_OFF) = PSM_CORE1;
    for (uint32_t i = 0; i < sizeof words / sizeof *words;) {
        if (!words[i]) /* what was left in the FIFO, from a start or a try before */
            while (FIFO_STATUS & FIFO_HAS) (void)FIFO_READ;
        if (waits_for(FIFO_ROOM, since) != 0) return -1;
        FIFO_WRITE = words[i];
        __asm__ volatile("sev");
        if (waits_for(FIFO_HAS, since) != 0) return -1;
        i = FIFO_READ == words[i] ? i + 1u : 0;
        if (bare_line_millis(NULL) - since > PATIENCE_MS) return -1;
    }
    return 0;
}

void bare_split_start(bm_state *s)
{
    if (launch() == 0) s->split = split;
}
#endif
