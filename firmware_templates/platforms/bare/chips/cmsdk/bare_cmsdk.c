/* SPDX-License-Identifier: MIT-0 */
/* Arm's MPS boards with a Cortex-M: CMSDK UART, SysTick, faults. BARE_UART, BARE_UART_IRQ and BARE_HZ come from the board's profile.
 *
 * Sources: Armv7-M and Armv8-M Architecture Reference Manuals (DDI 0403, DDI 0553); Cortex-M System Design Kit (DDI 0479), APB UART;
 * application notes AN500 and AN547 (memory maps, interrupts, clocks).
 */
#include "bare.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define SYSTICK_CONTROL REG(0xE000E010)
#define SYSTICK_RELOAD REG(0xE000E014)
#define SYSTICK_NOW REG(0xE000E018)
#define NVIC_ENABLE(irq) REG(0xE000E100 + 4u * ((irq) / 32u))
#define AIRCR REG(0xE000ED0C)
#define CFSR REG(0xE000ED28)
#define HFSR REG(0xE000ED2C)
#define BFAR REG(0xE000ED38)

#define UART_DATA REG(BARE_UART)
#define UART_STATE REG(BARE_UART + 0x4)
#define UART_CONTROL REG(BARE_UART + 0x8)
#define UART_INTERRUPT REG(BARE_UART + 0xC)
#define UART_DIVISOR REG(BARE_UART + 0x10)
#define UART_FULL 1u /* what is sent */
#define UART_READY 2u /* what was received */
#define UART_OVERRUN 8u

#define TICKS (BARE_HZ / 1000u)
#define BAUD 115200u

static bare_ring received;
static volatile uint32_t ms;

/* Called by interrupts (bare_cmsdk_start.S). */
void bare_tick(void);
void bare_receive(void);

void bare_tick(void) { ms++; }

void bare_receive(void)
{
    UART_INTERRUPT = 2u; /* first: a byte that comes while the last ones are taken asks again */
    while (UART_STATE & UART_READY) bare_ring_put(&received, (uint8_t)UART_DATA);
    if (UART_STATE & UART_OVERRUN) {
        UART_STATE = UART_OVERRUN;
        received.lost++;
    }
}

static void line_write(void *user, const void *from, size_t bytes)
{
    const uint8_t *p = from;
    (void)user;
    for (size_t i = 0; i < bytes; i++) {
        while (UART_STATE & UART_FULL) continue;
        UART_DATA = p[i];
    }
}

static void line_reset(void *user)
{
    (void)user;
    __asm__ volatile("dsb" ::: "memory");
    AIRCR = 0x05FA0004u;
    for (;;) continue;
}

static size_t line_read(void *user, void *into, size_t room)
{
    (void)user;
    __asm__ volatile("cpsid i" ::: "memory");
    bare_receive();
    __asm__ volatile("cpsie i" ::: "memory");
    return bare_ring_take(&received, into, room);
}

/* Whole milliseconds and the part of one that SysTick has counted down. */
static uint64_t line_cycles(void *user)
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

static uint32_t line_millis(void *user)
{
    (void)user;
    return ms;
}

static void line_idle(void *user, uint32_t limit)
{
    const uint32_t since = ms;
    (void)user;
    while (received.first == received.end && ms - since < limit) __asm__ volatile("wfi");
}

static uint32_t line_lost(void *user)
{
    (void)user;
    return received.lost;
}

void bare_start(void)
{
    UART_DIVISOR = BARE_HZ / BAUD;
    UART_CONTROL = 0x0Bu; /* send, receive, interrupt when something came */
    NVIC_ENABLE(BARE_UART_IRQ) = 1u << BARE_UART_IRQ % 32u;
    SYSTICK_RELOAD = TICKS - 1u;
    SYSTICK_NOW = 0;
    SYSTICK_CONTROL = 7u;
}

const struct bm_port *bare_port(void)
{
    static const struct bm_port port = {NULL, line_read, line_write, line_cycles, line_millis, line_reset,
        BARE_HZ, bare_stack_peak, line_idle, NULL, line_lost};
    return &port;
}

/* frame: r0 - r3, r12, lr, pc and xPSR, as the processor stored them. */
void bare_fault(const uint32_t *frame);
void bare_fault(const uint32_t *frame)
{
    static const char *const names[] = {"pc", "lr", "CFSR", "HFSR", "address"};
    const uintptr_t values[] = {frame[6], frame[5], CFSR, HFSR, BFAR};
    bare_say(line_write, "HardFault", names, values, 5);
    line_reset(NULL);
}
