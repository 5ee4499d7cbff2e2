/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated NOR flash that loses power.
 *
 * A sector of 4096 bytes is erased to 0xFF, a page of 256 is programmed, which only clears bits: a bit that would have to become 1 ends
 * the program with a sentence, as does a place that is no whole page or sector. (W25Q16JV, datasheet: Page Program, Sector Erase.)
 */
#ifndef NOR_FLASH_H
#define NOR_FLASH_H

#include <setjmp.h>
#include <stdint.h>

#define NOR_SECTOR 4096u
#define NOR_PAGE 256u
#define NOR_BYTES (2u << 20)
#define NOR_SECTORS (NOR_BYTES / NOR_SECTOR)

/* What the operation that the power leaves has done. */
typedef enum {
    NOR_NOTHING,
    NOR_FRONT, /* a part of it from the start, the last byte half */
    NOR_SCATTERED, /* any of its bits */
    NOR_DEEP, /* an erasure: it has programmed all bits to 0, as it begins; a page: all of it */
    NOR_FATES
} nor_fate;

typedef struct {
    uint8_t bytes[NOR_BYTES];
    uint32_t erasures[NOR_SECTORS];
    uint32_t operations; /* sectors erased and pages programmed, since power on */
    uint32_t cut_at; /* the operation that the power leaves, counted from 1; 0: never */
    nor_fate fate;
    uint32_t chance; /* state of what is by chance; not 0 */
    uint32_t worn; /* the sector, counted from 1, whose last bit no longer becomes 1; 0: none */
    jmp_buf dark; /* where the program goes on without power */
} nor_flash;

/* `at`: from the start of the flash. */
void nor_erase(nor_flash *f, uint32_t at);
void nor_program(nor_flash *f, uint32_t at, const uint8_t *from);

/* End the program with a sentence, unless it holds. */
void nor_must(int holds, const char *what);

#endif
