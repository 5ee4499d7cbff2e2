/* SPDX-License-Identifier: Apache-2.0 */
#include "nor_flash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void nor_must(int holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "the flash is used wrongly: %s\n", what);
    exit(4);
}

static uint32_t any(nor_flash *f)  /* xorshift32 */
{
    f->chance ^= f->chance << 13;
    f->chance ^= f->chance >> 17;
    return f->chance ^= f->chance << 5;
}

/* `n` bytes become `to`, or the power goes and leaves a part of that. */
static void change(nor_flash *f, uint32_t at, const uint8_t *to, uint32_t n, int erases)
{
    uint8_t *const bytes = f->bytes + at;
    if (++f->operations != f->cut_at) {
        memcpy(bytes, to, n);
        return;
    }
    const uint32_t front = any(f) % n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t done = 0; /* bits of the byte that are changed */
        if (f->fate == NOR_FRONT) done = i < front ? 0xFFu : i == front ? any(f) & 0xFFu : 0;
        if (f->fate == NOR_SCATTERED) done = any(f) & 0xFFu;
        if (f->fate == NOR_DEEP) done = 0xFFu;
        const uint32_t becomes = erases && f->fate == NOR_DEEP ? 0 : to[i];
        bytes[i] = (uint8_t)((bytes[i] & ~done) | (becomes & done));
    }
    longjmp(f->dark, 1);
}

void nor_erase(nor_flash *f, uint32_t at)
{
    uint8_t erased[NOR_SECTOR];
    nor_must(at % NOR_SECTOR == 0 && at < NOR_BYTES, "an erasure that is no sector");
    memset(erased, 0xFF, sizeof erased);
    if (f->worn == at / NOR_SECTOR + 1u) erased[NOR_SECTOR - 1u] = f->bytes[at + NOR_SECTOR - 1u] & 0x7Fu;
    f->erasures[at / NOR_SECTOR]++;
    change(f, at, erased, sizeof erased, 1);
}

void nor_program(nor_flash *f, uint32_t at, const uint8_t *from)
{
    uint8_t page[NOR_PAGE];
    nor_must(at % NOR_PAGE == 0 && at < NOR_BYTES, "what is programmed is no page");
    for (uint32_t i = 0; i < NOR_PAGE; i++) {
        const int worn = f->worn == at / NOR_SECTOR + 1u && (at + i) % NOR_SECTOR == NOR_SECTOR - 1u;
        nor_must(!(from[i] & ~f->bytes[at + i]) || worn, "programming makes no bit 1");
        page[i] = f->bytes[at + i] & from[i];
    }
    change(f, at, page, sizeof page, 0);
}
