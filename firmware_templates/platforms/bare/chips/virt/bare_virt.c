/* SPDX-License-Identifier: MIT-0 */
/* QEMU's machine `virt` with a RISC-V core: 16550 UART, interrupt controller (PLIC), test device. BARE_UART, BARE_UART_IRQ, BARE_UART_HZ,
 * BARE_PLIC and BARE_TEST come from the board's profile.
 *
 * Sources: PC16550D data sheet; RISC-V Platform-Level Interrupt Controller Specification 1.0; QEMU's documentation, RISC-V virt.
 */
#include "bare_riscv.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define PLIC_PRIORITY(irq) REG(BARE_PLIC + 4u * (irq))
#define PLIC_ENABLE(irq) REG(BARE_PLIC + 0x2000u + (irq) / 32u * 4u)
#define PLIC_THRESHOLD REG(BARE_PLIC + 0x200000u)
#define PLIC_CLAIM REG(BARE_PLIC + 0x200004u)

#define UART(i) (*(volatile uint8_t *)(uintptr_t)(BARE_UART + (i)))
#define UART_DATA UART(0u)
#define UART_INTERRUPT UART(1u)
#define UART_FIFO UART(2u)
#define UART_LINE UART(3u)
#define UART_STATE UART(5u)
#define UART_READY 1u /* something was received */
#define UART_OVERRUN 2u
#define UART_EMPTY 0x20u /* what is sent has room */

#define BAUD 115200u
#define DIVISOR (BARE_UART_HZ / (16u * BAUD))

/* Reading it forgets an overrun. */
static uint32_t uart_state(void)
{
    const uint32_t state = UART_STATE;
    bare_received.lost += (state & UART_OVERRUN) != 0;
    return state;
}

void bare_receive(void)
{
    while (uart_state() & UART_READY) bare_ring_put(&bare_received, UART_DATA);
}

void bare_external(void)
{
    const uint32_t irq = PLIC_CLAIM;
    if (irq == BARE_UART_IRQ) bare_receive();
    PLIC_CLAIM = irq;
}

void bare_line_write(void *user, const void *from, size_t bytes)
{
    const uint8_t *p = from;
    (void)user;
    for (size_t i = 0; i < bytes; i++) {
        while (!(uart_state() & UART_EMPTY)) continue;
        UART_DATA = p[i];
    }
}

void bare_line_reset(void *user)
{
    (void)user;
    REG(BARE_TEST) = 0x7777u;
    for (;;) continue;
}

void bare_start(void)
{
    UART_LINE = 0x83u; /* 8 bits, and the divisor in place of data */
    UART(0u) = (uint8_t)DIVISOR;
    UART(1u) = (uint8_t)(DIVISOR >> 8);
    UART_LINE = 3u;
    UART_FIFO = 0xC7u; /* on, empty; interrupt at 14 bytes, which QEMU hands over at once, or a pause */
    UART_INTERRUPT = 1u; /* when something came */
    PLIC_PRIORITY(BARE_UART_IRQ) = 1u;
    PLIC_ENABLE(BARE_UART_IRQ) = 1u << BARE_UART_IRQ % 32u;
    PLIC_THRESHOLD = 0;
    bare_riscv_start();
}

const struct bm_port *bare_port(void)
{
    static const struct bm_port port = {NULL, bare_line_read, bare_line_write, bare_line_cycles,
        bare_line_millis, bare_line_reset, BARE_HZ, bare_stack_peak, bare_line_idle, NULL, bare_line_lost};
    return &port;
}
