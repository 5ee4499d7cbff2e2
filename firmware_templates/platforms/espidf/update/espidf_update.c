/* SPDX-License-Identifier: MIT-0 */
#include "espidf_update.h"

#include "bm_bytes.h"
#include "bm_update_proof.h"
#include "esp_partition.h"
#include "esp_task_wdt.h"
#if BM_UPDATE_SIGNED
#include "bm_update_signature.h"
#else
#define bm_update_signed NULL
#endif

#define UPDATE_TYPE 0x40
#define FIRST_SUBTYPE 0x02 /* of the records; the slots follow */
#define TRIAL_MS 30000     /* longer than any chip takes for a new model and its proof */

static bm_update update;
static const esp_partition_t *areas[BM_UPDATE_AREAS];
static const bm_ram *rams;
static bm_state *model;

static int device_read(void *context, uint32_t area, uint32_t offset, void *to, uint32_t n)
{
    (void)context;
    return esp_partition_read(areas[area], offset, to, n) == ESP_OK ? 0 : -1;
}

static int device_write(void *context, uint32_t area, uint32_t offset, const void *unit)
{
    (void)context;
    if (esp_partition_erase_range(areas[area], offset, BM_UPDATE_UNIT) != ESP_OK) return -1;
    return esp_partition_write(areas[area], offset, unit, BM_UPDATE_UNIT) == ESP_OK ? 0 : -1;
}

/* A model that hangs in its proof restarts the chip, and has one try less. Idle tasks are not watched: the model computes without a
 * pause. Nobody is watched any more afterwards. */
static void watch(void)
{
    const esp_task_wdt_config_t trial = {.timeout_ms = TRIAL_MS, .idle_core_mask = 0, .trigger_panic = true};
    if (esp_task_wdt_reconfigure(&trial) != ESP_OK) esp_task_wdt_init(&trial);
    esp_task_wdt_add(NULL);
}

/* As bm_update_try, of a package that is mapped. */
static int start_package(const uint8_t *package, uint32_t proof_at, uint32_t proof_bytes, int proof)
{
    bm_status status = bm_init(model, package, BM_BLOB_BYTES, rams);
    if (status == BM_OK && proof) {
        if (!bm_update_prove(model, package + proof_at, proof_bytes)) return 1;
        status = bm_init(model, package, BM_BLOB_BYTES, rams);
    }
    if (status == BM_OK) return 0;
    return proof || status == BM_ERR_BLOB || status == BM_ERR_TOKENIZER ? 1 : -1;
}

static int attempt(void *context, uint32_t area, const bm_slot *slot, int proof)
{
    const uint32_t n = bm_get_u32(slot->head + BM_UPDATE_PROOF_AT), at = bm_update_filled(BM_BLOB_BYTES);
    const void *package;
    esp_partition_mmap_handle_t handle;
    (void)context;
    if (proof && !bm_update_whole(&update, area)) return 1;
    if (esp_partition_mmap(areas[area], 0, at + n, ESP_PARTITION_MMAP_DATA, &package, &handle) != ESP_OK)
        return -1;
    if (proof) watch();
    const int bad = start_package(package, at, n, proof);
    if (proof) esp_task_wdt_delete(NULL);
    if (bad) esp_partition_munmap(handle);
    return bad;
}

bm_update *espidf_updates(void) { return &update; }

int espidf_update_start(bm_state *s, const bm_ram ram[BM_RAMS])
{
    static const uint8_t build[32] = BM_UPDATE_BUILD;
    int there = 1;
    model = s;
    rams = ram;
    for (uint32_t i = 0; i < BM_UPDATE_AREAS; i++) {
        areas[i] = esp_partition_find_first(
            (esp_partition_type_t)UPDATE_TYPE, (esp_partition_subtype_t)(FIRST_SUBTYPE + i), NULL);
        there &= areas[i] != NULL && areas[i]->size >= 2u * BM_UPDATE_UNIT;
    }
    if (!there)
        return 0; /* the partition table of another project: a host is told that this takes no updates */
    const uint32_t a = areas[BM_UPDATE_A]->size, b = areas[BM_UPDATE_B]->size;
    const bm_update_device device = {NULL, device_read, device_write, a < b ? a : b, bm_update_signed};
    bm_update_open(&update, &device, build, BM_BLOB_BYTES);
    return bm_update_start(&update, attempt, NULL) != BM_UPDATE_FACTORY;
}
