/* SPDX-License-Identifier: MIT-0 */
/* "BMPV", number of steps; then for each: token, CRC-32 of its logits as int32. */
#include "bm_update_proof.h"

#include <string.h>

#include "bm_bytes.h"
#include "bm_crc32.h"

static void add_logits(void *context, uint32_t first, const int32_t *acc, uint32_t n)
{
    uint32_t *crc = context;
    (void)first;
    *crc = bm_crc32(*crc, acc, 4u * n); /* every processor that this runs on is little-endian */
}

int bm_update_prove(bm_state *s, const uint8_t *proof, uint32_t n)
{
    if (n < 16u || memcmp(proof, "BMPV", 4) != 0) return 0;
    const uint32_t steps = bm_get_u32(proof + 4);
    if (steps == 0 || steps > (n - 8u) / 8u) return 0;
    s->memory_on = 0;
    for (uint32_t i = 0; i < steps; i++) {
        const uint8_t *step = proof + 8u + 8u * i;
        uint32_t crc = 0;
        if (bm_step(s, bm_get_u32(step)) != BM_OK) return 0;
        bm_logits(s, add_logits, &crc);
        if (crc != bm_get_u32(step + 4)) return 0;
    }
    return 1;
}
