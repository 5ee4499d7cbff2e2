/* SPDX-License-Identifier: MIT-0 */
/* Source: Armv6-M, Armv7-M and Armv8-M Architecture Reference Manuals (DDI 0419, DDI 0403, DDI 0553). */
#include "bare_cortexm.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define SYSTICK_CONTROL REG(0xE000E010)
#define SYSTICK_RELOAD REG(0xE000E014)
#define SYSTICK_NOW REG(0xE000E018)
#define NVIC_ENABLE(irq) REG(0xE000E100 + 4u * ((irq) / 32u))
#define CFSR REG(0xE000ED28)
#define HFSR REG(0xE000ED2C)
#define BFAR REG(0xE000ED38)

#define TICKS (BARE_HZ / 1000u)

bare_ring bare_received;
static volatile uint32_t ms;

/* Called by interrupts (bare_cortexm_start.S). */
void bare_tick(void);
void bare_tick(void) { ms++; }

size_t bare_line_read(void *user, void *into, size_t room)
{
    (void)user;
    bare_interrupts_off();
    bare_receive();
    bare_interrupts_on();
    return bare_ring_take(&bare_received, into, room);
}

/* Whole milliseconds and the part of one that SysTick has counted down. */
uint64_t bare_line_cycles(void *user)
{
    static uint32_t last, wraps;
    uint32_t before, part;
    (void)user;
    do {
        before = ms;
        part = SYSTICK_RELOAD - SYSTICK_NOW;
    } while (before != ms);
    wraps += before < last;
    last = before;
    return ((uint64_t)wraps << 32 | before) * TICKS + part;
}

uint32_t bare_line_millis(void *user)
{
    (void)user;
    return ms;
}

void bare_line_idle(void *user, uint32_t limit)
{
    const uint32_t since = ms;
    (void)user;
    while (bare_received.first == bare_received.end && ms - since < limit) __asm__ volatile("wfi");
}

uint32_t bare_line_lost(void *user)
{
    (void)user;
    return bare_received.lost;
}

void bare_cortexm_start(void)
{
    NVIC_ENABLE(BARE_UART_IRQ) = 1u << BARE_UART_IRQ % 32u;
    SYSTICK_RELOAD = TICKS - 1u;
    SYSTICK_NOW = 0;
    SYSTICK_CONTROL = 7u;
}

/* frame: r0 - r3, r12, lr, pc and xPSR, as the processor stored them. */
void bare_fault(const uint32_t *frame);
void bare_fault(const uint32_t *frame)
{
#if __ARM_ARCH > 6
    static const char *const names[] = {"pc", "lr", "CFSR", "HFSR", "address"};
    const uintptr_t values[] = {frame[6], frame[5], CFSR, HFSR, BFAR};
#else
    static const char *const names[] = {"pc", "lr"};
    const uintptr_t values[] = {frame[6], frame[5]};
#endif
    bare_say(bare_line_write, "HardFault", names, values, sizeof values / sizeof *values);
    bare_line_reset(NULL);
}
