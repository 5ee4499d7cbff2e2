/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of a chip: its boot ROM's functions are those of rp2_store_driver.c. */
#ifndef RP2_CHIP_H
#define RP2_CHIP_H

#include <stdint.h>

#define PADS_QSPI 0u

uintptr_t rp2_rom(uint32_t code);

#endif
