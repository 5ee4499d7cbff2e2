/* SPDX-License-Identifier: MIT-0 */
/* Arm's MPS boards with a Cortex-M: CMSDK UART. BARE_UART, BARE_UART_IRQ and BARE_HZ come from the board's profile.
 *
 * Sources: Cortex-M System Design Kit (DDI 0479), APB UART; application notes AN500, AN505 and AN547 (memory maps, interrupts, clocks).
 */
#include "bare_cortexm.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define AIRCR REG(0xE000ED0C)

#define UART_DATA REG(BARE_UART)
#define UART_STATE REG(BARE_UART + 0x4)
#define UART_CONTROL REG(BARE_UART + 0x8)
#define UART_INTERRUPT REG(BARE_UART + 0xC)
#define UART_DIVISOR REG(BARE_UART + 0x10)
#define UART_FULL 1u /* what is sent */
#define UART_READY 2u /* what was received */
#define UART_OVERRUN 8u

#define BAUD 115200u

void bare_receive(void)
{
    UART_INTERRUPT = 2u; /* first: a byte that comes while the last ones are taken asks again */
    while (UART_STATE & UART_READY) bare_ring_put(&bare_received, (uint8_t)UART_DATA);
    if (UART_STATE & UART_OVERRUN) {
        UART_STATE = UART_OVERRUN;
        bare_received.lost++;
    }
}

void bare_line_write(void *user, const void *from, size_t bytes)
{
    const uint8_t *p = from;
    (void)user;
    for (size_t i = 0; i < bytes; i++) {
        while (UART_STATE & UART_FULL) continue;
        UART_DATA = p[i];
    }
}

void bare_line_reset(void *user)
{
    (void)user;
    __asm__ volatile("dsb" ::: "memory");
    AIRCR = 0x05FA0004u;
    for (;;) continue;
}

void bare_start(void)
{
    UART_DIVISOR = BARE_HZ / BAUD;
    UART_CONTROL = 0x0Bu; /* send, receive, interrupt when something came */
    bare_cortexm_start();
}

const struct bm_port *bare_port(void)
{
    static const struct bm_port port = {NULL, bare_line_read, bare_line_write, bare_line_cycles,
        bare_line_millis, bare_line_reset, BARE_HZ, bare_stack_peak, bare_line_idle, NULL, bare_line_lost};
    return &port;
}
