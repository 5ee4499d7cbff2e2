/* SPDX-License-Identifier: MIT-0 */
/* Source: The RISC-V Instruction Set Manual, volume II, Privileged Architecture (machine level). */
#include "bare_riscv.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define MIE 8u                   /* of mstatus: interrupts on */
#define MTIE (1u << 7)
#define MEIE (1u << 11)
#define TIMER 0x80000007u        /* mcause */

bare_ring bare_received;

static uint64_t now(void)
{
    uint32_t high, low;
    do {
        high = REG(BARE_MTIME + 4u);
        low = REG(BARE_MTIME);
    } while (high != REG(BARE_MTIME + 4u));
    return (uint64_t)high << 32 | low;
}

/* When the timer interrupts; no value between the old one and the new one is earlier than both. */
static void wake_at(uint64_t time)
{
    REG(BARE_MTIMECMP + 4u) = UINT32_MAX;
    REG(BARE_MTIMECMP) = (uint32_t)time;
    REG(BARE_MTIMECMP + 4u) = (uint32_t)(time >> 32);
}

static void interrupts_off(void) { __asm__ volatile("csrc mstatus, %0" ::"r"(MIE) : "memory"); }

static void interrupts_on(void) { __asm__ volatile("csrs mstatus, %0" ::"r"(MIE) : "memory"); }

/* Called by the trap (bare_riscv_start.S). */
void bare_interrupt(uint32_t cause);
void bare_interrupt(uint32_t cause)
{
    if (cause == TIMER) wake_at(UINT64_MAX);
    else bare_external();
}

size_t bare_line_read(void *user, void *into, size_t room)
{
    (void)user;
    interrupts_off();
    bare_receive();
    interrupts_on();
    return bare_ring_take(&bare_received, into, room);
}

uint64_t bare_line_cycles(void *user)
{
    (void)user;
    return now();
}

uint32_t bare_line_millis(void *user)
{
    (void)user;
    return (uint32_t)(now() / (BARE_HZ / 1000u));
}

/* wfi also ends for an interrupt that is off, so none can slip in between the look and the sleep. */
void bare_line_idle(void *user, uint32_t limit)
{
    const uint64_t end = now() + (uint64_t)limit * (BARE_HZ / 1000u);
    (void)user;
    while (now() < end) {
        interrupts_off();
        const int came = bare_received.first != bare_received.end;
        if (!came) {
            wake_at(end);
            __asm__ volatile("wfi");
        }
        interrupts_on();
        if (came) return;
    }
}

uint32_t bare_line_lost(void *user)
{
    (void)user;
    return bare_received.lost;
}

void bare_riscv_start(void)
{
    wake_at(UINT64_MAX);
    __asm__ volatile("csrw mie, %0" ::"r"(MTIE | MEIE));
    interrupts_on();
}

/* Called by the trap, with what the processor says of it. */
void bare_fault(uint32_t cause, uint32_t pc, uint32_t value, uint32_t ra);
void bare_fault(uint32_t cause, uint32_t pc, uint32_t value, uint32_t ra)
{
    static const char *const names[] = {"mcause", "pc", "mtval", "ra"};
    const uintptr_t values[] = {cause, pc, value, ra};
    bare_say(bare_line_write, "HardFault (exception in machine mode)", names, values, 4);
    bare_line_reset(NULL);
}
