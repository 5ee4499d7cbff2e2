/* SPDX-License-Identifier: MIT-0 */
/* The memory's store in the program's own flash: a unit of the store is a sector, erased and written as a whole.
 *
 * The boot ROM does it (RP2040 Datasheet, "Bootrom Contents"; RP2350 Datasheet, "Bootrom APIs"). Meanwhile nothing can be read from
 * flash: this code and what it calls lie in RAM, and interrupts, whose handlers do not, are off, for some 50 ms.
 */
#include <string.h>

#include "bare_store.h"
#include "bm_store.h"
#include "rp2.h"

#define FLASH_BASE 0x10000000u
#define ERASE_SECTOR 0x20u /* the flash's instruction for 4096 bytes */
#define CODE(a, b) ((uint32_t)(a) | (uint32_t)(b) << 8)

extern uint8_t rp2_memory[], rp2_memory_end[];

static struct {
    void (*connect)(void);
    void (*leave_xip)(void);
    void (*erase)(uint32_t at, size_t n, uint32_t block, uint8_t instruction);
    void (*program)(uint32_t at, const uint8_t *from, size_t n);
    void (*flush_cache)(void);
    void (*enter_xip)(void);
} rom;

/* `at`: from the start of the flash. */
RP2_IN_RAM static void write_sectors(uint32_t at, const uint8_t *from, uint32_t n)
{
    bare_interrupts_off();
    rom.connect();
    rom.leave_xip();
    rom.erase(at, n, BM_STORE_UNIT, ERASE_SECTOR);
    rom.program(at, from, n);
    rom.flush_cache();
    rom.enter_xip();
    rp2_fast_flash();
    bare_interrupts_on();
}

static bm_store_status flash_read(void *context, uint64_t offset, void *to, uint32_t n)
{
    (void)context;
    memcpy(to, rp2_memory + (uint32_t)offset, n);
    return BM_STORE_OK;
}

/* Read back: worn flash is told, not hidden. */
static bm_store_status flash_write(void *context, uint64_t offset, const void *from, uint32_t n)
{
    const uint8_t *const to = rp2_memory + (uint32_t)offset;
    (void)context;
    for (uint32_t done = 0; done < n; done += BM_STORE_UNIT)
        write_sectors(
            (uint32_t)(uintptr_t)(to + done) - FLASH_BASE, (const uint8_t *)from + done, BM_STORE_UNIT);
    return memcmp(to, from, n) == 0 ? BM_STORE_OK : BM_STORE_IO;
}

static bm_store_status flash_sync(void *context)
{
    (void)context;
    return BM_STORE_OK; /* written when the call returns */
}

static int find_rom(void)
{
    const uintptr_t found[] = {rp2_rom(CODE('I', 'F')), rp2_rom(CODE('E', 'X')), rp2_rom(CODE('R', 'E')),
        rp2_rom(CODE('R', 'P')), rp2_rom(CODE('F', 'C')), rp2_rom(CODE('C', 'X'))};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++)
        if (!found[i]) return -1;
    memcpy(&rom, found, sizeof rom);
    return 0;
}

const char *bare_store_start(bm_state *s)
{
    static bm_store store;
    static const uint8_t digest[32] = BM_MODEL_DIGEST;
    const bm_store_device device = {
        flash_read, flash_write, flash_sync, NULL, NULL, (uint64_t)(rp2_memory_end - rp2_memory)};
    if (find_rom() != 0) return "the boot ROM has no functions that write the flash";
    const bm_store_status status = bm_store_open(&store, &device, BM_SLOTS, BM_D, digest, bm_store_work(s));
    if (status != BM_STORE_OK) return bm_store_text(status);
    const bm_tier rows = bm_store_tier(&store);
    bm_use_memory(s, &rows);
    return NULL;
}
