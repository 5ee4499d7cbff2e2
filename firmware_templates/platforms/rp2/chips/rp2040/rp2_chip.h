/* SPDX-License-Identifier: MIT-0 */
/* RP2040 Datasheet: address map, resets, power-on state machine. */
#ifndef RP2_CHIP_H
#define RP2_CHIP_H

#include <stdint.h>

#define CLOCKS 0x40008000u
#define RESETS 0x4000C000u
#define IO 0x40014000u
#define PADS 0x4001C000u
#define PADS_QSPI 0x40020000u
#define XOSC 0x40024000u
#define PLL 0x40028000u
#define UART0 0x40034000u
#define WATCHDOG 0x40058000u
#define PSM_OFF 0x40010004u
#define PSM_CORE1 (1u << 16)
#define PSM_WDSEL 0x40010008u
#define PSM_ALL 0x1FFFCu /* without both oscillators */
#define RESET_PLL (1u << 12)
#define RESET_USED (1u << 5 | 1u << 8 | 1u << 22) /* IO, pads, UART0 */

/* A function of the boot ROM by its code, 0 if it has none (Datasheet, "Bootrom Contents": halves at 0x14 and 0x18 are the table and
 * what looks it up). */
static inline uintptr_t rp2_rom(uint32_t code)
{
    typedef uintptr_t (*lookup)(uintptr_t table, uint32_t code);
    uintptr_t at = 0x14;
    __asm__("" : "+r"(at)); /* gcc takes small constants for null pointers */
    const volatile uint16_t *const half = (const volatile uint16_t *)at;
    return ((lookup)(uintptr_t)half[2])(half[0], code);
}

#endif
