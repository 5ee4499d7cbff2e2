/* SPDX-License-Identifier: MIT-0 */
/* RP2350 Datasheet: address map, resets, power-on state machine. */
#ifndef RP2_CHIP_H
#define RP2_CHIP_H

#include <stdint.h>

#define CLOCKS 0x40010000u
#define RESETS 0x40020000u
#define IO 0x40028000u
#define PADS 0x40038000u
#define PADS_QSPI 0x40040000u
#define XOSC 0x40048000u
#define PLL 0x40050000u
#define UART0 0x40070000u
#define WATCHDOG 0x400D8000u
#define PSM_OFF 0x40018004u
#define PSM_CORE1 (1u << 24)
#define PSM_WDSEL 0x40018008u
#define PSM_ALL 0x1FFFFF3u /* without both oscillators */
#define RESET_PLL (1u << 14)
#define RESET_USED (1u << 6 | 1u << 9 | 1u << 26) /* IO, pads, UART0 */

/* A function of the boot ROM by its code, 0 if it has none (Datasheet, "Bootrom APIs": the half at 0x16 is what looks it up; 4 asks for
 * secure functions of the Arm cores). */
static inline uintptr_t rp2_rom(uint32_t code)
{
    typedef uintptr_t (*lookup)(uint32_t code, uint32_t kind);
    uintptr_t at = 0x16;
    __asm__("" : "+r"(at)); /* gcc takes small constants for null pointers */
    return ((lookup)(uintptr_t)*(const volatile uint16_t *)at)(code, 4u);
}

#endif
