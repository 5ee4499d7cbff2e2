/* SPDX-License-Identifier: MIT-0 */
/* What the files of an RP2040 or RP2350 share. Addresses are in rp2_chip.h. */
#ifndef RP2_H
#define RP2_H

#include "bare_cortexm.h"
#include "rp2_chip.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
/* The same registers, where writing sets or clears bits and leaves the others. */
#define SET(address) REG((address) + 0x2000u)
#define CLEAR(address) REG((address) + 0x3000u)

/* Code that runs while the flash cannot be read. */
#define RP2_IN_RAM __attribute__((noinline, section(".ram_text")))

/* The chip's file: reads of the flash on four lines instead of one, if the flash says that it can. Interrupts are off. */
RP2_IN_RAM void rp2_fast_flash(void);

/* Pins of the flash for its full speed: a strong, steep clock, and data that is not slowed by hysteresis. */
static inline void rp2_flash_pins(void)
{
    REG(PADS_QSPI + 4u) = 0x21u;
    for (uint32_t i = 0; i < 4u; i++) CLEAR(PADS_QSPI + 8u + 4u * i) = 2u;
}

/* What the flash chips of the boards are told (W25Q16JV, W25Q32RV and others of the kind: datasheets, instruction table). */
enum {
    FLASH_READ_SERIAL = 0x03,
    FLASH_READ_STATUS2 = 0x35,
    FLASH_WRITE_STATUS2 = 0x31,
    FLASH_VOLATILE = 0x50,  /* the next write of a status register lasts until power goes */
    FLASH_READ_QUAD = 0xEB,
    FLASH_QUAD_ENABLE = 2,  /* of status register 2 */
    FLASH_CONTINUOUS = 0xA0,  /* after an address: the next read comes without an instruction */
    FLASH_WAIT = 4  /* clocks between that and the data */
};

#endif
