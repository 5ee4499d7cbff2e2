/* SPDX-License-Identifier: MIT-0 */
/* Clocks, serial port (UART0 on GPIO 0 and 1) and reset of an RP2040 or RP2350. BARE_HZ and BARE_UART_IRQ come from the board's profile.
 *
 * Sources: RP2040 and RP2350 Datasheets (clocks, PLL, UART, pads, watchdog); PrimeCell UART PL011 (DDI 0183).
 */
#include "rp2.h"

#define XOSC_STATUS (XOSC + 0x04u)
#define XOSC_STARTUP (XOSC + 0x0Cu)
#define CLK_REF (CLOCKS + 0x30u)
#define CLK_SYS (CLOCKS + 0x3Cu)
#define CLK_PERI (CLOCKS + 0x48u)
#define SELECTED 8u

#define UART_DATA REG(UART0)
#define UART_FLAGS REG(UART0 + 0x18u)
#define UART_IBRD REG(UART0 + 0x24u)
#define UART_FBRD REG(UART0 + 0x28u)
#define UART_LINE REG(UART0 + 0x2Cu)
#define UART_CONTROL REG(UART0 + 0x30u)
#define UART_MASK REG(UART0 + 0x38u)
#define UART_CLEAR REG(UART0 + 0x44u)
#define UART_BUSY 8u
#define UART_EMPTY 16u /* nothing was received */
#define UART_FULL 32u /* what is sent */
#define UART_OVERRUN 0x800u /* with a byte */
#define UART_RECEIVED 0x50u /* interrupts: the FIFO is half full; something in it is old */

#define CRYSTAL_HZ 12000000u
#define VCO 125u /* times the crystal: 1500 MHz */
#define BAUD 115200u
#define LEAST_BAUD 1200u
#define MOST_BAUD 3000000u

static void clocks(void)
{
    REG(XOSC_STARTUP) = 282u; /* times 256 cycles: 6 ms */
    REG(XOSC) = 0xFABAA0u; /* on, 1 to 15 MHz */
    while (!(REG(XOSC_STATUS) & 1u << 31)) continue;
    REG(CLK_REF) = 2u; /* the crystal */
    while (!(REG(CLK_REF + SELECTED) & 1u << 2)) continue;
    REG(CLK_SYS) = 0; /* clk_ref, while the PLL starts */
    while (!(REG(CLK_SYS + SELECTED) & 1u)) continue;

    REG(PLL + 8u) = VCO;
    CLEAR(PLL + 4u) = 0x21u; /* power for PLL and VCO */
    while (!(REG(PLL) & 1u << 31)) continue;
    REG(PLL + 12u) = (VCO * CRYSTAL_HZ / BARE_HZ / 2u) << 16 | 2u << 12; /* two dividers */
    CLEAR(PLL + 4u) = 8u; /* power for them */
    REG(CLK_SYS) = 1u; /* the PLL */
    while (!(REG(CLK_SYS + SELECTED) & 2u)) continue;
    REG(CLK_PERI) = 1u << 11; /* clk_sys */
}

static void speed(uint32_t baud)
{
    const uint32_t divisor = (BARE_HZ * 4u + baud / 2u) /
                             baud; /* of 16 times the rate, 6 bits behind the point */
    UART_IBRD = divisor >> 6;
    UART_FBRD = divisor & 63u;
    UART_LINE = 0x70u; /* takes the divisor, too: 8 bits, FIFOs */
}

void bare_receive(void)
{
    UART_CLEAR = UART_RECEIVED; /* first: a byte that comes while the last ones are taken asks again */
    while (!(UART_FLAGS & UART_EMPTY)) {
        const uint32_t data = UART_DATA;
        bare_ring_put(&bare_received, (uint8_t)data);
        if (data & UART_OVERRUN) bare_received.lost++;
    }
}

void bare_line_write(void *user, const void *from, size_t bytes)
{
    const uint8_t *p = from;
    (void)user;
    for (size_t i = 0; i < bytes; i++) {
        while (UART_FLAGS & UART_FULL) continue;
        UART_DATA = p[i];
    }
}

static int set_baud(void *user, uint32_t baud)
{
    (void)user;
    if (baud < LEAST_BAUD || baud > MOST_BAUD) return -1;
    while (UART_FLAGS & UART_BUSY) continue;
    UART_CONTROL = 0;
    speed(baud);
    UART_CONTROL = 0x301u;
    return 0;
}

/* All but the oscillators, by the watchdog: the boot ROM starts anew. */
void bare_line_reset(void *user)
{
    (void)user;
    while (UART_FLAGS & UART_BUSY) continue;
    REG(PSM_WDSEL) = PSM_ALL;
    SET(WATCHDOG) = 1u << 31;
    for (;;) continue;
}

void bare_start(void)
{
    bare_interrupts_off();
    rp2_fast_flash();
    CLEAR(RESETS) = RESET_PLL;
    while (~REG(RESETS + 8u) & RESET_PLL) continue;
    clocks();
    CLEAR(RESETS) = RESET_USED;
    while (~REG(RESETS + 8u) & RESET_USED) continue;
    REG(PADS + 4u) = 0x56u; /* GPIO 0: output, 4 mA */
    REG(PADS + 8u) = 0x5Au; /* GPIO 1: input, pulled up, so that an open line rests */
    REG(IO + 4u) = 2u; /* UART0 */
    REG(IO + 12u) = 2u;
    speed(BAUD);
    UART_CONTROL = 0x301u; /* on, both ways */
    UART_MASK = UART_RECEIVED;
    bare_cortexm_start();
    bare_interrupts_on();
}

const struct bm_port *bare_port(void)
{
    static const struct bm_port port = {NULL, bare_line_read, bare_line_write, bare_line_cycles,
        bare_line_millis, bare_line_reset, BARE_HZ, bare_stack_peak, bare_line_idle, set_baud,
        bare_line_lost};
    return &port;
}
