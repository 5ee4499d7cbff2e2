/* SPDX-License-Identifier: MIT-0 */
#include "web_store.h"

#include <string.h>

#include "bm_store.h"
#include "web.h"

static bm_store store;
static uint8_t *disk, *changed; /* changed: one byte for each unit */
static uint32_t disk_bytes, units, seen; /* seen: units from here on may have changed */

static bm_store_status disk_read(void *context, uint64_t offset, void *to, uint32_t n)
{
    (void)context;
    if (offset > disk_bytes || n > disk_bytes - offset) return BM_STORE_SHORT;
    memcpy(to, disk + offset, n);
    return BM_STORE_OK;
}

static bm_store_status disk_write(void *context, uint64_t offset, const void *from, uint32_t n)
{
    (void)context;
    if (offset > disk_bytes || n > disk_bytes - offset) return BM_STORE_SHORT;
    const uint32_t first = (uint32_t)offset / BM_STORE_UNIT;
    memcpy(disk + offset, from, n);
    memset(changed + first, 1, n / BM_STORE_UNIT);
    if (first < seen) seen = first;
    return BM_STORE_OK;
}

/* The host keeps what has changed when the episode is over, all of it or nothing. */
static bm_store_status disk_sync(void *context)
{
    (void)context;
    return BM_STORE_OK;
}

const char *web_store_start(bm_state *s)
{
    static const uint8_t digest[32] = BM_MODEL_DIGEST;
    const bm_store_device device = {disk_read, disk_write, disk_sync, NULL, NULL, disk_bytes};
    if (!disk) return bm_store_text(BM_STORE_MISSING);
    const bm_store_status status = bm_store_open(&store, &device, BM_SLOTS, BM_D, digest, bm_store_work(s));
    if (status != BM_STORE_OK) return bm_store_text(status);
    const bm_tier rows = bm_store_tier(&store);
    bm_use_memory(s, &rows);
    return NULL;
}

WEB_EXPORT(bm_web_store) uint8_t *bm_web_store(uint32_t bytes)
{
    units = bytes / BM_STORE_UNIT;
    seen = units;
    disk_bytes = bytes;
    disk = web_new(bytes);
    changed = web_new(units + 1u);
    return changed ? disk : NULL;
}

WEB_EXPORT(bm_web_store_unit) uint32_t bm_web_store_unit(void) { return BM_STORE_UNIT; }

WEB_EXPORT(bm_web_store_changed) int32_t bm_web_store_changed(void)
{
    while (seen < units && !changed[seen]) seen++;
    if (seen == units) return -1;
    changed[seen] = 0;
    return (int32_t)(seen * BM_STORE_UNIT);
}
