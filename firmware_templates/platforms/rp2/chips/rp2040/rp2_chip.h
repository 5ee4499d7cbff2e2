/* SPDX-License-Identifier: MIT-0 */
/* RP2040 Datasheet: address map, resets, power-on state machine. */
#ifndef RP2_CHIP_H
#define RP2_CHIP_H

#define CLOCKS 0x40008000u
#define RESETS 0x4000C000u
#define IO 0x40014000u
#define PADS 0x4001C000u
#define PADS_QSPI 0x40020000u
#define XOSC 0x40024000u
#define PLL 0x40028000u
#define UART0 0x40034000u
#define WATCHDOG 0x40058000u
#define PSM_WDSEL 0x40010008u
#define PSM_ALL 0x1FFFCu /* without both oscillators */
#define RESET_PLL (1u << 12)
#define RESET_USED (1u << 5 | 1u << 8 | 1u << 22) /* IO, pads, UART0 */

#endif
