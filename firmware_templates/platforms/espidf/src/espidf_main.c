/* SPDX-License-Identifier: MIT-0 */
/* Start of the model on an ESP32: map its partition, give it memory, take the second core, answer a host. */
#include <inttypes.h>
#include <stdio.h>

#include "bm_selftest.h"
#include "esp_log.h"
#include "esp_partition.h"
#include "espidf.h"
#if BM_MEMORY_IN_STORE
#include "espidf_store.h"
#endif
#if BM_UPDATES
#include "espidf_update.h"
#endif
#if CONFIG_BITMAR_BUTTON
#include "espidf_button.h"
#endif

#define MODEL_TYPE 0x40
#define MODEL_SUBTYPE 0x00

static const char *TAG = "bitmar";

/* The blob, mapped read-only for as long as the program runs; NULL and a reason if there is none. */
static const void *map_model(const char **why)
{
    const void *blob = NULL;
    esp_partition_mmap_handle_t handle;
    const esp_partition_t *model = esp_partition_find_first(
        (esp_partition_type_t)MODEL_TYPE, (esp_partition_subtype_t)MODEL_SUBTYPE, NULL);
    if (!model) {
        *why = "the partition table has no partition for the model; flash the one of this project";
    } else if (model->size < BM_BLOB_BYTES) {
        *why = "the partition of the model is too small for it";
    } else if (esp_partition_mmap(model, 0, BM_BLOB_BYTES, ESP_PARTITION_MMAP_DATA, &blob, &handle) !=
               ESP_OK) {
        *why = "the partition of the model could not be mapped: no address space is left";
        blob = NULL;
    }
    return blob;
}

/* The model of the program. */
static const char *start_own(bm_state *s, const bm_ram ram[BM_RAMS])
{
    const char *why = NULL;
    const void *blob = map_model(&why);
    if (why) return why;
    const bm_status status = bm_init(s, blob, BM_BLOB_BYTES, ram);
    if (status == BM_ERR_NUMERICS) return bm_selftest();
    if (status == BM_ERR_BLOB)
        return "the partition holds another model than this program was made for, or nothing; flash the model";
    return status == BM_OK ? NULL : bm_status_text(status);
}

static const char *start(bm_state *s)
{
    bm_ram ram[BM_RAMS];
    int updated = 0;
    const char *why = espidf_arenas(ram);
    if (why) return why;
#if BM_UPDATES
    updated = espidf_update_start(s, ram);
#endif
    if (!updated) why = start_own(s, ram);
    if (why) return why;
#if BM_MEMORY_IN_STORE
    why = espidf_store_start(s, updated);
#if CONFIG_BITMAR_MEMORY_OPTIONAL
    if (why) ESP_LOGW(TAG, "going on without the memory: %s", why);
    why = NULL;
#endif
    if (why) return why;
#endif
#if BM_THREADS > 1
    if (espidf_split_start(s) != 0)
        ESP_LOGW(TAG, "no memory for a task on the second core: one core computes alone");
#endif
#if BM_STREAM_ROWS
    espidf_stream_start(s);
    ESP_LOGI(TAG, "head, kB/s:%s", s->streams);
#endif
    return NULL;
}

void app_main(void)
{
    static bm_state state;
    const char *why = start(&state);
    if (why) ESP_LOGE(TAG, "%s", why);
    else
        ESP_LOGI(TAG, "model %s, kernels %s, %" PRIu32 " bytes of memory", BM_MODEL_NAME, BM_KERNELS_NAME,
            (uint32_t)BM_RAM_TOTAL);
#if CONFIG_BITMAR_BUTTON
    espidf_button(&state, why);
#else
    espidf_link(&state, why);
#endif
}
